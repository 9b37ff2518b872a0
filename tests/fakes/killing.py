"""A proxy round the worlds that change something: after its N-th changing call the process dies, or loses the reply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

from isthmus.controller.worlds import Worlds

W = TypeVar("W")
_CHANGING = ("apply", "create_", "set_", "tag_", "delete", "update_")


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

    def around(self, worlds: Worlds) -> Worlds:
        """The worlds, counted."""
        return replace(worlds, cluster=_proxy(worlds.cluster, self), cloud=_proxy(worlds.cloud, self))


def _proxy(world: W, effects: Effects) -> W:
    class Proxy:
        def __getattr__(self, name: str) -> Any:
            found = getattr(world, name)
            return _counted(found, effects) if name.startswith(_CHANGING) else found

    return cast(W, Proxy())


def _counted(call: Callable[..., Any], effects: Effects) -> Callable[..., Any]:
    def counted(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        effects.done()
        return result

    return counted
