"""An immutable mapping of which a changed version shares almost all of its memory with the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

V = TypeVar("V")
_Leaf = Mapping[str, V]
_Branch = tuple[_Leaf[V], ...]

_WIDTH: Final = 64
_NO_LEAF: Final[_Leaf[Any]] = {}
_NO_BRANCH: Final[_Branch[Any]] = (_NO_LEAF,) * _WIDTH
_EMPTY: Final[tuple[_Branch[Any], ...]] = (_NO_BRANCH,) * _WIDTH


class SharedMapping(Mapping[str, V], Generic[V]):
    """Values by name, in 64 branches of 64 leaves by the names' hashes.

    One change copies one branch and one leaf, and a comparison of two versions looks into those alone that they do not
    share: with up to 40,000 names, a leaf has about 10.
    """

    __slots__ = ("_branches", "_size")

    def __init__(self) -> None:
        self._branches: tuple[_Branch[V], ...] = _EMPTY
        self._size = 0

    @classmethod
    def of(cls, content: Mapping[str, V]) -> SharedMapping[V]:
        """A mapping with this content."""
        found = SharedMapping[V]()
        for name, value in content.items():
            found = found.with_value(name, value)
        return found

    def with_value(self, name: str, value: V) -> SharedMapping[V]:
        """This mapping with one value added or replaced."""
        first, second = _place(name)
        leaf = self._branches[first][second]
        return self._with_leaf(first, second, {**leaf, name: value}, self._size + (name not in leaf))

    def without(self, name: str) -> SharedMapping[V]:
        """This mapping without one name, which need not be there."""
        first, second = _place(name)
        leaf = self._branches[first][second]
        if name not in leaf:
            return self
        rest = {other: value for other, value in leaf.items() if other != name}
        return self._with_leaf(first, second, rest or _NO_LEAF, self._size - 1)

    def differing(self, other: SharedMapping[V]) -> Iterator[str]:
        """The names that only one of the two has, or that have other objects as values, which may be equal."""
        for ours, theirs in _not_shared(self._branches, other._branches):
            for mine, its in _not_shared(ours, theirs):
                yield from (name for name, value in mine.items() if name not in its or its[name] is not value)
                yield from (name for name in its if name not in mine)

    def __getitem__(self, name: str) -> V:
        first, second = _place(name)
        return self._branches[first][second][name]

    def __iter__(self) -> Iterator[str]:
        return (name for branch in self._branches if branch is not _NO_BRANCH for leaf in branch for name in leaf)

    def __len__(self) -> int:
        return self._size

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SharedMapping):
            return super().__eq__(other)
        if len(self) != len(other):
            return False
        return all(name in self and name in other and self[name] == other[name] for name in self.differing(other))

    __hash__ = None  # type: ignore[assignment]

    def _with_leaf(self, first: int, second: int, leaf: _Leaf[V], size: int) -> SharedMapping[V]:
        changed = SharedMapping[V]()
        branch = _replaced(self._branches[first], second, leaf)
        changed._branches, changed._size = _replaced(self._branches, first, branch), size
        return changed


E = TypeVar("E")


def _place(name: str) -> tuple[int, int]:
    return divmod(hash(name) % (_WIDTH * _WIDTH), _WIDTH)


def _replaced(entries: tuple[E, ...], place: int, entry: E) -> tuple[E, ...]:
    return (*entries[:place], entry, *entries[place + 1 :])


def _not_shared(ours: tuple[E, ...], theirs: tuple[E, ...]) -> Iterator[tuple[E, E]]:
    return (pair for pair in zip(ours, theirs, strict=True) if pair[0] is not pair[1])
