"""The queue of keys to reconcile: each key once, never two workers on one key, backoff for each key alone."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Iterable
from typing import Final

from isthmus.core.keys.key import Key
from isthmus.ports import Clock

FIRST_RETRY_SECONDS: Final = 1.0
BURST: Final = 5
"""How often a key that has been at rest may start without a pause."""
_POLL_SECONDS: Final = 1.0  # a test's clock may stand still


class KeyQueue:
    """Keys that are due, in order of arrival; those that somebody waits for before those that are merely verified.

    Safe to use from several threads. A key that is added while a worker has it is due again when that has finished.
    """

    def __init__(self, clock: Clock, max_retry_seconds: float, pace_seconds: float = 0.0) -> None:
        """No key starts more often than every `pace_seconds`, so that none keeps us busy, but for a short burst.

        A network that is being stretched needs several starts in its first second, one for each answer of the peer.
        """
        self.pace_seconds = pace_seconds
        self._clock = clock
        self._max_retry_seconds = max_retry_seconds
        self._condition = threading.Condition()
        self._urgent: dict[Key, None] = {}
        self._background: dict[Key, None] = {}
        self._later: list[tuple[float, int, Key]] = []
        self._due_at: dict[Key, float] = {}
        self._running: dict[Key, bool] = {}
        """Keys that workers have, and whether they were added meanwhile."""
        self._paced_until: dict[Key, float] = {}
        """When each key would have come to rest if all its starts had been paced."""
        self._attempts: dict[Key, int] = {}
        self._paused_until: float | None = None
        self._stopped, self._enabled = False, True
        self._order = itertools.count()

    def add(self, keys: Iterable[Key], *, urgent: bool = True) -> None:
        """Make keys due now."""
        with self._condition:
            for key in keys:
                self._add(key, urgent=urgent)
            self._condition.notify_all()

    def add_later(self, key: Key, seconds: float) -> None:
        """Make a key due in so many seconds, unless it is due before."""
        with self._condition:
            self._schedule(key, self._clock.monotonic_seconds() + seconds)
            self._condition.notify()

    def take(self, timeout_seconds: float) -> Key | None:
        """The next key, which nobody else gets until `done`; None if none is due within the time or after `stop`."""
        ends_at = self._clock.monotonic_seconds() + timeout_seconds
        with self._condition:
            while not self._stopped:
                now = self._clock.monotonic_seconds()
                key = self._next(now)
                if key is not None or now >= ends_at:
                    return key
                self._condition.wait(min(_POLL_SECONDS, self._wait_seconds(now, ends_at)))
            return None

    def done(
        self,
        key: Key,
        *,
        failed: bool = False,
        continues: bool = False,
        again_after_seconds: float | None = None,
    ) -> None:
        """A worker has finished with the key; a failed one is due again after a time that doubles with each failure.

        One that continues is due after all others, even if it was added meanwhile: its own changes do that, too.
        """
        with self._condition:
            added_meanwhile = self._running.pop(key)
            now = self._clock.monotonic_seconds()
            if failed:
                attempts = self._attempts[key] = self._attempts.get(key, 0) + 1
                backoff = FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 20)
                self._schedule(key, now + min(backoff, self._max_retry_seconds))
            else:
                self._attempts.pop(key, None)
            if again_after_seconds is not None:
                self._schedule(key, now + again_after_seconds)
            if continues:
                self._add(key, urgent=False)
            elif added_meanwhile:
                self._add(key, urgent=True)
            self._condition.notify()

    def retry_failed(self) -> None:
        """Make all keys due whose last attempt failed: what they waited for has returned."""
        self.add(list(self._attempts))

    def forget(self, key: Key) -> None:
        """Nothing with this key exists any more."""
        with self._condition:
            self._paced_until.pop(key, None)
            self._attempts.pop(key, None)

    def pause(self, seconds: float) -> None:
        """Give out no key for so many seconds."""
        with self._condition:
            self._paused_until = self._clock.monotonic_seconds() + seconds

    def resume(self) -> None:
        """End a pause."""
        with self._condition:
            self._paused_until = None
            self._condition.notify_all()

    def set_enabled(self, enabled: bool) -> None:
        """Whether keys are given out at all: while another replica is active, they are only collected."""
        with self._condition:
            self._enabled = enabled
            self._condition.notify_all()

    def stop(self) -> None:
        """Give out no key any more."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def __len__(self) -> int:
        """The number of keys that are due."""
        with self._condition:
            return len(self._urgent) + len(self._background)

    def _add(self, key: Key, *, urgent: bool) -> None:
        if key in self._running:
            self._running[key] = True
            return
        self._due_at.pop(key, None)
        earliest = self._paced_until.get(key, float("-inf")) - (BURST - 1) * self.pace_seconds
        if self.pace_seconds and earliest > self._clock.monotonic_seconds():
            self._schedule(key, earliest)
        elif urgent:
            self._background.pop(key, None)
            self._urgent[key] = None
        elif key not in self._urgent:
            self._background[key] = None

    def _schedule(self, key: Key, at: float) -> None:
        if key in self._urgent or key in self._background or self._due_at.get(key, float("inf")) <= at:
            return
        self._due_at[key] = at
        heapq.heappush(self._later, (at, next(self._order), key))

    def _next(self, now: float) -> Key | None:
        while self._later and self._later[0][0] <= now:
            at, _, key = heapq.heappop(self._later)
            if self._due_at.get(key) == at:
                del self._due_at[key]
                self._add(key, urgent=True)
        if not self._enabled or (self._paused_until is not None and now < self._paused_until):
            return None
        for due in (self._urgent, self._background):
            if due:
                key = next(iter(due))
                del due[key]
                self._running[key] = False
                self._paced_until[key] = max(now, self._paced_until.get(key, now)) + self.pace_seconds
                return key
        return None

    def _wait_seconds(self, now: float, ends_at: float) -> float:
        paused = self._paused_until is not None and now < self._paused_until
        moments = [
            ends_at,
            *([self._later[0][0]] if self._later else []),
            *([self._paused_until or now] if paused else []),
        ]
        return max(0.0, min(moment for moment in moments if moment > now) - now)
