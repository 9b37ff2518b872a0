"""`ports.PeerReader` with one thread for each kind of each peer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from isthmus.model.facts.peer import PeerView
from isthmus.model.names import peer_namespace

from .reader import Reader


class RemotePeers:
    """The views of all followed peers."""

    def __init__(self, own_cloud_id: str, poll_seconds: float) -> None:
        self._namespace = peer_namespace(own_cloud_id)
        self._poll_seconds = poll_seconds
        self._readers: dict[str, Reader] = {}
        self._lock = threading.Lock()
        self._changed: Callable[[], None] = lambda: None

    def start(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def stop(self) -> None:
        self.follow({})

    def follow(self, kubeconfigs: Mapping[str, bytes]) -> None:
        with self._lock:
            for cloud_id in self._readers.keys() - kubeconfigs.keys():
                self._readers.pop(cloud_id).stop()
            for cloud_id, kubeconfig in kubeconfigs.items():
                self._follow_one(cloud_id, kubeconfig)

    def views(self) -> Mapping[str, PeerView]:
        with self._lock:
            views = {cloud_id: reader.view() for cloud_id, reader in self._readers.items()}
        return {cloud_id: view for cloud_id, view in views.items() if view is not None}

    def _follow_one(self, cloud_id: str, kubeconfig: bytes) -> None:
        current = self._readers.get(cloud_id)
        if current and current.kubeconfig == kubeconfig:
            return
        if current:
            current.stop()
        reader = Reader(cloud_id, kubeconfig, self._namespace, self._poll_seconds, lambda: self._changed())
        reader.start(current)
        self._readers[cloud_id] = reader
