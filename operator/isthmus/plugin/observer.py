"""Reads the cluster for whoever looks at the page, at most every two seconds however many do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

from .core.answer import Unread
from .core.diagnosis.subject import Readings
from .core.refusals import Refused
from .core.topology import Observation, observation
from .kubectl import NotRead

_INTERVAL_SECONDS: Final = 1.9
"""Less than the two seconds after which a page asks again, so that each time it does something new is read."""


@dataclass(frozen=True)
class Latest:
    """The newest observation."""

    observed: Observation
    age_seconds: float
    error: str
    """Why it is not newer; empty if nothing failed."""


class Observer:
    """Keeps the newest observation; safe to be used by several threads."""

    def __init__(
        self,
        read: Callable[[], tuple[Readings, tuple[Unread, ...]]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._monotonic = read, monotonic
        self._lock = Lock()
        self._observed: Observation | None = None
        self._observed_at = self._tried_at = float("-inf")
        self._error = ""

    def latest(self) -> Latest:
        """Read again if that is long ago; raises NotRead if nothing has ever been read."""
        with self._lock:
            if self._monotonic() - self._tried_at >= _INTERVAL_SECONDS:
                self._refresh()
            if self._observed is None:
                raise NotRead(self._error)
            return Latest(self._observed, self._monotonic() - self._observed_at, self._error)

    def _refresh(self) -> None:
        began_at = self._monotonic()
        try:
            self._observed, self._observed_at, self._error = observation(*self._read()), began_at, ""
        except (NotRead, Refused) as error:
            self._error = str(error)
        self._tried_at = began_at
