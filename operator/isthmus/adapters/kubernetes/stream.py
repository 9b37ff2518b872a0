"""`ports.ObjectWatch`: one list and then one streamed watch for each kind, with nothing kept in memory."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.model.errors import ExternalError, Unavailable
from isthmus.ports import Observer

from .client import Client
from .errors import Expired, SilentStream
from .lists import report_list
from .resources import Resource

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """Seconds."""

    request: float = 10.0
    """For a list, and for the beginning of a watch."""
    watch: int = 240
    """After which the server ends a watch, so that one that it has lost is opened again."""
    silence: float = 270.0
    """After which a watch counts as lost on the way: longer than `watch`."""
    first_retry: float = 1.0
    max_retry: float = 30.0
    verify: float = 1800.0
    """Between two complete lists of a watch that has missed nothing."""


class StreamedWatch:
    """Watches kinds by their names, each on a thread of its own."""

    def __init__(
        self,
        watched: Mapping[str, Resource],
        kubeconfig: str | None,
        manager: str,
        namespace: str | None = None,
        *,
        timing: Timing | None = None,
        page_size: int = 500,
    ) -> None:
        """Watches in one namespace, or in all for None; connects after `start`.

        Raises Invalid if the kubeconfig does not exist.
        """
        self._paths = {kind: resource.path(namespace) for kind, resource in watched.items()}
        self._timing = timing or Timing()
        self._client = Client(kubeconfig, manager, self._timing.request, page_size)
        self._stop = threading.Event()

    def start(self, observer: Observer) -> None:
        """Start one thread for each kind."""
        for kind, path in self._paths.items():
            following = _Following(self._client, kind, path, observer, self._timing, self._stop)
            threading.Thread(target=following.run, name=f"watch-{kind}", daemon=True).start()

    def stop(self) -> None:
        """Threads end with the next event or with their request."""
        self._stop.set()


class _Following:
    """Follows one kind."""

    def __init__(
        self, client: Client, kind: str, path: str, observer: Observer, timing: Timing, stop: threading.Event
    ) -> None:
        self._client, self._kind, self._path = client, kind, path
        self._observer, self._timing, self._stop = observer, timing, stop
        self._version: str | None = None
        """Resource version to watch from; None if everything has to be listed."""
        self._failures = 0
        self._verify_at = 0.0

    def run(self) -> None:
        """Until stopped. An unforeseen answer of the server is a failure like any other: the thread must not end."""
        while not self._stop.is_set():
            try:
                self._follow()
                self._failures = 0
            except Expired as error:
                _LOG.debug("watching %s: %s", self._kind, error)
                self._version = None
                self._stop.wait(self._timing.first_retry)
            except ExternalError as error:
                self._fail(error)
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                self._version = None
                self._fail(Unavailable(f"an answer has an unexpected form ({type(error).__name__})"))

    def _follow(self) -> None:
        """List if necessary, then watch until the server or a time-out ends the watch."""
        if self._version is None or time.monotonic() >= self._verify_at:
            self._list()
        try:
            for event in self._client.stream(self._path, self._watch_query(), self._timing.silence):
                if self._stop.is_set():
                    return
                self._report(event)
        except SilentStream:
            _LOG.debug("watching %s: silent for %g s, opened again", self._kind, self._timing.silence)

    def _list(self) -> None:
        self._version = report_list(self._client, self._path, self._kind, self._observer)
        self._verify_at = time.monotonic() + self._timing.verify

    def _watch_query(self) -> dict[str, str]:
        return {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version or "",
            "timeoutSeconds": str(self._timing.watch),
        }

    def _report(self, event: Mapping[str, Any]) -> None:
        type_, manifest = event["type"], event["object"]
        if type_ == "ERROR":
            if manifest.get("code") == 410:
                raise Expired("the version that the watch began with is no longer stored")
            raise Unavailable(f"the API server ended the watch: {str(manifest.get('message'))[:200]}")
        if type_ == "DELETED":
            self._observer.removed(self._kind, manifest)
        elif type_ in {"ADDED", "MODIFIED"}:
            self._observer.changed(self._kind, manifest)
        self._version = str(manifest["metadata"]["resourceVersion"])

    def _fail(self, error: ExternalError) -> None:
        """Report, wait, and after several failures list again: the server may have gone back to an older state."""
        self._failures += 1
        self._observer.failed(self._kind, error)
        if self._failures >= 3:
            self._version = None
        backoff = self._timing.first_retry * 2 ** min(self._failures - 1, 10)
        self._stop.wait(min(backoff, self._timing.max_retry))
