"""The controller's cache: this cloud's objects and the peers' views, with an index for every look-up of the planners.

A change costs the same however many objects there are. Objects of the kinds of which there are many are kept as
compressed JSON (about 1 kB instead of 18 kB) and parsed when they are read; those parsed last are kept.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple, TypeVar, cast

from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.memberlink import MemberLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.portslice import PortSlice
from isthmus.model.peertoken import Lifetime

from .deleted import DeletedObjects, version_number
from .facets import Facet, facets_of
from .manifests import ManifestCache, reduced_namespace, reduced_node, reduced_secret
from .not_understood import NotUnderstood, NotUnderstoodObjects
from .views import PeerViews

T = TypeVar("T", bound=CustomObject)
Value = str | int | tuple[str, int]
Key = tuple[str, str]
"""Namespace and name of an object; the namespace of cluster-scoped ones is empty."""

_COMPRESSED: Final = frozenset({NetworkExpansion, ExpansionLink, PortSlice, MemberLink, ExpansionApproval, Attachment})
_MAX_PARSED: Final = 512


class Change(NamedTuple):
    """An object as it was and as it is; None where it does not exist."""

    before: CustomObject | None
    after: CustomObject | None


@dataclass(frozen=True, slots=True)
class _Stored:
    content: bytes | CustomObject
    version: int
    facets: tuple[Facet, ...]


@dataclass
class Cache:
    """Each look-up and each change holds `lock`; a caller that needs a consistent view holds it over several."""

    lock: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Re-entrant."""

    namespaces: ManifestCache = field(default_factory=lambda: ManifestCache(reduced_namespace))
    nodes: ManifestCache = field(default_factory=lambda: ManifestCache(reduced_node))
    """Only nodes that carry the gateway label are kept."""
    secrets: ManifestCache = field(default_factory=lambda: ManifestCache(reduced_secret))
    """Of our own namespace, only those that hold a kubeconfig."""
    credentials: Mapping[str, Lifetime | None] = field(default_factory=dict)
    """By cloud ID the peers whose kubeconfig Secret exists: how long its token is valid, None if that is not known."""
    views: PeerViews = field(default_factory=PeerViews)
    not_understood: NotUnderstoodObjects = field(default_factory=NotUnderstoodObjects)
    """Stored objects that do not parse; of some of them an earlier version is among the objects."""
    _kinds: dict[type[CustomObject], dict[Key, _Stored]] = field(default_factory=dict)
    _found: dict[tuple[type[CustomObject], str], dict[Value, dict[Key, None]]] = field(default_factory=dict)
    """Keys of objects by kind, name of a facet and value."""
    _ordered: dict[type[CustomObject], tuple[CustomObject, ...]] = field(default_factory=dict)
    _parsed: OrderedDict[tuple[type[CustomObject], Key], CustomObject] = field(default_factory=OrderedDict)
    _deleted: DeletedObjects = field(default_factory=DeletedObjects)
    _lowest: dict[tuple[Facet, range], int] = field(default_factory=dict)

    def get(self, kind: type[T], key: Key) -> T | None:
        """One object, or None."""
        with self.lock:
            stored = self._kinds.get(kind, {}).get(key)
            return cast(T, self._object(kind, key, stored)) if stored is not None else None

    def keys(self, kind: type[CustomObject]) -> tuple[Key, ...]:
        """The keys of all objects of a kind."""
        with self.lock:
            return tuple(self._kinds.get(kind, ()))

    def all(self, kind: type[T]) -> tuple[T, ...]:
        """All objects of a kind of which there are few, ordered by namespace and name."""
        with self.lock:
            if kind not in self._ordered:
                held = self._kinds.get(kind, {})
                self._ordered[kind] = tuple(self._object(kind, key, held[key]) for key in sorted(held))
            return cast(tuple[T, ...], self._ordered[kind])

    def keys_with(self, kind: type[CustomObject], name: str, value: Value) -> tuple[Key, ...]:
        """The keys of the objects of a kind with that facet."""
        with self.lock:
            return tuple(self._with(kind, name, value))

    def count(self, kind: type[CustomObject], name: str, value: Value) -> int:
        """The number of objects of a kind with that facet."""
        with self.lock:
            return len(self._with(kind, name, value))

    def having(self, kind: type[T], name: str, value: Value) -> tuple[T, ...]:
        """The objects of a kind with that facet, ordered by namespace and name."""
        with self.lock:
            held = self._kinds.get(kind, {})
            keys = sorted(self._with(kind, name, value))
            return tuple(cast(T, self._object(kind, key, held[key])) for key in keys)

    def unused(
        self, kinds: Collection[type[CustomObject]], name: str, prefix: str, numbers: range, count: int
    ) -> tuple[int, ...]:
        """The lowest of these numbers without an object of these kinds that has the facet (prefix, number), at most
        `count`.

        Starts where the last search found the first, or at a number that has become unused since.
        """
        with self.lock:
            place = Facet(name, prefix), numbers
            candidates = range(self._lowest.get(place, numbers.start), numbers.stop)
            free = (
                number for number in candidates if not any(self._with(kind, name, (prefix, number)) for kind in kinds)
            )
            found = tuple(islice(free, count))
            if found:
                self._lowest[place] = found[0]
            return found

    def distinct(self, kind: type[CustomObject], name: str) -> int:
        """The number of values that a facet has among the objects of a kind."""
        with self.lock:
            return len(self._found.get((kind, name), ()))

    def counts(self, kind: type[CustomObject], name: str) -> dict[str, int]:
        """The number of objects of a kind by the value of a facet."""
        with self.lock:
            return {str(value): len(keys) for value, keys in self._found.get((kind, name), {}).items()}

    def is_known(self, kind: type[CustomObject], key: Key, resource_version: str | None) -> bool:
        """Whether that version of an object, or a newer one, is there already."""
        with self.lock:
            stored, unclear = self._kinds.get(kind, {}).get(key), self.not_understood.get(kind, key)
            version = version_number(resource_version)
            is_stored = stored is not None and stored.version >= version > 0
            return is_stored or (unclear is not None and unclear.version == version > 0)

    def put(self, obj: CustomObject) -> Change | None:
        """Add or replace an object; None if a newer version is known or it was deleted meanwhile."""
        kind, key, metadata = type(obj), key_of(obj), obj.metadata
        version = version_number(metadata.resource_version)
        with self.lock:
            held = self._kinds.setdefault(kind, {})
            old = held.get(key)
            is_late = self._deleted.has(metadata.uid, is_terminating=metadata.deletion_timestamp is not None)
            if (old is not None and old.version >= version > 0) or is_late:
                return None
            self.not_understood.discard(kind, key, until=version)
            before = self._object(kind, key, old) if old is not None else None
            stored = _Stored(_compact(obj), version, facets_of(obj))
            self._reindex(kind, key, old.facets if old else (), stored.facets)
            held[key] = stored
            self._ordered.pop(kind, None)
            self._remember(kind, key, obj)
        return Change(before, obj)

    def put_not_understood(self, found: NotUnderstood) -> None:
        """Add an object that does not parse, unless a newer version is known or it was deleted meanwhile."""
        with self.lock:
            stored = self._kinds.get(found.kind, {}).get(found.place[1])
            is_old = stored is not None and stored.version >= found.version > 0
            if not is_old and not self._deleted.has(found.uid, is_terminating=True):
                self.not_understood.add(found)

    def remove(
        self, kind: type[CustomObject], key: Key, uid: str | None = None, *, is_gone: bool = False
    ) -> Change | None:
        """Remove an object; with `uid` only if it is that one.

        `is_gone` if it does not exist any more, rather than only being deleted, which finalizers may delay.
        """
        with self.lock:
            unclear, before = self.not_understood.get(kind, key), self.get(kind, key)
            if unclear is not None and uid in (None, unclear.uid):
                self.not_understood.discard(kind, key)
                self._deleted.add(unclear.uid, is_gone=is_gone)
            if before is None or (uid is not None and before.metadata.uid != uid):
                self._deleted.add(uid, is_gone=is_gone)
                return None
            self._reindex(kind, key, self._kinds[kind].pop(key).facets, ())
            self._ordered.pop(kind, None)
            self._parsed.pop((kind, key), None)
            self._deleted.add(before.metadata.uid, is_gone=is_gone)
            return Change(before, None)

    def missing_in(
        self, kind: type[CustomObject], listed: AbstractSet[Key], resource_version: str | None
    ) -> tuple[Key, ...]:
        """The objects of a kind that a list of that resource version shows to be gone."""
        newest = version_number(resource_version)
        with self.lock:
            held = self._kinds.get(kind, {}).items()
            gone = {key for key, old in held if key not in listed and not (0 < newest < old.version)}
            return tuple(gone | {*self.not_understood.missing_in(kind, listed, newest)})

    def _with(self, kind: type[CustomObject], name: str, value: Value) -> Collection[Key]:
        return self._found.get((kind, name), {}).get(value, ())

    def _object(self, kind: type[CustomObject], key: Key, stored: _Stored) -> CustomObject:
        if not isinstance(stored.content, bytes):
            return stored.content
        found = self._parsed.get((kind, key))
        if found is None:
            found = kind.model_validate_json(zlib.decompress(stored.content))
            self._remember(kind, key, found)
        return found

    def _remember(self, kind: type[CustomObject], key: Key, obj: CustomObject) -> None:
        if kind in _COMPRESSED:
            self._parsed[kind, key] = obj
            self._parsed.move_to_end((kind, key))
            if len(self._parsed) > _MAX_PARSED:
                self._parsed.popitem(last=False)

    def _reindex(self, kind: type[CustomObject], key: Key, old: tuple[Facet, ...], new: tuple[Facet, ...]) -> None:
        for facet in set(old) - set(new):
            values = self._found[kind, facet.name]
            del values[facet.value][key]
            if not values[facet.value]:
                del values[facet.value]
                self._release_number(facet)
        for facet in set(new) - set(old):
            self._found.setdefault((kind, facet.name), {}).setdefault(facet.value, {})[key] = None

    def _release_number(self, facet: Facet) -> None:
        if isinstance(facet.value, tuple):
            prefix, number = facet.value
            for place in [place for place in self._lowest if place[0] == (facet.name, prefix)]:
                self._lowest[place] = min(self._lowest[place], max(number, place[1].start))


def key_of(obj: CustomObject) -> Key:
    """Namespace and name."""
    return obj.metadata.namespace or "", obj.metadata.name


def _compact(obj: CustomObject) -> bytes | CustomObject:
    if type(obj) not in _COMPRESSED:
        return obj
    return zlib.compress(obj.model_dump_json(by_alias=True, exclude_none=True).encode(), 1)
