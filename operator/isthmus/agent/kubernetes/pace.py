"""A bounded rate, with a few at once after a pause."""

from __future__ import annotations

from isthmus.ports import Clock


class Pace:
    """Allows so many per second, and up to `burst` at once (a token bucket)."""

    def __init__(self, clock: Clock, per_second: float, burst: int) -> None:
        self._clock, self._per_second, self._burst = clock, per_second, burst
        self._left, self._at = float(burst), clock.monotonic_seconds()

    def next(self) -> float:
        """0 if one more is allowed now, which counts it; else the seconds until one is."""
        now = self._clock.monotonic_seconds()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._per_second
        self._left -= 1
        return 0.0
