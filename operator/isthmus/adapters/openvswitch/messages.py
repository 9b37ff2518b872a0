"""Messages of OpenFlow, whose header is the same in all versions (OpenFlow 1.5, section 7.1.1)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

HEADER = struct.Struct("!BBHI")  # version, type, length, transaction ID
_RECEIVED_BYTES = 65536


def messages(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Type and body of each message, until the connection ends."""
    buffer = b""
    while received := connection.recv(_RECEIVED_BYTES):
        buffer += received
        while len(buffer) >= HEADER.size:
            _, kind, length, _ = HEADER.unpack_from(buffer)
            if length < HEADER.size:
                raise OSError("a malformed OpenFlow message")
            if len(buffer) < length:
                break
            yield kind, buffer[HEADER.size : length]
            buffer = buffer[length:]
