"""Responders of a plain peer by docs/protocol.md: `bfd DEVICE` (section 11), `probe DEVICE` (section 12.1).

Both work on a VXLAN device of the kernel with raw frames; what changes is printed, a line each.
"""

import os
import random
import socket
import struct
import sys
import time
from dataclasses import dataclass, field

_ALL_FRAMES = 0x0003  # ETH_P_ALL in <linux/if_ether.h>: the only way to hear a frame before the guard does
_OUTGOING = 4  # PACKET_OUTGOING in <linux/if_packet.h>

_BFD_GROUP = bytes.fromhex("002320000001")
_BFD_ADDRESSES = socket.inet_aton("169.254.1.1") + socket.inet_aton("169.254.1.0")
_BFD_PORT = 3784
_INTERVAL_MICROSECONDS = 300_000
_SLOW_MICROSECONDS = 1_000_000
_MULTIPLIER = 3
_POLL, _FINAL = 0x20, 0x10
_REFUSED_FLAGS = 0x04 | 0x01  # authentication, multipoint
_ADMIN_DOWN, _DOWN, _INIT, _UP = range(4)

_PROBE = b"\x88\xb5"
_REQUEST = bytes.fromhex("026973746801")
_REPLY = bytes.fromhex("026973746802")
_OUR_PROBE = bytes.fromhex("02000000000c")
_PROBE_SECONDS = 2.0


def raw_socket(device: str) -> socket.socket:
    """All frames of a device."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_FRAMES))
    packets.bind((device, _ALL_FRAMES))
    return packets


def receive(packets: socket.socket, deadline: float) -> bytes:
    """The next frame that came in, or nothing when the time is up."""
    while (left := deadline - time.monotonic()) > 0:
        packets.settimeout(left)
        try:
            frame, origin = packets.recvfrom(2048)
        except TimeoutError:
            break
        if origin[2] != _OUTGOING:
            return frame
    return b""


@dataclass
class Session:
    """RFC 5880, 6.8: asynchronous mode, active, one session for the one gateway behind the device."""

    state: int = _DOWN
    discriminator: int = field(default_factory=lambda: random.randrange(1, 1 << 32))
    remote_discriminator: int = 0
    remote_state: int = _DOWN
    remote_minimum_rx: int = 1
    diagnostic: int = 0
    expires: float = float("inf")
    answer_poll: bool = False

    @property
    def interval_microseconds(self) -> int:
        """How often we send."""
        return max(_INTERVAL_MICROSECONDS if self.state == _UP else _SLOW_MICROSECONDS, self.remote_minimum_rx)

    def packet(self) -> bytes:
        """The control packet to send now."""
        flags = self.state << 6 | (_FINAL if self.answer_poll else 0)
        desired = _INTERVAL_MICROSECONDS if self.state == _UP else _SLOW_MICROSECONDS
        self.answer_poll = False
        return struct.pack(
            "!BBBBIIIII",
            1 << 5 | self.diagnostic,
            flags,
            _MULTIPLIER,
            24,
            self.discriminator,
            self.remote_discriminator,
            desired,
            _INTERVAL_MICROSECONDS,
            0,
        )

    def take(self, packet: bytes) -> None:
        """A control packet that came (6.8.6)."""
        if len(packet) < 24:
            return
        first, flags, multiplier, length, theirs, ours, minimum_tx, minimum_rx, _ = struct.unpack(
            "!BBBBIIIII", packet[:24]
        )
        state = flags >> 6
        if first >> 5 != 1 or length != 24 or not multiplier or not theirs or flags & _REFUSED_FLAGS:
            return
        if ours not in (0, self.discriminator) or (ours == 0 and state > _DOWN):
            return
        self.remote_discriminator, self.remote_state, self.remote_minimum_rx = theirs, state, minimum_rx
        self.answer_poll = bool(flags & _POLL)
        self.expires = time.monotonic() + multiplier * max(_INTERVAL_MICROSECONDS, minimum_tx) / 1e6
        self._move(state)

    def expire(self) -> None:
        """Nothing came for the detection time."""
        if time.monotonic() >= self.expires:
            self.expires = float("inf")
            self._become(_DOWN, diagnostic=1)
            self.remote_discriminator = 0

    def _move(self, remote: int) -> None:
        if remote == _ADMIN_DOWN or (self.state == _UP and remote == _DOWN):
            self._become(_DOWN, diagnostic=3)
        elif self.state == _DOWN and remote in (_DOWN, _INIT):
            self._become(_INIT if remote == _DOWN else _UP)
        elif self.state == _INIT and remote in (_INIT, _UP):
            self._become(_UP)

    def _become(self, state: int, diagnostic: int = 0) -> None:
        if state != self.state:
            self.state, self.diagnostic = state, diagnostic
            print(f"bfd {('admin down', 'down', 'init', 'up')[state]}", flush=True)


def bfd(device: str) -> None:
    """Answer for ever."""
    session, packets, due = Session(), raw_socket(device), 0.0
    port = random.randrange(49152, 65536)
    source = packets.getsockname()[4]
    while True:
        if (frame := receive(packets, min(due, session.expires))) and (packet := control_packet(frame)):
            session.take(packet)
        session.expire()
        if session.answer_poll or time.monotonic() >= due:
            packets.send(_BFD_GROUP + source + b"\x08\x00" + datagram(port, session.packet()))
            due = time.monotonic() + session.interval_microseconds * random.uniform(0.75, 0.9) / 1e6


def control_packet(frame: bytes) -> bytes:
    """The payload of a BFD packet that was not forwarded by anybody, or nothing."""
    ip = frame[14:]
    if frame[12:14] != b"\x08\x00" or len(ip) < 28 or ip[0] >> 4 != 4 or ip[8] != 255 or ip[9] != socket.IPPROTO_UDP:
        return b""
    udp = ip[4 * (ip[0] & 0x0F) :]
    return udp[8:] if int.from_bytes(udp[2:4], "big") == _BFD_PORT else b""


def datagram(port: int, payload: bytes) -> bytes:
    """An IPv4 packet with the payload to BFD's port."""
    length = 28 + len(payload)
    header = struct.pack("!BBHHHBBH", 0x45, 0xC0, length, 0, 0, 255, socket.IPPROTO_UDP, 0) + _BFD_ADDRESSES
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:]
    return header + struct.pack("!HHHH", port, _BFD_PORT, 8 + len(payload), 0) + payload


def probe(device: str) -> None:
    """Reflect the other side's requests, and send some of our own."""
    packets, number, due, waiting = raw_socket(device), 0, 0.0, b""
    while True:
        frame = receive(packets, due)
        if frame[12:14] == _PROBE and frame[:6] == _REQUEST:
            packets.send(frame[6:12] + _REPLY + frame[12:])
        elif frame[12:14] == _PROBE and frame[6:12] == _REPLY and waiting and frame[14:46] == waiting:
            print(f"probe {number} came back", flush=True)
            waiting = b""
        if time.monotonic() >= due:
            number += 1
            waiting = b"isthmus1" + number.to_bytes(8, "big") + os.urandom(16)
            packets.send(_REQUEST + _OUR_PROBE + _PROBE + waiting + bytes(14))
            due = time.monotonic() + _PROBE_SECONDS


if __name__ == "__main__":
    {"bfd": bfd, "probe": probe}[sys.argv[1]](sys.argv[2])
