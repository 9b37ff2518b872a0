"""Client of a gateway node's command server (`guest/execd.py`)."""

import contextlib
import json
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

_CONNECT_TIMEOUT_SECONDS = 30.0
_REPLY_MARGIN_SECONDS = 120.0


class ExecError(RuntimeError):
    """A request failed in the command server itself; a failing command is no such error."""


class Connection:
    """One process of the command server, in the network namespace of the node or of a machine."""

    def __init__(self, address: str, port: int, netns: str | None) -> None:
        self._socket = socket.create_connection((address, port), timeout=_CONNECT_TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self._socket.makefile("rb")
        self.call("netns", {"name": netns}, _REPLY_MARGIN_SECONDS)

    def call(self, operation: str, arguments: Mapping[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """Send one request and return the reply."""
        self._socket.settimeout(timeout_seconds)
        self._socket.sendall(json.dumps({operation: dict(arguments)}).encode() + b"\n")
        line = self._replies.readline()
        if not line:
            raise ConnectionError(f"the node closed the connection during {operation}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise ExecError(f"{operation}: {reply['error']}")
        return reply

    def close(self) -> None:
        """End the server's process."""
        self._replies.close()
        self._socket.close()


class Channel:
    """Pool of connections to one node; safe to use from several threads."""

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address, port
        self._idle: dict[str | None, list[Connection]] = defaultdict(list)
        self._lock = threading.Lock()

    def call(
        self, operation: str, arguments: Mapping[str, Any], *, netns: str | None = None, busy_seconds: float = 0.0
    ) -> dict[str, Any]:
        """Send one request in a network namespace; times out after the command's time and a margin for a busy node."""
        with self._connection(netns) as connection:
            return connection.call(operation, arguments, busy_seconds + _REPLY_MARGIN_SECONDS)

    def answers(self) -> bool:
        """Whether the server can be reached."""
        try:
            with self._connection(None):
                return True
        except (OSError, ExecError):
            return False

    def forget(self, netns: str | None) -> None:
        """Close the connections to a namespace, which they would keep alive."""
        with self._lock:
            idle = self._idle.pop(netns, [])
        for connection in idle:
            connection.close()

    def forget_all(self) -> None:
        """Close all connections to a node that has ended."""
        for netns in list(self._idle):
            self.forget(netns)

    @contextlib.contextmanager
    def _connection(self, netns: str | None) -> Iterator[Connection]:
        with self._lock:
            idle = self._idle[netns]
            connection = idle.pop() if idle else None
        if connection is None:
            connection = Connection(self._address, self._port, netns)
        try:
            yield connection
        except ExecError:
            self._keep(netns, connection)
            raise
        except BaseException:
            connection.close()
            raise
        self._keep(netns, connection)

    def _keep(self, netns: str | None, connection: Connection) -> None:
        with self._lock:
            self._idle[netns].append(connection)
