"""Whether the Kubernetes API can be used at all: while it cannot, no key is tried."""

from __future__ import annotations

import threading

from isthmus.model import names
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.ports import Clock, Cluster
from isthmus.telemetry.outages import Outage

from .queue import FIRST_RETRY_SECONDS, KeyQueue


class KubernetesAvailability:
    """Pauses the queue during an outage. Safe to use from several threads."""

    def __init__(
        self, cluster: Cluster, queue: KeyQueue, outage: Outage, clock: Clock, max_retry_seconds: float
    ) -> None:
        self._cluster, self._queue, self._outage, self._clock = cluster, queue, outage, clock
        self._max_retry_seconds = max_retry_seconds
        self._lock = threading.Lock()
        self._retry_seconds = 0.0
        self._retry_at: float | None = None
        """When the API is asked again during an outage; None if there is none."""

    @property
    def is_available(self) -> bool:
        """Whether the last call that concerned all keys succeeded."""
        return self._retry_at is None

    def after_failure(self) -> None:
        """A call of one key failed: ask for what always exists, since it may fail for all. Raises nothing."""
        with self._lock:
            if self._retry_at is None:
                self._check()

    def failed(self, error: ExternalError) -> None:
        """A list or a watch failed."""
        with self._lock:
            if self._retry_at is None:
                self._begin(str(error))
            else:
                self._outage.failed(str(error))

    def succeeded(self) -> None:
        """A list or a watch succeeded."""
        with self._lock:
            self._end()

    def tick(self) -> None:
        """During an outage ask again from time to time."""
        with self._lock:
            if self._retry_at is not None and self._clock.monotonic_seconds() >= self._retry_at:
                self._check()

    def _check(self) -> None:
        try:
            self._cluster.get_manifest("v1", "Namespace", names.SYSTEM_NAMESPACE)
        except Unavailable as error:
            self._begin(str(error))
        except ExternalError:  # it answers, and that is what was asked
            self._end()
        else:
            self._end()

    def _begin(self, text: str) -> None:
        self._outage.failed(text)
        self._retry_seconds = min(max(FIRST_RETRY_SECONDS, 2 * self._retry_seconds), self._max_retry_seconds)
        self._retry_at = self._clock.monotonic_seconds() + self._retry_seconds
        self._queue.pause(self._retry_seconds)

    def _end(self) -> None:
        self._outage.succeeded()
        if self._retry_at is not None:
            self._retry_at, self._retry_seconds = None, 0.0
            self._queue.resume()
            self._queue.retry_failed()
