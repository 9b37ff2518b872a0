"""Immutable mappings and sets that know by what they differ from the version that they were made from.

Thousands of networks change one at a time. Whoever derives something from each of them keeps the version that it has
seen, and asks the next one what has changed since. Only a version made from that one knows; of any others what they do
not share has to be compared, which is also how a mistake in what is derived is corrected from time to time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Self, TypeVar

from .sharedmapping import SharedMapping

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class Tracked(SharedMapping[K, V]):
    """A mapping that also knows by what it differs from the version that it was made from."""

    __slots__ = ("_changed_keys", "_origin", "_version")

    def __init__(self, items: Mapping[K, V] | Iterable[tuple[K, V]] = ()) -> None:
        super().__init__(items)
        self._version, self._origin = object(), object()  # not the mapping itself, which would keep all versions alive
        self._changed_keys: AbstractSet[K] = frozenset()

    def updated(self, values: Mapping[K, V | None]) -> Self:
        """A version with these values, and without the keys whose value is None. An equal value stays the old object.

        This very mapping if nothing changes.
        """
        changed = {key: value for key, value in values.items() if self.get(key) != value}
        return self._changed(changed) if changed else self

    def becoming(self, items: Mapping[K, V]) -> Self:
        """A version with exactly these items. Equal values stay the old objects."""
        return self.updated({**dict.fromkeys(key for key in self if key not in items), **items})

    def changes_since(self, before: object) -> Collection[K] | None:
        """The keys of which `before` has other values or none, or more than this; None if that is not known."""
        if before is self:
            return ()
        return self._changed_keys if isinstance(before, Tracked) and before._version is self._origin else None

    def _changed(self, values: Mapping[K, V | None]) -> Self:
        made = super()._changed(values)
        made._version, made._origin, made._changed_keys = object(), self._version, values.keys()
        return made


class TrackedSet(AbstractSet[T]):
    """A set. Its operators return plain sets; `updated` returns a version of it."""

    __slots__ = ("_members",)

    def __init__(self, members: Iterable[T] = ()) -> None:
        self._members: Tracked[T, T] = Tracked((member, member) for member in members)

    def updated(self, remove: Iterable[T], add: Iterable[T]) -> Self:
        """A version without the first members and with the second ones; this very set if nothing changes."""
        members = self._members.updated({**dict.fromkeys(remove), **{member: member for member in add}})
        if members is self._members:
            return self
        made = object.__new__(type(self))
        made._members = members
        return made

    def changes_since(self, before: object) -> Collection[T] | None:
        """The members that only one of both sets has; None if that is not known."""
        return self._members.changes_since(before._members) if isinstance(before, TrackedSet) else None

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[T]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({set(self)!r})"

    @classmethod
    def _from_iterable(cls, members: Iterable[Any]) -> frozenset[Any]:
        """What the operators return."""
        return frozenset(members)


def changes(before: Mapping[K, V], after: Mapping[K, V]) -> Collection[K] | None:
    """The keys by which two mappings differ, if that is known without looking at everything; else None."""
    if before is after:
        return ()
    return after.changes_since(before) if isinstance(after, Tracked) else None


def differing(before: Mapping[K, V], after: Mapping[K, V]) -> Collection[K]:
    """The keys by which two mappings differ; looks at everything that they do not share if it is not known."""
    known = changes(before, after)
    if known is not None:
        return known
    if isinstance(before, Tracked) and isinstance(after, Tracked):
        return {key for key in before.differing(after) if before.get(key) != after.get(key)}
    changed = {key for key, value in after.items() if (old := before.get(key)) is not value and old != value}
    return changed | {key for key in before if key not in after}


def differing_members(before: AbstractSet[T], after: AbstractSet[T]) -> Collection[T]:
    """The members that only one of two sets has; looks at everything if it is not known."""
    if before is after:
        return ()
    known = after.changes_since(before) if isinstance(after, TrackedSet) else None
    return before ^ after if known is None else known
