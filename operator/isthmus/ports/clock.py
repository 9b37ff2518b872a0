"""Time."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The two clocks, as a port so that tests control time. Neither method raises."""

    def now(self) -> datetime:
        """The wall clock. MUST be timezone-aware and in UTC: it is written to conditions and compared with them."""
        ...

    def monotonic_seconds(self) -> float:
        """A clock that MUST NOT go backwards; only differences have a meaning. Intervals and retries use it."""
        ...
