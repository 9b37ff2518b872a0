"""The thread that reads one peer periodically, and early if its watch reports a change."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from isthmus.model.errors import ExternalError, Forbidden, Invalid, NotFound
from isthmus.model.facts.peer import PeerView
from isthmus.model.peerkubeconfig import InvalidKubeconfig, PeerCredential
from isthmus.model.reasons import Reason
from isthmus.ports import PeerChange

from .api import PeerApi

_LOG = logging.getLogger(__name__)
_DEBOUNCE_SECONDS: Final = 0.1  # changes tend to come together
_STALE_SECONDS: Final = 90.0  # longer than the slowest read that is still allowed


class ReaderThread:
    """Keeps the last view of one peer; calls `changed` with the difference."""

    def __init__(
        self,
        cloud_id: str,
        kubeconfig: bytes,
        namespace: str,
        poll_seconds: float,
        changed: Callable[[PeerChange], None],
    ) -> None:
        self.kubeconfig = kubeconfig
        self._cloud_id = cloud_id
        self._namespace = namespace
        self._poll_seconds = poll_seconds
        self._changed = changed
        self._stop = threading.Event()
        self._view: PeerView | None = None
        self._stored_at = time.monotonic()

    def start(self, last: PeerView | None) -> None:
        """Start the thread; `last` is the view that was read with a previous credential of that peer."""
        self._view = last
        threading.Thread(target=self._run, name=f"peer-{self._cloud_id}", daemon=True).start()

    def stop(self) -> None:
        """End after the current request."""
        self._stop.set()

    def view(self) -> PeerView | None:
        """The last view, as unreachable if it is so old that the peer must be hanging; None if there is none yet."""
        stale_after_seconds = _STALE_SECONDS + self._poll_seconds
        if self._view and self._view.reachable and time.monotonic() - self._stored_at > stale_after_seconds:
            return _failed(self._view, Reason.PEER_UNREACHABLE, f"no answer for more than {stale_after_seconds:.0f} s")
        return self._view

    def _run(self) -> None:
        try:
            api = PeerApi(PeerCredential.parse(self.kubeconfig), self._namespace)
        except (InvalidKubeconfig, Invalid) as error:
            self._store(_failed(self._view, Reason.INVALID_KUBECONFIG, str(error)))
            return
        while not self._stop.is_set():
            started = time.monotonic()
            version = self._read(api)
            read_seconds = time.monotonic() - started
            if version is not None and self._wait_for_change(api, version):
                # A peer that reports changes all the time must not keep this thread busy for more than 50 % of it.
                self._stop.wait(max(_DEBOUNCE_SECONDS, read_seconds))
            else:
                self._stop.wait(max(0.0, started + self._poll_seconds - time.monotonic()))

    def _read(self, api: PeerApi) -> str | None:
        """Read everything once; returns the resourceVersion to watch from, None if the read failed."""
        try:
            peer_links, links, version = api.read()
            self._store(PeerView.of_documents(self._cloud_id, peer_links, links))
        except ExternalError as error:
            self._store(_failed(self._view, _reason(error), str(error)))
            return None
        return version

    def _wait_for_change(self, api: PeerApi, version: str) -> bool:
        """Wait for a change, at most one polling interval. A failed watch is ignored: the next read finds the cause."""
        try:
            return api.wait_for_change(version, self._poll_seconds)
        except ExternalError as error:
            _LOG.debug("watching %s: %s", self._cloud_id, error)
            return False

    def _store(self, view: PeerView) -> None:
        before, self._view, self._stored_at = self._view, view, time.monotonic()
        change = _difference(self._cloud_id, before, view)
        if not self._stop.is_set() and (change.peer or change.links):
            self._changed(change)


def _reason(error: ExternalError) -> Reason:
    if isinstance(error, Forbidden):
        return Reason.PEER_FORBIDDEN
    if isinstance(error, NotFound):
        return Reason.PEER_NOT_PUBLISHING
    return Reason.INVALID_ANSWER if isinstance(error, Invalid) else Reason.PEER_UNREACHABLE


def _failed(last: PeerView | None, reason: Reason, message: str) -> PeerView:
    return replace(last or PeerView(False), reachable=False, complete=False, reason=reason, message=message)


def _difference(cloud_id: str, before: PeerView | None, after: PeerView) -> PeerChange:
    """What the controller reacts to: not statuses, and not messages, whose details vary."""
    was, now = _versions(before), _versions(after)
    links = frozenset(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
    return PeerChange(cloud_id, before is None or _state(before) != _state(after), links)


def _versions(view: PeerView | None) -> dict[str, tuple[str, int]]:
    return {name: (link.uid, link.generation) for name, link in view.links.items()} if view else {}


def _state(view: PeerView) -> object:
    return view.reachable, view.reason, view.peer_link and (view.peer_link.uid, view.peer_link.generation)
