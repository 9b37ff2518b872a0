"""Storage of the fake API server: generations, finalizers and deletion as in a real one."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from isthmus.model.errors import Conflict, NotFound

Manifest = dict[str, Any]
T = TypeVar("T")
DELETED_AT = "2026-01-01T00:00:00Z"
# Fields that differ between two writes of the same content, or by when SAs were negotiated.
_OF_WRITES = frozenset(
    {"uid", "resourceVersion", "generation", "installedGeneration", "lastTransitionTime", "ikeSince", "espSince"}
)


@dataclass(frozen=True)
class Key:
    """Identity of an object."""

    api_version: str
    kind: str
    namespace: str | None
    name: str


@dataclass
class Entry:
    """An object, and what each field manager applied to it."""

    manifest: Manifest
    applied: dict[str, Manifest] = field(default_factory=dict)
    applied_status: dict[str, Manifest] = field(default_factory=dict)

    def copy(self) -> Entry:
        """An entry that can be changed without changing this one."""
        return Entry(copy_json(self.manifest), copy_json(self.applied), copy_json(self.applied_status))


class Store:
    """One API server. `down` makes every call fail; `writes` counts changes."""

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}
        self.events: list[tuple[str, str, str, str]] = []
        self.down = False
        self.writes = 0
        self.version = 0
        """The last resource version."""
        self._versions = itertools.count(1)

    def put(self, key: Key, entry: Entry, *, spec_changed: bool) -> None:
        """Store a new state of an object; a changed spec is a new generation."""
        metadata = entry.manifest["metadata"]
        if key not in self.entries:
            self._require_namespace(key)
            metadata |= {"uid": str(uuid.uuid4()), "generation": 1}
        elif spec_changed:
            metadata["generation"] += 1
        self._stamp(metadata)
        self.entries[key] = entry
        self.writes += 1

    def delete(self, key: Key, uid: str | None = None) -> None:
        """Mark as deleted what has finalizers, remove the rest."""
        entry = self.entries.get(key)
        if entry is None:
            return
        metadata = entry.manifest["metadata"]
        if uid is not None and metadata["uid"] != uid:
            raise Conflict(f"{key.kind} {key.name}: the UID in the precondition is {uid}, its own {metadata['uid']}")
        if key.kind == "Namespace":
            self._terminate_namespace(key)
        elif metadata.get("finalizers"):
            if "deletionTimestamp" not in metadata:
                metadata["deletionTimestamp"] = DELETED_AT
                self.put(key, entry, spec_changed=True)
        else:
            self.remove(key)

    def remove(self, key: Key) -> None:
        """Remove the object, and its namespace if that was only waiting for it."""
        self._stamp(self.entries.pop(key).manifest["metadata"])
        self.writes += 1
        home = Key("v1", "Namespace", None, key.namespace or "")
        namespace = self.entries.get(home)
        if namespace and "deletionTimestamp" in namespace.manifest["metadata"] and not self._inside(home):
            self._stamp(self.entries.pop(home).manifest["metadata"])

    def set_finalizers(self, key: Key, finalizers: list[str], resource_version: str | None) -> None:
        """Replace the finalizers; a terminating object without any is removed."""
        entry = self.entries.get(key)
        if entry is None:
            raise NotFound(f"{key.kind} {key.name} not found")
        metadata = entry.manifest["metadata"]
        if resource_version is not None and metadata["resourceVersion"] != resource_version:
            raise Conflict(f"{key.kind} {key.name}: the object has been modified")
        if metadata.get("finalizers", []) == finalizers:
            return
        metadata["finalizers"] = finalizers
        if "deletionTimestamp" in metadata and not finalizers:
            self.remove(key)
        else:
            self.put(key, entry, spec_changed=False)

    def read(self, key: Key) -> Manifest | None:
        """A copy of one object."""
        entry = self.entries.get(key)
        return copy_json(entry.manifest) if entry else None

    def read_all(self, api_version: str, kind: str, namespace: str | None) -> list[Manifest]:
        """Copies of all objects of a kind, by namespace and name."""
        found = [
            (key.namespace or "", key.name, entry.manifest)
            for key, entry in self.entries.items()
            if (key.api_version, key.kind) == (api_version, kind) and namespace in (None, key.namespace)
        ]
        return [copy_json(manifest) for *_, manifest in sorted(found, key=lambda f: f[:2])]

    def contents(self) -> dict[Key, Manifest]:
        """All objects, without what depends on the number and time of writes."""
        return {key: _without_writes(entry.manifest) for key, entry in self.entries.items()}

    def _stamp(self, metadata: Manifest) -> None:
        self.version = next(self._versions)
        metadata["resourceVersion"] = str(self.version)

    def _require_namespace(self, key: Key) -> None:
        if key.namespace is None:
            return
        namespace = self.entries.get(Key("v1", "Namespace", None, key.namespace))
        if namespace is None:
            raise NotFound(f'namespaces "{key.namespace}" not found')
        if "deletionTimestamp" in namespace.manifest["metadata"]:
            raise Conflict(f"namespace {key.namespace} is being terminated")

    def _terminate_namespace(self, key: Key) -> None:
        metadata = self.entries[key].manifest["metadata"]
        metadata["deletionTimestamp"] = DELETED_AT
        self._stamp(metadata)
        self.writes += 1
        for inside in self._inside(key):
            self.delete(inside)
        if key in self.entries and not self._inside(key):
            self._stamp(self.entries.pop(key).manifest["metadata"])

    def _inside(self, namespace: Key) -> list[Key]:
        return [key for key in self.entries if key.namespace == namespace.name]


def copy_json(value: T) -> T:
    """A deep copy of JSON, several times faster than `copy.deepcopy`; simulations copy a lot."""
    if isinstance(value, dict):
        return cast(T, {name: copy_json(item) for name, item in value.items()})
    return cast(T, [copy_json(item) for item in value]) if isinstance(value, list) else value


def _without_writes(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_writes(item) for name, item in value.items() if name not in _OF_WRITES}
    return [_without_writes(item) for item in value] if isinstance(value, list) else value
