"""One agent at a time for each Open vSwitch: two would undo each other's changes."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from pathlib import Path

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.5


class Exclusion:
    """A lock on the directory of Open vSwitch's sockets (flock(2)), which ends with the process at the latest.

    A lock needs no write access: pods have the directory read-only.
    """

    def __init__(self, ovsdb_socket: str) -> None:
        self._directory = Path(ovsdb_socket.removeprefix("unix:")).parent
        self._descriptor: int | None = None

    def acquire(self, stop: threading.Event) -> bool:
        """Wait until no other agent has it; False if `stop` is set before.

        Without the directory there is no Open vSwitch either, and nothing to wait for.
        """
        try:
            self._descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return True
        waiting = False
        while not self._try():
            if not waiting:
                _LOG.info("waiting: another agent runs on this node")
                waiting = True
            if stop.wait(_POLL_SECONDS):
                return False
        return True

    def release(self) -> None:
        """Let the next agent start."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _try(self) -> bool:
        assert self._descriptor is not None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
