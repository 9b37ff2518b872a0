"""Probe frames through br-cloud's probe port, sent into a link's tunnel and reflected by a flow of the peer's br-cloud.

Every frame carries a random nonce, so that only a receiver of the request can answer it.
"""

from __future__ import annotations

import fcntl
import secrets
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from isthmus.model.errors import Unavailable
from isthmus.model.names import PROBE_PORT
from isthmus.model.node.host import ProbeResult
from isthmus.model.node.pipeline import PROBE_ETHERTYPE, PROBE_REPLY_MAC, PROBE_REQUEST_MAC

_MAGIC = b"isthmus1"
_NONCE_BYTES = 16
_ADDRESSES_BYTES, _HEADER_BYTES = 12, 14
_SHORTEST_FRAME_BYTES = 60

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1  # <linux/sockios.h>, <linux/if.h>


class PacketProbe:
    """`ports.DataplaneProbe` over an AF_PACKET socket on the probe port."""

    def __init__(self, interface: str = PROBE_PORT) -> None:
        self._interface = interface
        self._numbers = count(1)

    def exchange(self, macs: Mapping[str, str], timeout_seconds: float) -> Mapping[str, ProbeResult]:
        """See `ports.DataplaneProbe`."""
        try:
            with self._open() as packets:
                waiting: dict[bytes, tuple[str, float]] = {}
                for link, mac in macs.items():
                    payload = self._payload()
                    waiting[payload] = (link, time.monotonic())
                    packets.send(_frame(PROBE_REQUEST_MAC, mac, payload))
                rtts = _collect(packets, waiting, timeout_seconds)
        except OSError as error:
            raise Unavailable(f"dataplane probe through {self._interface}: {error}") from error
        return {link: ProbeResult(1, int(link in rtts), rtts.get(link)) for link in macs}

    def _open(self) -> socket.socket:
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        try:
            self._bring_up(packets)
            packets.bind((self._interface, PROBE_ETHERTYPE))
        except OSError:
            packets.close()
            raise
        return packets

    def _bring_up(self, any_socket: socket.socket) -> None:
        request = struct.pack("16sH14x", self._interface.encode(), 0)
        _, flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        if not flags & _IFF_UP:
            # Only probe frames may be sent on it; if /proc/sys is read-only, br-cloud's flows drop all others.
            with suppress(OSError):
                Path(f"/proc/sys/net/ipv6/conf/{self._interface}/disable_ipv6").write_text("1")
            request = struct.pack("16sH14x", self._interface.encode(), flags | _IFF_UP)
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)

    def _payload(self) -> bytes:
        return _MAGIC + next(self._numbers).to_bytes(8) + secrets.token_bytes(_NONCE_BYTES)


def _frame(destination: str, source: str, payload: bytes) -> bytes:
    octets = "".join((destination, source)).replace(":", "")
    frame = bytes.fromhex(octets) + PROBE_ETHERTYPE.to_bytes(2) + payload
    return frame.ljust(_SHORTEST_FRAME_BYTES, b"\0")


def _collect(
    packets: socket.socket, waiting: dict[bytes, tuple[str, float]], timeout_seconds: float
) -> dict[str, float]:
    """Round-trip times in seconds by link, of the frames that were reflected."""
    rtts: dict[str, float] = {}
    deadline = time.monotonic() + timeout_seconds
    length = len(_MAGIC) + 8 + _NONCE_BYTES
    reply_source = bytes.fromhex(PROBE_REPLY_MAC.replace(":", ""))
    while waiting and (left := deadline - time.monotonic()) > 0:
        packets.settimeout(left)
        try:
            frame = packets.recv(2048)
        except TimeoutError:
            break
        if frame[6:_ADDRESSES_BYTES] != reply_source:
            continue  # the socket also receives our own requests
        sent = waiting.pop(frame[_HEADER_BYTES : _HEADER_BYTES + length], None)
        if sent is not None:
            rtts[sent[0]] = time.monotonic() - sent[1]
    return rtts
