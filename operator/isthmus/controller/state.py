"""What the controller knows, shared by the threads that learn it and the workers that plan from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

from isthmus.core.keys.changes import keys_of_namespace, keys_of_object, keys_of_view
from isthmus.core.keys.enumeration import peers, peers_with
from isthmus.core.keys.key import GATEWAY_NODES, NOT_UNDERSTOOD, Key
from isthmus.core.keys.understanding import keys_of_not_understood
from isthmus.core.snapshot.cache import Cache, Change, key_of
from isthmus.core.snapshot.index import OwnCloud, Snapshot
from isthmus.core.snapshot.manifests import NAMESPACE, NODE, SECRET, ManifestCache
from isthmus.core.snapshot.not_understood import NotUnderstood
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.facts.gateway import NodeHealth
from isthmus.model.facts.peer import PeerView
from isthmus.model.peertoken import Lifetime
from isthmus.ports import Clock


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
        self._manifests = {NAMESPACE: self._cache.namespaces, NODE: self._cache.nodes, SECRET: self._cache.secrets}
        self._openstack_problem: Problem | None = None
        self.credentials_are_outdated = True
        """Whether `kubeconfigs` may return something else than the last time."""

    def snapshot(self) -> Snapshot:
        """A view of the cache: consistent while the caller holds `lock`."""
        health = self._gateway_health()
        return Snapshot(self._own, self._clock.now(), self._cache, health, self._openstack_problem)

    def put(self, obj: CustomObject) -> None:
        """An object as the API server stores it."""
        with self._resolving(type(obj), key_of(obj)):
            self._report(self._cache.put(obj), None)

    def put_not_understood(self, found: NotUnderstood) -> None:
        """An object that does not parse."""
        kind, key = found.place
        with self._resolving(kind, key):
            self._cache.put_not_understood(found)

    def note_report(self, kind: type[CustomObject], key: tuple[str, str], resource_version: str | None) -> None:
        """The status of an object that is not understood says so now, or cannot."""
        with self.lock:
            self._cache.not_understood.report(kind, key, resource_version)

    def store(self, obj: CustomObject, result: CustomObject | None, *, by: Key | None) -> None:
        """The object as the API server returned it after a change; None if it does not exist any more."""
        with self._resolving(type(obj), key_of(obj)):
            change = self._cache.put(result) if result else self._cache.remove(type(obj), key_of(obj), obj.metadata.uid)
            self._report(change, by)

    def is_known(self, kind: type[CustomObject], key: tuple[str, str], resource_version: str | None) -> bool:
        """Whether that version of an object, or a newer one, is stored already."""
        return self._cache.is_known(kind, key, resource_version)

    def remove(self, kind: type[CustomObject], key: tuple[str, str], uid: str | None) -> None:
        """The object with that namespace, name and UID does not exist any more."""
        with self._resolving(kind, key):
            self._report(self._cache.remove(kind, key, uid, is_gone=True), None)

    def retain(
        self, kind: type[CustomObject], listed: AbstractSet[tuple[str, str]], resource_version: str | None
    ) -> None:
        """When a list of that version was made, only these objects of a kind existed, by namespace and name."""
        with self.lock:
            for key in self._cache.missing_in(kind, listed, resource_version):
                self.remove(kind, key, None)

    def put_manifest(self, kind: str, manifest: Mapping[str, Any], *, by: Key | None = None) -> None:
        """A Namespace, a Node, or a Secret of our own namespace as it is stored."""
        with self._changing(kind, manifest["metadata"]["name"], by) as held:
            held.put(manifest)

    def remove_manifest(self, kind: str, name: str, uid: str | None = None, *, by: Key | None = None) -> None:
        """It does not exist any more; with `uid` only that one."""
        with self._changing(kind, name, by) as held:
            held.remove(name, uid)

    def retain_manifests(self, kind: str, listed: AbstractSet[str], resource_version: str | None) -> None:
        """When a list of that version was made, only these existed."""
        with self.lock:
            for name in self._manifests[kind].missing_in(listed, resource_version):
                self.remove_manifest(kind, name)

    def store_namespace(self, name: str, result: Mapping[str, Any] | None, *, by: Key | None) -> None:
        """A namespace as the API server returned it after a change; None if it does not exist any more."""
        if result is None:
            self.remove_manifest(NAMESPACE, name, by=by)
        else:
            self.put_manifest(NAMESPACE, result, by=by)

    def kubeconfigs(self) -> dict[str, bytes]:
        """By cloud ID, of the CloudPeers that own their cloud ID and whose Secret holds one."""
        with self.lock:
            self.credentials_are_outdated = False
            snapshot, secrets = self.snapshot(), self._cache.secrets.reduced
            found = {}
            for peer in snapshot.all(CloudPeer):
                secret = secrets.get(peer.spec.api.kubeconfig_secret_ref.name)
                is_owner = snapshot.peer_of(peer.spec.cloud_id) == peer and peer.spec.cloud_id != self._own.cloud_id
                if is_owner and secret is not None:
                    found[peer.spec.cloud_id] = secret[names.KUBECONFIG_KEY].content
            return found

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

    @contextmanager
    def _resolving(self, kind: type[CustomObject], key: tuple[str, str]) -> Iterator[None]:
        """Reports the keys that wait for an object, if it was not understood and is now, or is gone."""
        with self.lock:
            before = self._cache.not_understood.get(kind, key)
            yield
            after = self._cache.not_understood.get(kind, key)
            if before is not None and after is not before:
                self._mark(keys_of_not_understood(self.snapshot(), before), None)
            elif after is not before:
                self._mark({NOT_UNDERSTOOD}, None)

    @contextmanager
    def _changing(self, kind: str, name: str, by: Key | None) -> Iterator[ManifestCache]:
        with self.lock:
            held = self._manifests[kind]
            before = held.reduced.get(name)
            yield held
            after = held.reduced.get(name)
            if before == after:
                return
            if kind == NAMESPACE:
                self._mark(keys_of_namespace(self.snapshot(), name, before, after), by)
            elif kind == NODE:
                self._mark({GATEWAY_NODES}, None)
            else:
                self.credentials_are_outdated = True

    def _report(self, change: Change | None, by: Key | None) -> None:
        if change is not None:
            self.credentials_are_outdated |= isinstance(change.after or change.before, CloudPeer)
            self._mark(keys_of_object(self.snapshot(), change), by)

    def _mark(self, keys: Iterable[Key], by: Key | None) -> None:
        self._changed([key for key in sorted(keys) if key != by])
