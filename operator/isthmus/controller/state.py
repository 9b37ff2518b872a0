"""What the controller knows, shared by the threads that learn it and the workers that plan from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from isthmus.core.keys.changes import keys_of_namespace, keys_of_object, keys_of_view
from isthmus.core.keys.enumeration import peers, peers_with
from isthmus.core.keys.key import GATEWAY_NODES, Key
from isthmus.core.snapshot.cache import Cache, Change, key_of
from isthmus.core.snapshot.index import OwnCloud, Snapshot
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.objects import CustomObject
from isthmus.model.facts.gateway import NodeHealth
from isthmus.model.facts.peer import PeerView
from isthmus.model.peertoken import Lifetime
from isthmus.ports import Clock

_NAMESPACE_LABELS = (names.PEER_LABEL, names.MANAGED_BY_LABEL)


class State:
    """The cache. `lock` makes several look-ups, such as those of one plan, a consistent view.

    Each change reports the keys that it concerns to `changed`, after the cache has it; not the key `by`, whose own
    change it is.
    """

    def __init__(
        self,
        own: OwnCloud,
        clock: Clock,
        changed: Callable[[Iterable[Key]], None],
        gateway_health: Callable[[], Mapping[str, NodeHealth]],
    ) -> None:
        self.lock = threading.RLock()
        self._own, self._clock, self._changed, self._gateway_health = own, clock, changed, gateway_health
        self._cache = Cache(lock=self.lock)
        self._openstack_problem: Problem | None = None

    def snapshot(self) -> Snapshot:
        """A view of the cache: consistent while the caller holds `lock`."""
        health = self._gateway_health()
        return Snapshot(self._own, self._clock.now(), self._cache, health, self._openstack_problem)

    def put(self, obj: CustomObject) -> None:
        """An object as the API server stores it."""
        with self.lock:
            self._report(self._cache.put(obj), None)

    def store(self, obj: CustomObject, result: CustomObject | None, *, by: Key | None) -> None:
        """The object as the API server returned it after a change; None if it does not exist any more."""
        with self.lock:
            change = self._cache.put(result) if result else self._cache.remove(type(obj), key_of(obj), obj.metadata.uid)
            self._report(change, by)

    def remove_key(self, kind: type[CustomObject], key: tuple[str, str], uid: str | None) -> None:
        """The object with that namespace, name and UID does not exist any more."""
        with self.lock:
            self._report(self._cache.remove(kind, key, uid), None)

    def retain(self, kind: type[CustomObject], listed: AbstractSet[tuple[str, str]]) -> None:
        """Of this kind only these objects exist, by namespace and name."""
        for key in self._cache.keys(kind):
            if key not in listed:
                self.remove_key(kind, key, None)

    def put_namespace(self, name: str, manifest: Mapping[str, Any] | None, *, by: Key | None = None) -> None:
        """A namespace as it is stored; None if it does not exist."""
        with self.lock:
            before = self._cache.namespaces.get(name)
            after = reduced_namespace(manifest) if manifest is not None else None
            if after is None:
                self._cache.namespaces.pop(name, None)
            else:
                self._cache.namespaces[name] = after
            self._mark(keys_of_namespace(self.snapshot(), name, before, after), by)

    def replace_namespaces(self, manifests: Iterable[Mapping[str, Any]]) -> None:
        """A complete list of namespaces."""
        listed = {manifest["metadata"]["name"]: manifest for manifest in manifests}
        for name in [name for name in self._cache.namespaces if name not in listed]:
            self.put_namespace(name, None)
        for name, manifest in listed.items():
            self.put_namespace(name, manifest)

    def set_gateway_nodes(self, nodes: frozenset[str]) -> None:
        """The Kubernetes nodes that carry the gateway label."""
        with self.lock:
            before, self._cache.gateway_nodes = self._cache.gateway_nodes, nodes
            self._mark({GATEWAY_NODES} if before != nodes else (), None)

    def set_credentials(self, credentials: Mapping[str, Lifetime | None]) -> None:
        """By cloud ID the peers whose kubeconfig Secret exists, and how long its token is valid if that is known."""
        with self.lock:
            before, self._cache.credentials = self._cache.credentials, credentials
            changed = {cloud_id for cloud_id, _ in before.items() ^ credentials.items()}
            snapshot = self.snapshot()
            self._mark({key for cloud_id in changed for key in peers_with(snapshot, cloud_id)}, None)

    def set_views(self, views: Mapping[str, PeerView]) -> None:
        """The last results from the peers' APIs."""
        with self.lock:
            for change in self._cache.views.replace(views):
                self._mark(keys_of_view(self.snapshot(), change), None)

    def set_openstack_problem(self, problem: Problem | None) -> None:
        """Why this cloud's OpenStack cannot be used at all; None if it can."""
        with self.lock:
            before, self._openstack_problem = self._openstack_problem, problem
            self._mark(peers(self.snapshot()) if before != problem else (), None)

    def _report(self, change: Change | None, by: Key | None) -> None:
        if change is not None:
            self._mark(keys_of_object(self.snapshot(), change), by)

    def _mark(self, keys: Iterable[Key], by: Key | None) -> None:
        self._changed([key for key in sorted(keys) if key != by])


def reduced_namespace(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """The namespace without all that planning does not need, so that it costs little and its changes make no work."""
    metadata = manifest["metadata"]
    annotation = (metadata.get("annotations") or {}).get(names.PROJECT_ANNOTATION)
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name in _NAMESPACE_LABELS}
    kept: dict[str, Any] = {name: metadata[name] for name in ("name", "uid") if name in metadata}
    if annotation is not None:
        kept["annotations"] = {names.PROJECT_ANNOTATION: annotation}
    if labels:
        kept["labels"] = labels
    if "deletionTimestamp" in metadata:
        kept["deletionTimestamp"] = metadata["deletionTimestamp"]
    return {"metadata": kept}
