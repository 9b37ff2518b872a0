"""Observe the effects of a port, to count them or to kill the process after one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from isthmus.ports import is_effect

P = TypeVar("P")


def with_effects(port: P, done: Callable[[], None]) -> P:
    """The same port; `done` is called after each effect, before the caller gets its result."""
    return cast(P, _Proxy(port, done))


class _Proxy:
    def __init__(self, port: object, done: Callable[[], None]) -> None:
        self._port, self._done = port, done

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not is_effect(name):
            return method

        def effect(*arguments: Any, **named: Any) -> Any:
            result = method(*arguments, **named)
            self._done()
            return result

        return effect
