"""Immutable mappings and sets that know by what they differ from the version that they were made from.

Thousands of networks change one at a time. Whoever derives something from each of them keeps the version that it has
seen, and asks the next one what has changed since. Only versions made from each other know; of any others everything
has to be compared, which is also how a mistake in what is derived is corrected from time to time.

To make a version costs what changes, too: all others of its parts are those of the version that it is made from.
"""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterable, Iterator, Mapping, ValuesView
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any, Final, Self, TypeVar

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
_PARTS: Final = 256


class Tracked(Mapping[K, V]):
    """A mapping whose values are never None. Without order."""

    __slots__ = ("_changed", "_length", "_origin", "_parts", "_version")

    def __init__(self, items: Mapping[K, V] | Iterable[tuple[K, V]] = ()) -> None:
        self._parts: list[dict[K, V]] = [{} for _ in range(_PARTS)]
        for key, value in items.items() if isinstance(items, Mapping) else items:
            self._parts[_part(key)][key] = value
        self._length = sum(map(len, self._parts))
        self._version, self._origin = object(), object()  # not the mapping itself, which would keep all versions alive
        self._changed: AbstractSet[K] = frozenset()

    def updated(self, values: Mapping[K, V | None]) -> Self:
        """A version with these values, and without the keys whose value is None. An equal value stays the old object.

        This very mapping if nothing changes.
        """
        changed = {key: value for key, value in values.items() if self.get(key) != value}
        if not changed:
            return self
        made = object.__new__(type(self))
        made._parts, made._length = self._parts.copy(), self._length
        made._version, made._origin, made._changed = object(), self._version, changed.keys()
        for number in {_part(key) for key in changed}:
            made._parts[number] = made._parts[number].copy()
        for key, value in changed.items():
            part = made._parts[_part(key)]
            made._length -= key in part
            if value is None:
                del part[key]
            else:
                part[key] = value
                made._length += 1
        return made

    def becoming(self, items: Mapping[K, V]) -> Self:
        """A version with exactly these items. Equal values stay the old objects."""
        return self.updated({**dict.fromkeys(key for key in self if key not in items), **items})

    def changes_since(self, before: object) -> Collection[K] | None:
        """The keys of which `before` has other values or none, or more than this; None if that is not known."""
        if before is self:
            return ()
        return self._changed if isinstance(before, Tracked) and before._version is self._origin else None

    def __getitem__(self, key: K) -> V:
        return self._parts[_part(key)][key]

    def get(self, key: K, default: Any = None) -> Any:
        return self._parts[_part(key)].get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._parts[_part(key)]

    def __iter__(self) -> Iterator[K]:
        return chain.from_iterable(self._parts)

    def __len__(self) -> int:
        return self._length

    def values(self) -> ValuesView[V]:
        return _Values(self)

    def items(self) -> ItemsView[K, V]:
        return _Items(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Tracked):
            return self is other or self._parts == other._parts
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"


class _Values(ValuesView[V]):
    _mapping: Tracked[Any, V]

    def __iter__(self) -> Iterator[V]:
        return chain.from_iterable(part.values() for part in self._mapping._parts)


class _Items(ItemsView[K, V]):
    _mapping: Tracked[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return chain.from_iterable(part.items() for part in self._mapping._parts)


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
    """The keys by which two mappings differ; looks at everything if it is not known."""
    known = changes(before, after)
    if known is not None:
        return known
    changed = {key for key, value in after.items() if (old := before.get(key)) is not value and old != value}
    return changed | {key for key in before if key not in after}


def differing_members(before: AbstractSet[T], after: AbstractSet[T]) -> Collection[T]:
    """The members that only one of two sets has; looks at everything if it is not known."""
    if before is after:
        return ()
    known = after.changes_since(before) if isinstance(after, TrackedSet) else None
    return before ^ after if known is None else known


def _part(key: object) -> int:
    """The lowest bits of some keys, such as cookies, are the same in all of them."""
    found = hash(key)
    return (found ^ found >> 16) % _PARTS
