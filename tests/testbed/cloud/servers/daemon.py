"""Wait until a server answers; fail immediately with the end of its log if it exits."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.testbed.host.process import alive, wait_until

_TAIL_LINES: Final = 15


class ServerDied(RuntimeError):
    """A server exited before it answered."""


def await_server(directory: Path, name: str, answers: Callable[[], object], *, timeout_seconds: float = 120.0) -> None:
    """Wait until a server that `process.spawn` started answers."""

    def ready() -> bool:
        if answers():
            return True
        if not alive(directory, name):
            log = directory / f"{name}.log"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]) if log.exists() else ""
            raise ServerDied(f"{name} ended, see {log}\n{tail}")
        return False

    wait_until(ready, timeout_seconds, f"{name} in {directory}", poll_seconds=0.05)


def accepts(address: object, port: int) -> bool:
    """Whether something accepts TCP connections there, from the caller's network namespace."""
    try:
        socket.create_connection((str(address), port), timeout=1.0).close()
    except OSError:
        return False
    return True
