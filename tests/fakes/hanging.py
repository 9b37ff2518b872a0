"""A port whose calls never return."""

from __future__ import annotations

import threading
from typing import Any


class Hanging:
    """The port; from `hang` to `release` calls of one method do not return."""

    def __init__(self, port: Any, method: str) -> None:
        self._port, self._method = port, method
        self._may_return = threading.Event()
        self._may_return.set()
        self.called = threading.Event()
        """Whether a call hangs, or has hung."""

    def hang(self) -> None:
        self._may_return.clear()

    def release(self) -> None:
        self._may_return.set()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name != self._method:
            return method

        def call(*arguments: Any, **named: Any) -> Any:
            if not self._may_return.is_set():
                self.called.set()
                self._may_return.wait()
            return method(*arguments, **named)

        return call
