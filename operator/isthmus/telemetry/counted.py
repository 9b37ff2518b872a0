"""Counts the calls of any port, without the port or its user knowing."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from isthmus.ports import is_effect

from .metrics import Metrics

P = TypeVar("P")


def counted(port: P, world: str, metrics: Metrics) -> P:
    """The same port; each call that returns or fails is counted, a write only when it was not refused."""
    return cast(P, _Counted(port, world, metrics))


class _Counted:
    def __init__(self, port: object, world: str, metrics: Metrics) -> None:
        self._port, self._world, self._metrics = port, world, metrics

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not callable(method):
            return method

        def call(*arguments: Any, **named: Any) -> Any:
            self._metrics.calls.labels(self._world, name).inc()
            result = method(*arguments, **named)
            if is_effect(name):
                self._metrics.writes.labels(self._world).inc()
            return result

        return call
