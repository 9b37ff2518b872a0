"""What is done from time to time: periodic tasks, and the verification of all keys, spread over an interval."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from isthmus.core.keys.enumeration import all_keys
from isthmus.core.keys.key import Key
from isthmus.ports import Clock

from .engine import Engine

_MAX_KEYS_PER_SECOND: Final = 20.0
"""Of verification: with more keys than fit into the interval, each is verified less often."""


class Periodic:
    """Calls something at once, and then at an interval."""

    def __init__(self, clock: Clock, seconds: float, action: Callable[[], None]) -> None:
        self._clock, self._seconds, self._action = clock, seconds, action
        self._due_at = clock.monotonic_seconds()

    def tick(self) -> None:
        """Call it if it is due."""
        now = self._clock.monotonic_seconds()
        if now >= self._due_at:
            self._due_at = now + self._seconds
            self._action()


class Verification:
    """Marks every key once in an interval, in an order and at moments that differ each time.

    The first pass, at the start of the process, marks all of them at once.
    """

    def __init__(self, clock: Clock, seconds: float, engine: Engine) -> None:
        self._clock, self._seconds, self._engine = clock, seconds, engine
        self._pending: list[tuple[float, Key]] | None = None
        """Moments and keys, the next one last."""
        self._next_pass_at = clock.monotonic_seconds() + seconds

    def restart(self) -> None:
        """Mark all keys at once the next time."""
        self._pending = None

    def tick(self) -> None:
        """Mark the keys that are due."""
        now = self._clock.monotonic_seconds()
        if self._pending is None:
            self._engine.verify()
            self._pending = []
        elif not self._pending and now >= self._next_pass_at:
            self._plan_pass(now)
        due = set[Key]()
        while self._pending and self._pending[-1][0] <= now:
            due.add(self._pending.pop()[1])
        if due:
            self._engine.verify(due)

    def _plan_pass(self, now: float) -> None:
        with self._engine.state.lock:
            keys = all_keys(self._engine.state.snapshot())
        seconds = max(self._seconds, len(keys) / _MAX_KEYS_PER_SECOND)
        moments = ((now + random.uniform(0, seconds), key) for key in keys)  # noqa: S311 # not for security
        self._pending = sorted(moments, reverse=True)
        self._next_pass_at = now + seconds
