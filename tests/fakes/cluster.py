"""A fake of ports.Cluster: server-side apply reduced to what our objects need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from isthmus.model import names
from isthmus.model.api.objects import CustomObject
from isthmus.model.errors import Conflict, Invalid, NotFound, Unavailable
from isthmus.model.names import API_VERSION
from isthmus.ports import Manifest, T

from . import documented
from .store import Entry, Key, Store, copy_json

# Lists that several managers write, by the key of their entries: the schemas' x-kubernetes-list-map-keys.
_SHARED_LISTS = {"conditions": "type", "nodes": "node"}


class FakeCluster:
    """One client of a Store, under the name of one field manager (`kubectl` for administrators and tenants)."""

    def __init__(self, store: Store, manager: str = names.CONTROLLER) -> None:
        self.store = store
        self.manager = manager

    def list_objects(self, kind: type[T], namespace: str | None = None) -> list[T]:
        return [_parsed(kind, m) for m in self.list_manifests(API_VERSION, kind.registration.kind, namespace)]

    def get(self, kind: type[T], name: str, namespace: str | None = None) -> T | None:
        found = self.get_manifest(API_VERSION, kind.registration.kind, name, namespace)
        return _parsed(kind, found) if found else None

    def apply(self, obj: T) -> T:
        return type(obj).from_wire(self.apply_manifest(obj.to_manifest()))

    def apply_status(self, obj: T) -> T:
        self._ask()
        key = _key(API_VERSION, obj.registration.kind, obj.metadata.name, obj.metadata.namespace)
        entry = self.store.entries.get(key)
        if entry is None:
            raise NotFound(f"{key.kind} {key.name} not found")
        new = entry.copy()
        if self.manager.startswith("isthmus"):
            documented.check(obj)
        status = obj.to_wire().get("status", {})
        new.applied_status.pop(self.manager, None)
        new.applied_status[self.manager] = {k: v for k, v in status.items() if v != []}
        new.manifest["status"] = _merged_status(new.applied_status.values())
        if new.manifest["status"] != entry.manifest.get("status", {}):
            self.store.put(key, new, spec_changed=False)
        return type(obj).from_wire(new.manifest)

    def set_conditions(
        self,
        kind: type[CustomObject],
        name: str,
        namespace: str | None,
        conditions: Sequence[Mapping[str, Any]],
        resource_version: str | None,
    ) -> None:
        self._ask()
        key = _key(API_VERSION, kind.registration.kind, name, namespace)
        entry = self.store.entries.get(key)
        if entry is None:
            raise NotFound(f"{key.kind} {key.name} not found")
        if resource_version not in (None, entry.manifest["metadata"]["resourceVersion"]):
            raise Conflict(f"{key.kind} {key.name}: the object has been modified")
        new = entry.copy()
        found = [dict(condition) for condition in conditions]
        for status in (new.manifest.setdefault("status", {}), new.applied_status.setdefault(self.manager, {})):
            status["conditions"] = copy_json(found)
        if new.manifest != entry.manifest:
            self.store.put(key, new, spec_changed=False)

    def set_finalizers(self, obj: CustomObject, finalizers: Sequence[str]) -> None:
        self._ask()
        key = _key(API_VERSION, obj.registration.kind, obj.metadata.name, obj.metadata.namespace)
        self.store.set_finalizers(key, list(finalizers), obj.metadata.resource_version)

    def delete(self, kind: type[CustomObject], name: str, namespace: str | None = None, uid: str | None = None) -> None:
        self.delete_manifest(API_VERSION, kind.registration.kind, name, namespace, uid)

    def list_manifests(self, api_version: str, kind: str, namespace: str | None = None) -> list[Manifest]:
        self._ask()
        return self.store.read_all(api_version, kind, namespace)

    def get_manifest(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        self._ask()
        return self.store.read(_key(api_version, kind, name, namespace))

    def apply_manifest(self, manifest: Manifest) -> Manifest:
        self._ask()
        wanted = copy_json(manifest)
        metadata = wanted["metadata"]
        key = _key(wanted["apiVersion"], wanted["kind"], metadata["name"], metadata.get("namespace"))
        old = self.store.entries.get(key)
        new = old.copy() if old else Entry({"metadata": {"name": key.name}})
        if key.namespace:
            new.manifest["metadata"]["namespace"] = key.namespace
        _merge_metadata(new, self.manager, metadata)
        content = {k: v for k, v in wanted.items() if k not in {"metadata", "status"}}
        new.manifest |= content
        new.applied[self.manager] = {"metadata": metadata}
        before = {k: v for k, v in old.manifest.items() if k not in {"metadata", "status"}} if old else None
        if old is None or new.manifest != old.manifest:
            self.store.put(key, new, spec_changed=before is not None and before != before | content)
        elif old:
            old.applied = new.applied
        return copy_json(new.manifest)

    def delete_manifest(
        self, api_version: str, kind: str, name: str, namespace: str | None = None, uid: str | None = None
    ) -> None:
        self._ask()
        self.store.delete(_key(api_version, kind, name, namespace), uid)

    def event(self, obj: CustomObject, type_: str, reason: str, message: str) -> None:
        self.store.events.append((obj.metadata.name, type_, reason, message))

    def _ask(self) -> None:
        if self.store.down:
            raise Unavailable("the API server does not answer")


def _parsed(kind: type[T], manifest: Manifest) -> T:
    try:
        return kind.from_wire(manifest)
    except ValidationError as error:
        raise Invalid(f"{kind.registration.kind} {manifest['metadata']['name']} is not understood") from error


def _key(api_version: str, kind: str, name: str, namespace: str | None) -> Key:
    return Key(api_version, kind, namespace, name)


def _merge_metadata(entry: Entry, manager: str, wanted: Manifest) -> None:
    """Remove what this manager no longer applies, unless another manager applies it, too."""
    metadata = entry.manifest["metadata"]
    mine = entry.applied.get(manager, {}).get("metadata", {})
    others = [applied["metadata"] for name, applied in entry.applied.items() if name != manager]
    for part in ("labels", "annotations"):
        kept = dict(metadata.get(part, {}))
        for name in mine.get(part, {}):
            if not any(name in other.get(part, {}) for other in others):
                kept.pop(name, None)
        _set_or_drop(metadata, part, kept | wanted.get(part, {}))
    dropped = set(mine.get("finalizers", [])) - {f for other in others for f in other.get("finalizers", [])}
    finalizers = [f for f in metadata.get("finalizers", []) if f not in dropped]
    finalizers += [f for f in wanted.get("finalizers", []) if f not in finalizers]
    _set_or_drop(metadata, "finalizers", finalizers)


def _set_or_drop(metadata: Manifest, part: str, value: Any) -> None:
    if value:
        metadata[part] = value
    else:
        metadata.pop(part, None)


def _merged_status(statuses: Iterable[Manifest]) -> Manifest:
    """Merge shared lists by their key; of all other fields the last manager's value wins."""
    merged: Manifest = {}
    for status in statuses:
        for name, value in status.items():
            key = _SHARED_LISTS.get(name)
            if key and name in merged:
                merged[name] = list({entry[key]: entry for entry in [*merged[name], *value]}.values())
            else:
                merged[name] = copy_json(value)
    return merged
