"""ICMP echo to gateways of peers (RFC 792, RFC 4443).

Over raw sockets, because the groups that may use the kernel's own ping sockets are the node's setting, not ours.
"""

from __future__ import annotations

import secrets
import select
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from isthmus.model.errors import Unavailable

from .rawsocket import raw_socket

PAYLOAD: Final = b"isthmus reachability test"
_NONCE_BYTES: Final = 8
_HEADER = struct.Struct("!BBHHH")
_IDENTIFIER: Final = 0x1571


@dataclass(frozen=True)
class _Icmp:
    """ICMP of one IP version."""

    family: socket.AddressFamily
    protocol: int
    request: int
    reply: int
    has_ip_header: bool
    """A raw socket of IPv4 gives the whole packet, one of IPv6 the message alone, whose checksum the kernel computes
    (RFC 3542)."""


_ICMP: Final = {
    4: _Icmp(socket.AF_INET, socket.IPPROTO_ICMP, 8, 0, has_ip_header=True),
    6: _Icmp(socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129, has_ip_header=False),
}


class IcmpPing:
    """`ports.GatewayPing`."""

    def answering(self, addresses: frozenset[str], timeout_seconds: float) -> frozenset[str]:
        """See `ports.GatewayPing`."""
        ends_at, versions = time.monotonic() + timeout_seconds, {ip_address(a).version for a in addresses}
        try:
            with ExitStack() as sockets:
                waiting = {}
                for version in versions:
                    icmp = _ICMP[version]
                    raw = sockets.enter_context(raw_socket(icmp.family, icmp.protocol, "ICMP echo requests"))
                    asked = (a for a in addresses if ip_address(a).version == version)
                    waiting[raw] = icmp, _ask(raw, icmp, asked)
                return _answers(waiting, ends_at)
        except OSError as error:
            raise Unavailable(f"ICMP echo: {error}") from error


def _ask(raw: socket.socket, icmp: _Icmp, addresses: Iterable[str]) -> dict[str, bytes]:
    """What is expected from each. An address that cannot be reached at all has no answer either."""
    expected = {}
    for address in addresses:
        payload = PAYLOAD + secrets.token_bytes(_NONCE_BYTES)
        with suppress(OSError):
            raw.sendto(_message(icmp, payload), (address, 0))
            expected[address] = payload
    return expected


def _answers(waiting: Mapping[socket.socket, tuple[_Icmp, Mapping[str, bytes]]], ends_at: float) -> frozenset[str]:
    answered, count = set[str](), sum(len(expected) for _, expected in waiting.values())
    while len(answered) < count and (left := ends_at - time.monotonic()) > 0:
        for raw in select.select([*waiting], [], [], left)[0]:
            icmp, expected = waiting[raw]
            try:
                packet, (sender, *_) = raw.recvfrom(2048, socket.MSG_DONTWAIT)
            except BlockingIOError:  # the kernel has discarded it meanwhile, for its checksum
                continue
            # After the IP header, which has options at most.
            message = packet[4 * (packet[0] & 0x0F) :] if icmp.has_ip_header else packet
            if message[:1] == bytes([icmp.reply]) and message[_HEADER.size :] == expected.get(sender):
                answered.add(sender)
    return frozenset(answered)


def _message(icmp: _Icmp, payload: bytes) -> bytes:
    """An echo request; of IPv4 the kernel computes no checksum for a raw socket."""
    content = _HEADER.pack(icmp.request, 0, 0, _IDENTIFIER, 1) + payload
    return _HEADER.pack(icmp.request, 0, _checksum(content), _IDENTIFIER, 1) + payload


def _checksum(content: bytes) -> int:
    """RFC 1071."""
    padded = content + b"\0" * (len(content) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
