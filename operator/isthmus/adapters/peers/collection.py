"""The objects of one kind that a peer publishes, kept up to date by lists and by single changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Generic

from isthmus.model.api.v1alpha1.portslice import PortSliceSpec
from isthmus.model.errors import Invalid
from isthmus.model.facts.peer import Identity, Published, S, bucket_of_name, read_object
from isthmus.model.sharedmapping import SharedMapping

from .budget import FREE, MAX_NAMES, Budget, Cost


class Collection(Generic[S]):
    """Objects by name. An object whose UID and generation are known is not parsed again."""

    def __init__(self, spec_type: type[S], budget: Budget) -> None:
        self._spec_type = spec_type
        self._budget = budget
        self._costs: dict[str, Cost] = {}
        self._listed: set[str] = set()
        self.objects = SharedMapping[str, Published[S]]()

    def begin_list(self) -> None:
        """A complete list begins: what is not put until its end does not exist any more."""
        self._listed.clear()

    def put(self, documents: Iterable[Mapping[str, Any]]) -> frozenset[str]:
        """Add or replace objects; returns the names of those that changed. Raises Invalid if there are too many."""
        identified = ((Identity.of(document), document) for document in documents)
        return frozenset(i.name for i, document in identified if i and self._put(i, document.get("spec")))

    def end_list(self) -> frozenset[str]:
        """The list is complete; returns the names of the objects that are gone."""
        return self.remove(self.objects.keys() - self._listed)

    def remove(self, names: Iterable[str]) -> frozenset[str]:
        """Remove objects; returns the names of those that there were."""
        gone = frozenset(name for name in names if name in self.objects)
        self._listed -= gone
        for name in gone:
            self._store(name, None)
            self._budget.exchange(self._costs.pop(name, FREE), FREE)
        return gone

    def _put(self, identity: Identity, spec: object) -> bool:
        name = identity.name
        self._listed.add(name)
        if len(self._listed) > MAX_NAMES or len(self.objects) > MAX_NAMES:
            raise Invalid(f"more than {MAX_NAMES} objects of one kind")
        known: Published[S] | None = self.objects.get(name)
        is_known = known is not None and (known.uid, known.generation) == (identity.uid, identity.generation)
        if is_known and name in self._costs:
            return False
        published = self._read(identity, spec)
        changed = known != published
        if changed:
            self._store(name, published)
        return changed

    def _store(self, name: str, published: Published[S] | None) -> None:
        """Replace one object; None removes it."""
        objects = self.objects
        self.objects = objects.without(name) if published is None else objects.with_value(name, published)

    def _read(self, identity: Identity, spec: object) -> Published[S]:
        """The object as far as the budget allows; beyond it without content, to be tried again at every list."""
        old = self._costs.pop(identity.name, FREE)
        try:
            cost = Cost.of(spec)
        except RecursionError:
            self._budget.exchange(old, FREE)
            return Published(identity.uid, identity.generation, None, "nested too deeply")
        problem = self._budget.exchange(old, cost)
        if problem:
            return Published(identity.uid, identity.generation, None, problem)
        self._costs[identity.name] = cost
        return read_object(identity, spec, self._spec_type)


class PortSlices(Collection[PortSliceSpec]):
    """PortSlices, also by the network that they are of."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(PortSliceSpec, budget)
        self.by_link = SharedMapping[str, Mapping[int, Published[PortSliceSpec]]]()
        """By link name, then by bucket; those whose name has no bucket are missing."""

    def _store(self, name: str, published: Published[PortSliceSpec] | None) -> None:
        super()._store(name, published)
        link_name, bucket = bucket_of_name(name)
        if bucket is None:
            return
        slices = {b: each for b, each in self.by_link.get(link_name, {}).items() if b != bucket}
        if published is not None:
            slices[bucket] = published
        by_link = self.by_link
        self.by_link = by_link.with_value(link_name, slices) if slices else by_link.without(link_name)
