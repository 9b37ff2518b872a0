"""A fake of ports.PeerReader: reads the peers' Stores directly, with the parser of the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from isthmus.model import names
from isthmus.model.facts.peer import PeerView
from isthmus.model.names import API_VERSION
from isthmus.model.reasons import Reason

from .store import Key, Store


class FakePeerReader:
    """What one cloud reads of the others. The credential's content is ignored."""

    def __init__(self, own_cloud_id: str, stores: Mapping[str, Store]) -> None:
        self._namespace = names.peer_namespace(own_cloud_id)
        self._stores = stores
        self._views: dict[str, PeerView] = {}

    def start(self, changed: Callable[[], None]) -> None:
        """Wakes nobody: tests run cycles explicitly."""

    def stop(self) -> None:
        """Nothing runs."""

    def follow(self, kubeconfigs: Mapping[str, bytes]) -> None:
        self._views = {cloud_id: self._views.get(cloud_id, PeerView(reachable=False)) for cloud_id in kubeconfigs}

    def views(self) -> Mapping[str, PeerView]:
        self._views = {cloud_id: self._read(cloud_id, last) for cloud_id, last in self._views.items()}
        return dict(self._views)

    def _read(self, cloud_id: str, last: PeerView) -> PeerView:
        store = self._stores.get(cloud_id)
        if store is None or store.down:
            return _failed(last, Reason.PEER_UNREACHABLE, "the peer's API does not answer")
        if Key("v1", "Namespace", None, self._namespace) not in store.entries:
            return _failed(last, Reason.PEER_FORBIDDEN, "our account was deleted with its namespace")
        kinds = ("PeerLink", "ExpansionLink", "PortSlice", "MemberLink")
        lists = (store.read_all(API_VERSION, kind, self._namespace) for kind in kinds)
        return PeerView.of_documents(cloud_id, *lists)


def _failed(last: PeerView, reason: Reason, message: str) -> PeerView:
    return replace(last, reachable=False, complete=False, reason=reason, message=message)
