"""Make a controller die, or lose a reply, after its N-th effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from isthmus.controller.backends import Backends

from .effects import with_effects


class Killed(BaseException):
    """The process was killed: nothing after this ran."""


class Effects:
    """Count the effects in all backends; after the N-th one `error` is raised."""

    def __init__(self, fail_after: int | None, error: Callable[[], BaseException]) -> None:
        self.count = 0
        self._fail_after = fail_after
        self._error = error

    def done(self) -> None:
        """Count one effect."""
        self.count += 1
        if self.count == self._fail_after:
            raise self._error()

    def around(self, backends: Backends) -> Backends:
        """The same backends, with their effects counted."""
        return replace(
            backends, cluster=with_effects(backends.cluster, self.done), cloud=with_effects(backends.cloud, self.done)
        )
