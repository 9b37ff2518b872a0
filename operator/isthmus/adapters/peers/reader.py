"""The thread that reads one peer again and again."""

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

from .api import PeerApi

_LOG = logging.getLogger(__name__)
_SETTLE_SECONDS: Final = 0.1  # one change rarely comes alone
_STALE_SECONDS: Final = 90.0  # longer than the slowest read that is still allowed


class PeerReader:
    """Holds the last read of one peer; `wake` is called when it became another."""

    def __init__(
        self, cloud_id: str, kubeconfig: bytes, namespace: str, poll_seconds: float, wake: Callable[[], None]
    ) -> None:
        self.kubeconfig = kubeconfig
        self._cloud_id = cloud_id
        self._namespace = namespace
        self._poll_seconds = poll_seconds
        self._wake = wake
        self._stop = threading.Event()
        self._view: PeerView | None = None
        self._ended = time.monotonic()

    def start(self, last: PeerView | None) -> None:
        """Begin, from what another credential of that peer read last."""
        self._view = last
        threading.Thread(target=self._run, name=f"peer-{self._cloud_id}", daemon=True).start()

    def stop(self) -> None:
        """End after the call that is under way."""
        self._stop.set()

    def view(self) -> PeerView | None:
        """The last read, unless it is so old that the peer must be hanging."""
        interval_seconds = _STALE_SECONDS + self._poll_seconds
        if self._view and self._view.reachable and time.monotonic() - self._ended > interval_seconds:
            return _failed(self._view, Reason.PEER_UNREACHABLE, f"no answer for more than {interval_seconds:.0f} s")
        return self._view

    def _run(self) -> None:
        try:
            api = PeerApi(PeerCredential.parse(self.kubeconfig), self._namespace)
        except (InvalidKubeconfig, Invalid) as error:
            self._hold(_failed(self._view, Reason.INVALID_KUBECONFIG, str(error)))
            return
        while not self._stop.is_set():
            began = time.monotonic()
            version = self._read(api)
            took_seconds = time.monotonic() - began
            if version is not None and self._changes_early(api, version):
                # A peer that always says "changed" has us read for half of the time at most.
                self._stop.wait(max(_SETTLE_SECONDS, took_seconds))
            else:
                self._stop.wait(max(0.0, began + self._poll_seconds - time.monotonic()))

    def _read(self, api: PeerApi) -> str | None:
        """Read everything; the version to watch from, or None where that failed."""
        try:
            peer_links, links, version = api.read()
            self._hold(PeerView.of_documents(self._cloud_id, peer_links, links))
        except ExternalError as error:
            self._hold(_failed(self._view, _reason(error), str(error)))
            return None
        return version

    def _changes_early(self, api: PeerApi, version: str) -> bool:
        """Wait for a change, one polling interval at most. A watch that fails is no news: the next read tells."""
        try:
            return api.wait_for_change(version, self._poll_seconds)
        except ExternalError as error:
            _LOG.debug("watching %s: %s", self._cloud_id, error)
            return False

    def _hold(self, view: PeerView) -> None:
        before, self._view, self._ended = self._view, view, time.monotonic()
        if not self._stop.is_set() and (before is None or _wake_key(before) != _wake_key(view)):
            if not view.reachable:
                _LOG.warning("peer %s: %s: %s", self._cloud_id, view.reason, view.message)
            self._wake()


def _reason(error: ExternalError) -> Reason:
    if isinstance(error, Forbidden):
        return Reason.PEER_FORBIDDEN
    if isinstance(error, NotFound):
        return Reason.PEER_NOT_PUBLISHING
    return Reason.INVALID_ANSWER if isinstance(error, Invalid) else Reason.PEER_UNREACHABLE


def _failed(last: PeerView | None, reason: Reason, message: str) -> PeerView:
    return replace(last or PeerView(False), reachable=False, complete=False, reason=reason, message=message)


def _wake_key(view: PeerView) -> object:
    """What wakes: not a status, nor a message whose details differ each time."""
    published = {name: (link.uid, link.generation) for name, link in view.links.items()}
    peer_link = view.peer_link and (view.peer_link.uid, view.peer_link.generation)
    return view.reachable, view.reason, peer_link, published
