"""Outages of the systems that a process depends on, each logged once when it begins and once when it ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

_LOG = logging.getLogger(__name__)
# Libraries repeat a failed request after a pause of their own, kopf's being up to 21 s: what they report within this
# time belongs to the outage that has just ended.
_AFTERMATH_SECONDS: Final = 25.0
_REMINDER_SECONDS: Final = 600.0
_MAX_TEXT: Final = 400

KUBERNETES: Final = "Kubernetes API"
OPENSTACK: Final = "OpenStack"
OPEN_VSWITCH: Final = "Open vSwitch"


@dataclass
class _State:
    since: float
    last_library_message: float | None = None
    recovered_at: float | None = None
    """When the first call succeeded after the last one that failed."""
    reminded_at: float = 0.0
    suppressed: int = 0


class Outage:
    """Whether one system is available, as its callers and its client library report. Safe to use from any thread."""

    def __init__(self, system: str, clock: Callable[[], float] = monotonic) -> None:
        self._system = system
        self._clock = clock
        self._lock = threading.Lock()
        self._state: _State | None = None

    @property
    def is_open(self) -> bool:
        """Whether an outage has begun and not ended."""
        with self._lock:
            return self._state is not None

    def failed(self, text: str) -> None:
        """A call of ours failed: logged if it is the first, counted otherwise."""
        with self._lock:
            self._trouble(text)

    def library_message(self, text: str) -> None:
        """The system's client library reported a failure."""
        with self._lock:
            self._trouble(text).last_library_message = self._clock()

    def succeeded(self) -> None:
        """A call of ours succeeded: an outage has ended, unless the library still reports failures."""
        with self._lock:
            state, now = self._state, self._clock()
            if state is None:
                return
            state.recovered_at = now if state.recovered_at is None else state.recovered_at
            reported_at = state.last_library_message
            if reported_at is None or now - reported_at >= _AFTERMATH_SECONDS:
                seconds = state.recovered_at - state.since
                _LOG.info("%s available again after %.0f s%s", self._system, seconds, _suppressed(state))
                self._state = None

    def _trouble(self, text: str) -> _State:
        state, now = self._state, self._clock()
        if state is None:
            _LOG.warning("%s unavailable: %s", self._system, text[:_MAX_TEXT])
            self._state = state = _State(since=now, reminded_at=now)
            return state
        state.recovered_at = None
        state.suppressed += 1
        if now - state.reminded_at >= _REMINDER_SECONDS:
            state.reminded_at = now
            seconds = now - state.since
            _LOG.warning(
                "%s still unavailable after %.0f s%s: %s", self._system, seconds, _suppressed(state), text[:_MAX_TEXT]
            )
        return state


class Outages:
    """The outages of one process, by system."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._outages: dict[str, Outage] = {}

    def __getitem__(self, system: str) -> Outage:
        with self._lock:
            return self._outages.setdefault(system, Outage(system, self._clock))


def _suppressed(state: _State) -> str:
    count = state.suppressed
    return f" ({count} message{'s' * (count != 1)} suppressed)" if count else ""
