"""Which flows of a bridge have changed, from Open vSwitch's flow monitor (nicira-ext.h, NXST_FLOW_MONITOR).

It is used over OpenFlow 1.0, in which every release of Open vSwitch has it. Learned flows are not monitored: a peer
can make as many of them as it likes.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

from isthmus.model.node.pipeline import Table

from .messages import HEADER, messages

_VERSION = 1
_ERROR, _HELLO, _ECHO_REQUEST, _ECHO_REPLY, _STATS_REQUEST, _STATS_REPLY = 1, 0, 2, 3, 16, 17
_NICIRA_STATS = struct.Struct("!HHIII")  # type, flags, vendor, subtype, padding
_NICIRA = (0xFFFF, 0, 0x2320, 2, 0)  # OFPST_VENDOR, NX_VENDOR_ID, NXST_FLOW_MONITOR
_MONITOR = struct.Struct("!IHHHB5x")  # id, flags, output port, length of match, table
_EVERY_CHANGE = 0b101110  # additions, deletions, modifications, those of the same connection
_ANY_PORT = 0xFFFF
_UPDATE = struct.Struct("!HH")  # length, event
_FULL_UPDATE = struct.Struct("!HHHHHHHBxQ")  # and: reason, priority, time-outs, length of match, table, cookie
_ABBREVIATED = 3
_TIMEOUT_SECONDS = 5.0


class FlowMonitor:
    """A connection to the bridge's management socket, opened at the first call and again after it was lost."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._cookies: set[int] = set()
        self._connection: socket.socket | None = None

    def changed(self) -> frozenset[int] | None:
        """Cookies of the flows that changed since the last call; None if the monitor did not run since then."""
        with self._lock:
            if self._connection is None:
                self._connect()
                return None
            found, self._cookies = frozenset(self._cookies), set()
            return found

    def close(self) -> None:
        """Close the connection, which ends its thread."""
        with self._lock:
            if self._connection is not None:
                self._connection.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(_TIMEOUT_SECONDS)
            connection.connect(self._path)
            connection.sendall(HEADER.pack(_VERSION, _HELLO, HEADER.size, 0) + _request())
            stream = messages(connection)
            # What changes after the reply is certainly notified.
            while (kind := next(stream)[0]) != _STATS_REPLY:
                if kind == _ERROR:
                    raise OSError("Open vSwitch refuses the flow monitor")
            connection.settimeout(None)
        except (OSError, StopIteration):
            connection.close()
            return
        self._cookies = set()
        self._connection = connection
        threading.Thread(target=self._read, args=(connection, stream), name="flow-monitor", daemon=True).start()

    def _read(self, connection: socket.socket, stream: Iterator[tuple[int, bytes]]) -> None:
        try:
            for kind, body in stream:
                if kind == _ECHO_REQUEST:
                    connection.sendall(HEADER.pack(_VERSION, _ECHO_REPLY, HEADER.size + len(body), 0) + body)
                elif kind == _STATS_REPLY:
                    found = set(_cookies(body))
                    with self._lock:
                        self._cookies |= found
        except (OSError, struct.error):
            pass  # like the end of the stream
        with self._lock:
            connection.close()
            self._connection = None


def _request() -> bytes:
    tables = (table for table in range(256) if table not in (Table.LEARNED, 0xFF))
    monitors = b"".join(_MONITOR.pack(table, _EVERY_CHANGE, _ANY_PORT, 0, table) for table in tables)
    body = _NICIRA_STATS.pack(*_NICIRA) + monitors
    return HEADER.pack(_VERSION, _STATS_REQUEST, HEADER.size + len(body), 1) + body


def _cookies(body: bytes) -> Iterator[int]:
    """The cookies in a NXST_FLOW_MONITOR reply."""
    at = _NICIRA_STATS.size
    while at + _UPDATE.size <= len(body):
        length, event = _UPDATE.unpack_from(body, at)
        if event != _ABBREVIATED:
            yield _FULL_UPDATE.unpack_from(body, at)[-1]
        if length < _UPDATE.size:
            return
        at += length
