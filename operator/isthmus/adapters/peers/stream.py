"""The thread that keeps the objects of one kind of one peer up to date: it lists them once, then follows the changes.

A publisher need not be a Kubernetes API server: where there is no watch, or one whose lines are not understood, the
list is read again, at the polling interval or at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from isthmus.model.errors import ExternalError

from .api import Event, PeerApi
from .collection import Collection

_LOG = logging.getLogger(__name__)
_DEBOUNCE_SECONDS: Final = 0.1  # changes tend to come together
_CHANGED: Final = frozenset({"ADDED", "MODIFIED"})


class Listener(Protocol):
    """What a stream reports to; called on its thread."""

    def changed(self, names: frozenset[str]) -> None:
        """These objects changed, appeared or disappeared."""
        ...

    def listed(self) -> None:
        """The peer has answered, and everything is read."""
        ...

    def failed(self, error: ExternalError) -> None:
        """The list could not be read; the objects are those of the last one."""
        ...


@dataclass(frozen=True)
class Pace:
    """How often to ask, in seconds."""

    poll: float
    after_failure: float


class Stream:
    """Reads one kind of one peer until it is stopped."""

    def __init__(
        self,
        name: str,
        api: PeerApi,
        collection: Collection[Any],
        lock: threading.Lock,
        listener: Listener,
        pace: Pace,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        """`lock` guards the collection; `may_begin` is asked on the thread before the first list."""
        self._api = api
        self._collection = collection
        self._lock = lock
        self._listener = listener
        self._pace = pace
        self._may_begin = may_begin
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End after the current request; nothing is reported any more."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set() and not self._may_begin():
            self._stopped.wait(_DEBOUNCE_SECONDS)
        while not self._stopped.is_set():
            began = time.monotonic()
            version = self._list()
            if version is None:
                self._rest(began + self._pace.after_failure)
                continue
            took_seconds = time.monotonic() - began
            hint = self._follow(version)
            # A peer that reports changes all the time must not keep this thread busy for more than 50 % of it.
            self._rest(time.monotonic() + max(_DEBOUNCE_SECONDS, took_seconds) if hint else began + self._pace.poll)
        self._api.close()

    def _rest(self, until: float) -> None:
        self._stopped.wait(max(0.0, until - time.monotonic()))

    def _list(self) -> str | None:
        """Read the complete list; returns its version, None if that failed."""
        version, changed = "", frozenset[str]()
        try:
            with self._lock:
                self._collection.begin_list()
            for page in self._api.pages():
                with self._lock:
                    if self._stopped.is_set():  # another stream may read into the collection already
                        return None
                    changed |= self._collection.put(page.items)
                version = page.version
        except ExternalError as error:
            failure = error
            self._report(lambda: self._listener.failed(failure))
            return None
        with self._lock:
            if self._stopped.is_set():
                return None
            changed |= self._collection.end_list()
        self._report(self._listener.listed)
        self._announce(changed)
        return version

    def _follow(self, version: str) -> bool:
        """Follow the changes for as long as the watch tells them; returns whether it hints at others."""
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                for event in self._api.watch(version, self._pace.poll):
                    if self._stopped.is_set():
                        return False
                    if not self._take(event):
                        return True
                    version = event.version or version
            except ExternalError as error:
                _LOG.debug("watch: %s", error)
                return False
            self._report(self._listener.listed)
            self._rest(began + self._pace.poll)
        return False

    def _take(self, event: Event) -> bool:
        """Apply one event; returns whether it was understood. It rests for as long as that took."""
        began = time.monotonic()
        if event.type in _CHANGED:
            with self._lock:
                changed = self._collection.put((event.document,))
        elif event.type == "DELETED":
            metadata = event.document.get("metadata")
            name = metadata.get("name") if isinstance(metadata, dict) else None
            with self._lock:
                changed = self._collection.remove((str(name),))
        else:
            return event.type == "BOOKMARK"
        self._announce(changed)
        self._rest(2 * time.monotonic() - began)
        return True

    def _announce(self, names: frozenset[str]) -> None:
        if names:
            self._report(lambda: self._listener.changed(names))

    def _report(self, call: Callable[[], None]) -> None:
        if not self._stopped.is_set():
            call()
