"""The last results of pure functions whose arguments are too large to compare.

What is immutable and was not replaced is the same object still: thousands of ports are recognized at once. The plans
of one change ask for the same again and again, since each is made from scratch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from inspect import signature
from operator import is_
from typing import Any, Final, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

_forgetting: Final[list[Callable[[], None]]] = []
_RESULTS: Final = 8  # of each function: several networks change at a time, and what they were is not kept for long


class _Same:
    """Equal to another one only if both are of the same object, or of tuples or mappings of the same objects."""

    def __init__(self, value: object) -> None:
        self.value = value
        self._keys: tuple[object, ...] | None = None
        self._objects: tuple[object, ...] = (value,)
        if isinstance(value, Mapping):
            self._keys, self._objects = tuple(value), tuple(value.values())
        elif isinstance(value, tuple):
            self._keys, self._objects = (), value

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Same)
            and self._keys == other._keys
            and len(self._objects) == len(other._objects)
            and (self._objects is other._objects or all(map(is_, self._objects, other._objects)))
        )

    def __hash__(self) -> int:
        return hash((self._keys, len(self._objects)))  # few are compared, and most of those differ at the beginning


def remembered(*large: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have a function return its last results if its arguments are the same again. Both must be immutable.

    The parameters named `large` are the same if they are the same object, or tuples or mappings of the same objects;
    all others if they are equal.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = signature(function)

        @lru_cache(maxsize=_RESULTS)
        def result(**arguments: Any) -> R:
            given: dict[str, Any] = {n: v.value if isinstance(v, _Same) else v for n, v in arguments.items()}
            return cast(Callable[..., R], function)(**given)

        _forgetting.append(result.cache_clear)

        @wraps(function)
        def of_arguments(*args: P.args, **kwargs: P.kwargs) -> R:
            given = parameters.bind(*args, **kwargs).arguments
            return result(**{name: _Same(value) if name in large else value for name, value in given.items()})

        return of_arguments

    return decorate


def forget() -> None:
    """Remember nothing of what was before, as a new process."""
    for each in _forgetting:
        each()
