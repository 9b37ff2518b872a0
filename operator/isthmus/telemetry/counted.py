"""A proxy that counts the calls of any port."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from isthmus.ports import is_effect

from .metrics import Metrics

P = TypeVar("P")


def counted(port: P, backend: str, metrics: Metrics, call_ended: Callable[[], None] = lambda: None) -> P:
    """The port, with its calls counted under the name `backend`; effects also as writes, unless they raise.

    `call_ended` is called whenever a call has returned or raised.
    """
    return cast(P, _Counted(port, backend, metrics, call_ended))


class _Counted:
    def __init__(self, port: object, backend: str, metrics: Metrics, call_ended: Callable[[], None]) -> None:
        self._port, self._backend, self._metrics, self._call_ended = port, backend, metrics, call_ended

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not callable(method):
            return method

        def call(*arguments: Any, **named: Any) -> Any:
            self._metrics.calls.labels(self._backend, name).inc()
            try:
                result = method(*arguments, **named)
            finally:
                self._call_ended()
            if is_effect(name):
                self._metrics.writes.labels(self._backend).inc()
            return result

        return call
