"""ICMP echo to gateways of peers (RFC 792).

Over a raw socket, because the groups that may use the kernel's own ping sockets are the node's setting, not ours.
"""

from __future__ import annotations

import secrets
import socket
import struct
import time
from contextlib import suppress
from typing import Final

from isthmus.model.errors import Unavailable

from .rawsocket import raw_socket

PAYLOAD: Final = b"isthmus reachability test"
_NONCE_BYTES: Final = 8
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_HEADER = struct.Struct("!BBHHH")


class IcmpPing:
    """`ports.GatewayPing`."""

    def answering(self, addresses: frozenset[str], timeout_seconds: float) -> frozenset[str]:
        """See `ports.GatewayPing`."""
        try:
            with raw_socket(socket.AF_INET, socket.IPPROTO_ICMP, "ICMP echo requests") as raw:
                return _exchange(raw, addresses, timeout_seconds)
        except OSError as error:
            raise Unavailable(f"ICMP echo: {error}") from error


def _exchange(raw: socket.socket, addresses: frozenset[str], timeout_seconds: float) -> frozenset[str]:
    """An address that cannot be reached at all has no answer either."""
    expected = {}
    for address in addresses:
        payload = PAYLOAD + secrets.token_bytes(_NONCE_BYTES)
        with suppress(OSError):
            raw.sendto(_message(payload), (address, 0))
            expected[address] = payload
    ends_at, answered = time.monotonic() + timeout_seconds, set[str]()
    while len(answered) < len(expected) and (left := ends_at - time.monotonic()) > 0:
        raw.settimeout(left)
        try:
            packet, (sender, _) = raw.recvfrom(2048)
        except TimeoutError:
            break
        message = packet[4 * (packet[0] & 0x0F) :]  # after the IP header, which has options at most
        if message[:1] == bytes([_ECHO_REPLY]) and message[_HEADER.size :] == expected.get(sender):
            answered.add(sender)
    return frozenset(answered)


def _message(payload: bytes) -> bytes:
    """An echo request; the kernel computes no checksum for a raw socket."""
    content = _HEADER.pack(_ECHO_REQUEST, 0, 0, 0x1571, 1) + payload
    return _HEADER.pack(_ECHO_REQUEST, 0, _checksum(content), 0x1571, 1) + payload


def _checksum(content: bytes) -> int:
    """RFC 1071."""
    padded = content + b"\0" * (len(content) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
