"""Dataplane probes: frames that enter a link's tunnel by the probe port and are reflected by the peer's br-cloud.

Each frame carries a random nonce, so that only a receiver of the request can answer it. Frames are sent at an even
pace, replies are read on a thread of its own, and the socket's buffer holds all of them: otherwise buffers and the
peer's meter would overrun, and healthy links would look down.
"""

from __future__ import annotations

import fcntl
import secrets
import socket
import struct
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from errno import EMSGSIZE
from itertools import count
from pathlib import Path
from types import MappingProxyType

from isthmus.model.errors import Unavailable
from isthmus.model.names import PROBE_PORT
from isthmus.model.node.host import ProbeResult
from isthmus.model.node.pipeline import PROBE_ETHERTYPE, PROBE_REPLY_MAC, PROBE_REQUEST_MAC, WHOLE_REQUEST_MAC

from .rawsocket import raw_socket

_MAGIC = b"isthmus1"
_NONCE_BYTES = 16
_PAYLOAD_BYTES = len(_MAGIC) + 8 + _NONCE_BYTES
_ADDRESSES_BYTES, _HEADER_BYTES = 12, 14
_SHORTEST_FRAME_BYTES, _LONGEST_FRAME_BYTES = 60, 1 << 16
_REPLY_SOURCE = bytes.fromhex(PROBE_REPLY_MAC.replace(":", ""))
_LEAST_BUFFER_BYTES = 1 << 20
_BUFFER_BYTES_PER_LINK = 1 << 11  # the kernel counts 768 bytes for a short frame
_READER_POLL_SECONDS = 0.1

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1  # <linux/sockios.h>, <linux/if.h>
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23  # <linux/if_packet.h>
_SO_RCVBUFFORCE = 33  # <asm-generic/socket.h>


class PacketProbe:
    """`ports.DataplaneProbe` over an AF_PACKET socket on the probe port."""

    def __init__(self, interface: str = PROBE_PORT) -> None:
        self._interface = interface
        self._numbers = count(1)

    def exchange(
        self,
        macs: Mapping[str, str],
        timeout_seconds: float,
        spread_seconds: float = 0.0,
        mtus: Mapping[str, int] = MappingProxyType({}),
        whole: bool = False,
    ) -> Mapping[str, ProbeResult]:
        """See `ports.DataplaneProbe`."""
        try:
            with self._open(len(macs)) as packets:
                destination = WHOLE_REQUEST_MAC if whole else PROBE_REQUEST_MAC
                exchange = _Exchange(packets, self._numbers, destination, macs, mtus)
                return exchange.run(timeout_seconds, spread_seconds)
        except OSError as error:
            raise Unavailable(f"dataplane probe through {self._interface}: {error}") from error

    def _open(self, links: int) -> socket.socket:
        packets = raw_socket(socket.AF_PACKET, 0, "dataplane probes")
        size = max(_LEAST_BUFFER_BYTES, links * _BUFFER_BYTES_PER_LINK)
        try:
            packets.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
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
            # Only probe frames may leave by it; where /proc/sys is read-only, br-cloud's flows drop everything else.
            with suppress(OSError):
                Path(f"/proc/sys/net/ipv6/conf/{self._interface}/disable_ipv6").write_text("1")
            request = struct.pack("16sH14x", self._interface.encode(), flags | _IFF_UP)
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


class _Exchange:
    """One frame for each link, and the replies."""

    def __init__(
        self,
        packets: socket.socket,
        numbers: count[int],
        destination: str,
        macs: Mapping[str, str],
        mtus: Mapping[str, int],
    ) -> None:
        self._packets = packets
        self._destination = destination
        self._numbers = numbers
        self._macs = tuple(macs.items())
        self._mtus = mtus
        self._waiting: dict[bytes, tuple[str, float]] = {}
        self._sent: set[str] = set()
        self._rtts: dict[str, float] = {}
        self._all_sent = False
        self._problem: OSError | None = None
        self._ended, self._all_back = threading.Event(), threading.Event()

    def run(self, timeout_seconds: float, spread_seconds: float) -> dict[str, ProbeResult]:
        """Send evenly over `spread_seconds`; the timeout counts from the last frame."""
        self._packets.settimeout(_READER_POLL_SECONDS)
        reader = threading.Thread(target=self._read, name="probe reader", daemon=True)
        reader.start()
        try:
            self._send_all(spread_seconds)
            self._all_back.wait(timeout_seconds)
        finally:
            self._ended.set()
            reader.join()
        if self._problem is not None:
            raise self._problem
        return {
            link: ProbeResult(int(link in self._sent), int(link in self._rtts), self._rtts.get(link))
            for link, _ in self._macs
        }

    def _send_all(self, spread_seconds: float) -> None:
        began = time.monotonic()
        for position, (link, mac) in enumerate(self._macs):
            early = began + spread_seconds * position / len(self._macs) - time.monotonic()
            if early > 0:
                time.sleep(early)
            self._send(link, mac)
        self._all_sent = True
        self._check_all_back()

    def _send(self, link: str, mac: str) -> None:
        payload = _payload(next(self._numbers))
        self._waiting[payload] = (link, time.monotonic())
        try:
            self._packets.send(_frame(self._destination, mac, payload, self._mtus.get(link, 0)))
        except (BlockingIOError, TimeoutError):  # a full queue: this link was not probed
            del self._waiting[payload]
        except OSError as error:
            if error.errno != EMSGSIZE:  # the probe port's MTU is less than the network's
                raise
            del self._waiting[payload]
        else:
            self._sent.add(link)

    def _read(self) -> None:
        try:
            while not self._ended.is_set():
                with suppress(TimeoutError):
                    self._take(self._packets.recv(_LONGEST_FRAME_BYTES))
        except OSError as error:  # the probe port went down, as when br-cloud is deleted
            self._problem = error
            self._all_back.set()

    def _take(self, frame: bytes) -> None:
        if frame[6:_ADDRESSES_BYTES] != _REPLY_SOURCE:
            return
        sent = self._waiting.pop(frame[_HEADER_BYTES : _HEADER_BYTES + _PAYLOAD_BYTES], None)
        if sent is not None:
            self._rtts[sent[0]] = time.monotonic() - sent[1]
            self._check_all_back()

    def _check_all_back(self) -> None:
        if self._all_sent and not self._waiting:
            self._all_back.set()


def _payload(number: int) -> bytes:
    return _MAGIC + number.to_bytes(8) + secrets.token_bytes(_NONCE_BYTES)


def _frame(destination: str, source: str, payload: bytes, mtu: int) -> bytes:
    octets = "".join((destination, source)).replace(":", "")
    frame = bytes.fromhex(octets) + PROBE_ETHERTYPE.to_bytes(2) + payload
    return frame.ljust(max(_SHORTEST_FRAME_BYTES, _HEADER_BYTES + mtu), b"\0")
