"""TCP between two machines, and the maximum segment sizes in the SYNs that arrive."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from tests.kernel.openvswitch import Machine, inside

_PORT = 5201
_TIMEOUT_SECONDS = 20.0
_QUIET_SECONDS = 0.2
_SYN = 2
_IPV4, _IPV6 = 0x0800, 0x86DD
_END, _PADDING, _MAXIMUM_SEGMENT = 0, 1, 2  # options of TCP (RFC 9293, section 3.1)


@dataclass(frozen=True)
class Handshake:
    """The MSS in the SYN as the server's machine received it, and in the SYN-ACK as the client's did."""

    at_server: int
    at_client: int


def connect(client: Machine, server: Machine, address: str, payload_bytes: int = 0) -> Handshake:
    """A connection that carries this much in each direction; `address` is the server's."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with server.listening() as at_server, client.listening() as at_client:
        listener = inside(server.netns, lambda: socket.create_server((address, _PORT), family=family))
        opened = inside(client.netns, lambda: socket.socket(family, socket.SOCK_STREAM))
        with listener, opened:
            opened.settimeout(_TIMEOUT_SECONDS)
            listener.settimeout(_TIMEOUT_SECONDS)
            opened.connect((address, _PORT))
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(_TIMEOUT_SECONDS)
                _exchange(opened, accepted, payload_bytes)
                _exchange(accepted, opened, payload_bytes)
        found = [{*_segment_sizes(listened(_QUIET_SECONDS))} for listened in (at_server, at_client)]
    assert [len(sizes) for sizes in found] == [1, 1], "a SYN may be sent again, with the same size"
    return Handshake(*(sizes.pop() for sizes in found))


def _exchange(sender: socket.socket, receiver: socket.socket, payload_bytes: int) -> None:
    sending = threading.Thread(target=sender.sendall, args=(bytes(payload_bytes),))
    sending.start()
    received = 0
    while received < payload_bytes:
        received += len(receiver.recv(1 << 16))
    sending.join()


def _segment_sizes(frames: list[bytes]) -> Iterator[int]:
    """Of the SYNs among the frames."""
    for frame in frames:
        segment = _tcp(frame)
        if segment and segment[13] & _SYN:
            yield from _maximum_segment(segment[20 : (segment[12] >> 4) * 4])


def _tcp(frame: bytes) -> bytes:
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind == _IPV4 and frame[23] == socket.IPPROTO_TCP:
        return frame[14 + (frame[14] & 15) * 4 :]
    if kind == _IPV6 and frame[20] == socket.IPPROTO_TCP:
        return frame[54:]
    return b""


def _maximum_segment(options: bytes) -> Iterator[int]:
    while options and options[0] != _END:
        if options[0] == _MAXIMUM_SEGMENT:
            yield int.from_bytes(options[2:4])
        options = options[1 if options[0] == _PADDING else options[1] :]
