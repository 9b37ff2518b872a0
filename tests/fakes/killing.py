"""A proxy round the worlds that change something: after its N-th changing call the process dies, or loses the reply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from isthmus.controller.backends import Backends

from .effects import with_effects


class Killed(BaseException):
    """The process is gone: nothing after this ran."""


class Effects:
    """Counts effects in all worlds together; at the N-th it happens, and then `error` is raised."""

    def __init__(self, fatal: int | None, error: Callable[[], BaseException]) -> None:
        self.count = 0
        self._fatal = fatal
        self._error = error

    def done(self) -> None:
        """One more effect has happened."""
        self.count += 1
        if self.count == self._fatal:
            raise self._error()

    def around(self, backends: Backends) -> Backends:
        """The worlds, counted."""
        return replace(
            backends, cluster=with_effects(backends.cluster, self.done), cloud=with_effects(backends.cloud, self.done)
        )
