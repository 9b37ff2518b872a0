"""Whether the loops of a process still make progress, and whether their work succeeds: the answers of its probes.

Liveness asks for progress only. It comes with every iteration that ends, failed ones too, and with every call to an
external system that ends: such a system can make both slow or fail, but every call has a time-out. What remains is a
call that never returns, a deadlock, or a thread that has ended; only a restart mends those.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from time import monotonic, time
from typing import Final

_FACTOR: Final = 3.0  # of the resync interval, in which every loop has work to do: two such times may be missed
_MIN_LIVE_SECONDS: Final = 180.0
"""Three times the longest pause of a loop, which is 60 s: the wait of a controller's worker for a key."""
_MIN_READY_SECONDS: Final = 90.0
"""An agent observes its node at least every 60 s (`probe_interval_seconds`), and a call may last 15 s."""


class Loop:
    """One loop on a thread of its own. No method takes a lock: what hangs must not make a probe hang."""

    def __init__(self, name: str, health: Health, *, must_complete: bool) -> None:
        self.name, self.must_complete = name, must_complete
        self._health = health
        self.progress_at: float | None = None
        """By the monotonic clock, as `complete_at`; None before the loop has begun, and while it waits for another."""
        self.complete_at: float | None = None
        self.ended_timestamp: float | None = None
        """In seconds since 1970, as `complete_timestamp`."""
        self.complete_timestamp: float | None = None

    def begin(self) -> None:
        """Begin, on the thread of the loop: from now on it must make progress."""
        self._health.bind(self)
        self.progress()

    def progress(self) -> None:
        """Something has ended within an iteration."""
        self.progress_at = self._health.monotonic_seconds()

    def completed(self) -> None:
        """The work of this iteration, or of an earlier one that still holds, has succeeded."""
        self.complete_at, self.complete_timestamp = self._health.monotonic_seconds(), self._health.timestamp()

    def ended(self) -> None:
        """An iteration has ended, whether or not it failed."""
        self.progress()
        self.ended_timestamp = self._health.timestamp()


class Health:
    """The loops of one process. Safe to use from several threads."""

    def __init__(
        self,
        resync_seconds: float = 30.0,
        monotonic_seconds: Callable[[], float] = monotonic,
        timestamp: Callable[[], float] = time,
    ) -> None:
        """Only metrics use `timestamp`: a wall clock that is set must not restart the process."""
        self.monotonic_seconds, self.timestamp = monotonic_seconds, timestamp
        self.live_seconds = max(_FACTOR * resync_seconds, _MIN_LIVE_SECONDS)
        self.ready_seconds = max(_FACTOR * resync_seconds, _MIN_READY_SECONDS)
        self._loops: dict[str, Loop] = {}
        self._of_thread = threading.local()

    def loop(self, name: str, *, must_complete: bool = False) -> Loop:
        """A loop that is to begin; the process is not ready before each that `must_complete` has completed once."""
        self._loops[name] = Loop(name, self, must_complete=must_complete)
        return self._loops[name]

    def bind(self, loop: Loop) -> None:
        """Count the calls that end on this thread as progress of that loop."""
        self._of_thread.loop = loop

    def call_ended(self) -> None:
        """A call to an external system has returned or raised, on this thread."""
        loop = self._current()
        if loop is not None:
            loop.progress()

    @contextmanager
    def holding(self, lock: AbstractContextManager[object]) -> Iterator[None]:
        """Hold a lock. The wait for it does not count: the loop that has it may do much, and must make progress."""
        loop = self._current()
        if loop is not None:
            loop.progress_at = None
        with lock:
            if loop is not None:
                loop.progress()
            yield

    def stalled(self) -> str:
        """The loops without progress, on one line; empty if there is none."""
        ages = {loop.name: self._age_seconds(loop.progress_at) for loop in self._all()}
        return "; ".join(
            f"loop {name}: no progress for {age:.0f} s, limit {self.live_seconds:.0f} s"
            for name, age in ages.items()
            if age is not None and age > self.live_seconds
        )

    def unready(self) -> str:
        """The loops whose work has not succeeded, or not lately, on one line; empty if there is none."""
        required = [loop for loop in self._all() if loop.must_complete]
        return "; ".join(filter(None, map(self._unready, required))) if required else "no loop has been set up yet"

    def ended_timestamps(self) -> Mapping[tuple[str, ...], float]:
        """When the last iteration of each loop ended, by its name."""
        return _known((loop.name, loop.ended_timestamp) for loop in self._all())

    def complete_timestamps(self) -> Mapping[tuple[str, ...], float]:
        """When the work of each loop that must complete succeeded last, by its name."""
        return _known((loop.name, loop.complete_timestamp) for loop in self._all())

    def _current(self) -> Loop | None:
        found: Loop | None = getattr(self._of_thread, "loop", None)
        return found

    def _all(self) -> list[Loop]:
        return list(self._loops.values())

    def _unready(self, loop: Loop) -> str:
        age = self._age_seconds(loop.complete_at)
        if age is None:
            return f"loop {loop.name}: nothing completed yet"
        late = f"loop {loop.name}: last completed {age:.0f} s ago, limit {self.ready_seconds:.0f} s"
        return late if age > self.ready_seconds else ""

    def _age_seconds(self, at: float | None) -> float | None:
        return None if at is None else self.monotonic_seconds() - at


def _known(timestamps: Iterable[tuple[str, float | None]]) -> dict[tuple[str, ...], float]:
    return {(name,): at for name, at in timestamps if at is not None}
