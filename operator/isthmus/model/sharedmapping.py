"""An immutable mapping of which a changed version shares almost all of its memory with the one before."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from itertools import chain
from typing import Any, Final, Self, TypeVar

K = TypeVar("K")
V = TypeVar("V")
E = TypeVar("E")
_Leaf = Mapping[K, V]
_Branch = tuple[_Leaf[K, V], ...]

_WIDTH: Final = 64
_NO_LEAF: Final[_Leaf[Any, Any]] = {}
_NO_BRANCH: Final[_Branch[Any, Any]] = (_NO_LEAF,) * _WIDTH
_EMPTY: Final[tuple[_Branch[Any, Any], ...]] = (_NO_BRANCH,) * _WIDTH


class SharedMapping(Mapping[K, V]):
    """Values, which are never None, by key, in 64 branches of 64 leaves by the keys' hashes. Without order.

    One change copies one branch and one leaf, and a comparison of two versions looks into those alone that they do not
    share: with up to 40,000 keys, a leaf has about 10.
    """

    __slots__ = ("_branches", "_size")

    def __init__(self, items: Mapping[K, V] | Iterable[tuple[K, V]] = ()) -> None:
        self._branches: tuple[_Branch[K, V], ...] = _EMPTY
        self._size = 0
        self._change(dict(items))

    def with_value(self, key: K, value: V) -> Self:
        """This mapping with one value added or replaced."""
        return self._changed({key: value})

    def without(self, key: K) -> Self:
        """This mapping without one key, which need not be there."""
        return self._changed({key: None}) if key in self else self

    def differing(self, other: SharedMapping[K, V]) -> Iterator[K]:
        """The keys that only one of the two has, or that have other objects as values, which may be equal."""
        for ours, theirs in _not_shared(self._branches, other._branches):
            for mine, its in _not_shared(ours, theirs):
                yield from (key for key, value in mine.items() if key not in its or its[key] is not value)
                yield from (key for key in its if key not in mine)

    def __getitem__(self, key: K) -> V:
        return self._leaf(key)[key]

    def get(self, key: K, default: Any = None) -> Any:
        return self._leaf(key).get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._leaf(key)

    def __iter__(self) -> Iterator[K]:
        return chain.from_iterable(self._leaves())

    def __len__(self) -> int:
        return self._size

    def values(self) -> ValuesView[V]:
        return _Values(self)

    def items(self) -> ItemsView[K, V]:
        return _Items(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SharedMapping):
            return self._branches == other._branches  # what they share is not looked into
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"

    def _changed(self, values: Mapping[K, V | None]) -> Self:
        """This mapping with these values, and without the keys whose value is None, which MUST be there."""
        changed = object.__new__(type(self))
        changed._branches, changed._size = self._branches, self._size
        changed._change(values)
        return changed

    def _change(self, values: Mapping[K, V | None]) -> None:
        """Of a mapping that nobody has seen yet."""
        branches: dict[int, list[_Leaf[K, V]]] = {}
        leaves: dict[tuple[int, int], dict[K, V]] = {}
        for key, value in values.items():
            first, second = place = _place(key)
            if place not in leaves:
                if first not in branches:
                    branches[first] = [*self._branches[first]]
                branch = branches[first]
                branch[second] = leaves[place] = {**branch[second]}
            leaf = leaves[place]
            before = len(leaf)
            if value is None:
                del leaf[key]
            else:
                leaf[key] = value
            self._size += len(leaf) - before
        if branches:
            made = list(self._branches)
            for first, branch in branches.items():
                made[first] = tuple(leaf or _NO_LEAF for leaf in branch)
            self._branches = tuple(made)

    def _leaf(self, key: object) -> _Leaf[K, V]:
        first, second = _place(key)
        return self._branches[first][second]

    def _leaves(self) -> Iterator[_Leaf[K, V]]:
        return chain.from_iterable(branch for branch in self._branches if branch is not _NO_BRANCH)


class _Values(ValuesView[V]):
    _mapping: SharedMapping[Any, V]

    def __iter__(self) -> Iterator[V]:
        return chain.from_iterable(leaf.values() for leaf in self._mapping._leaves())


class _Items(ItemsView[K, V]):
    _mapping: SharedMapping[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return chain.from_iterable(leaf.items() for leaf in self._mapping._leaves())


def _place(key: object) -> tuple[int, int]:
    """The lowest bits of some keys, such as cookies, are the same in all of them."""
    found = hash(key)
    return divmod((found ^ found >> 16) % (_WIDTH * _WIDTH), _WIDTH)


def _not_shared(ours: tuple[E, ...], theirs: tuple[E, ...]) -> Iterator[tuple[E, E]]:
    return (pair for pair in zip(ours, theirs, strict=True) if pair[0] is not pair[1])
