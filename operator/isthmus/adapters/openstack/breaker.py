"""A circuit breaker: a service that does not answer costs one time-out, not one for each request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from isthmus.model.errors import Unavailable

_PAUSE_SECONDS: Final = 5.0
_MAX_PAUSE_SECONDS: Final = 60.0


class CircuitBreaker:
    """Closed while the service answers, open after a failure. Safe to use from any thread.

    While it is open every request fails at once, with the text of the failure. After a pause one request is sent, which
    decides.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failure = ""
        self._retry_at: float | None = None
        """When the next request may be sent; None while closed."""

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around one request: Unavailable opens the breaker, everything else shows that the service answers."""
        started_at = self._enter()
        try:
            yield
        except Unavailable as error:
            self._open(str(error), started_at)
            raise
        except BaseException:
            self._close()
            raise
        self._close()

    def _enter(self) -> float:
        """When the request was started. Raises Unavailable if it must not be sent."""
        with self._lock:
            now = self._clock()
            if self._retry_at is not None:
                if now < self._retry_at:
                    raise Unavailable(self._failure)
                self._retry_at = now + _MAX_PAUSE_SECONDS  # others wait for this one
            return now

    def _open(self, failure: str, started_at: float) -> None:
        """Pause at least as long as the failure took, so that a thread is not always waiting."""
        with self._lock:
            now = self._clock()
            self._failure = failure
            self._retry_at = now + min(max(_PAUSE_SECONDS, now - started_at), _MAX_PAUSE_SECONDS)

    def _close(self) -> None:
        with self._lock:
            self._retry_at = None
