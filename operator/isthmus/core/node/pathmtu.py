"""The largest packet that crosses the path to a remote gateway whole: found by echoes that may not be fragmented.

Which size is tried next, and what an answer means. The network between two gateways may carry less than the interfaces
at its ends, and routers in it may not say so (RFC 8899 has the same problem, and words: a black hole).

- The largest size is searched at first, and again when echoes of the largest known size stop.
- A smaller result counts at once, but only if the next larger size is lost and the result itself comes back once more:
  a tunnel that is down for a moment must not shrink networks.
- While less than the interface's own MTU is known, a larger size is searched at an interval. A larger result counts
  once the search after it has one, too: paths that differ take turns.
- Where all that the interface carried crossed, and it now carries more, such as after a NAT was removed, the path has
  not shown yet what it carries: it is searched as at first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from isthmus.model.types import MINIMUM_MTU

INTERVAL_SECONDS: Final = 600.0
"""Between two searches for a larger size."""
RETRY_SECONDS: Final = 10.0
"""Between two searches for any size, while nothing is known and not even the least comes back."""
LOST_ECHOES: Final = 3
"""Consecutive ones of the largest known size, before it is searched again."""


@dataclass(frozen=True)
class Search:
    """A search for the largest size that passes, where all sizes up to it do. Sizes are in bytes."""

    passing: int | None
    """The largest that has passed; None: none yet."""
    failing: int | None
    """The smallest that has not; None: none yet."""
    confirming: Literal["no", "failing", "passing"] = "no"
    """Which of the two is tried once more, before the result counts."""


@dataclass(frozen=True)
class PathMtu:
    """What is known of one path. Sizes are IP packets of a machine, in bytes; times are of a monotonic clock."""

    limit: int
    """What the interface at our end carries whole: more is never tried."""
    largest: int | None = None
    """The largest that crosses whole; None while that is not known."""
    due_at: float = float("-inf")
    """When a larger one is searched, or any if none is known."""
    search: Search | None = None
    lost: int = 0
    """Consecutive echoes of `largest` that were lost."""
    promised: int | None = None
    """More than `largest`, which the last search has found."""


def followed(states: Mapping[str, PathMtu], limits: Mapping[str, int], now: float) -> dict[str, PathMtu]:
    """The states of exactly these paths, by the name of their connection. With a larger limit it is searched again.

    Of a limit below what a network may have nothing is known: no such MTU can be reported.
    """
    return {name: _limited(states.get(name) or PathMtu(limit), limit, now) for name, limit in limits.items()}


def next_size(state: PathMtu, now: float) -> int | None:
    """The size to try now: of the search that is going on or due, else the largest known one; None if none makes sense.

    Without a limit that a network could have there is nothing to try.
    """
    if state.limit < MINIMUM_MTU:
        return None
    search = state.search or _due(state, now)
    return _tried(search, state.limit) if search else state.largest


def is_searching(state: PathMtu, now: float) -> bool:
    """Whether `next_size` is part of a search, whose echoes are repeated: a single one may be lost."""
    return (state.search or _due(state, now)) is not None


def answered(state: PathMtu, size: int, *, passed: bool, now: float) -> PathMtu:
    """The state after an echo of `next_size` has come back, or has not although the tunnel is up."""
    search = state.search or _due(state, now)
    if search is not None:
        return _searched(replace(state, search=search), search, size, passed=passed, now=now)
    if passed:
        return replace(state, lost=0)
    lost = state.lost + 1
    if lost < LOST_ECHOES:
        return replace(state, lost=lost)
    return replace(state, lost=0, promised=None, search=Search(passing=None, failing=size))


def interrupted(state: PathMtu) -> PathMtu:
    """The state after what says nothing of sizes, such as a tunnel that is down: what is known stays."""
    return replace(state, search=None, lost=0)


def _limited(state: PathMtu, limit: int, now: float) -> PathMtu:
    if limit == state.limit:
        return state
    had_room = state.largest == state.limit < limit
    if state.largest is None or had_room or limit < MINIMUM_MTU:
        return PathMtu(limit)
    return PathMtu(limit, min(state.largest, limit), due_at=now)


def _due(state: PathMtu, now: float) -> Search | None:
    """The search that begins now, if one does."""
    if state.largest is None:
        return Search(passing=None, failing=None) if now >= state.due_at else None
    if state.largest < state.limit and now >= state.due_at:
        return Search(passing=state.largest, failing=None)
    return None


def _tried(search: Search, limit: int) -> int:
    """The limit first, since mostly it passes; then the least, and then the middle of what is left."""
    if search.confirming == "passing" and search.passing is not None:
        return search.passing
    if search.failing is None:
        return limit
    if search.confirming == "failing":
        return search.failing
    if search.passing is None:
        return MINIMUM_MTU
    return (search.passing + search.failing) // 2


def _searched(state: PathMtu, search: Search, size: int, *, passed: bool, now: float) -> PathMtu:
    if search.confirming != "no":
        return _confirmed(state, search, passed=passed, now=now)
    after = replace(search, passing=size) if passed else replace(search, failing=size)
    if after.passing is None:
        return _found_nothing(state, now) if size <= MINIMUM_MTU else replace(state, search=after)
    if after.failing is None:
        return _found(state, after.passing, now)
    if after.failing - after.passing > 1:
        return replace(state, search=after)
    if state.largest is not None and after.passing >= state.largest:
        return _found(state, after.passing, now)
    return replace(state, search=replace(after, confirming="failing"))


def _confirmed(state: PathMtu, search: Search, *, passed: bool, now: float) -> PathMtu:
    """If a size that was lost passes after all, or one that passed is lost, the search says nothing."""
    if search.confirming == "failing":
        return _found_nothing(state, now) if passed else replace(state, search=replace(search, confirming="passing"))
    if not passed or search.passing is None:
        return _found_nothing(state, now)
    return _found(state, search.passing, now)


def _found(state: PathMtu, size: int, now: float) -> PathMtu:
    found = replace(state, search=None, lost=0, due_at=now + INTERVAL_SECONDS)
    if state.largest is None or size <= state.largest:
        return replace(found, largest=size, promised=None)
    if state.promised is None:
        return replace(found, promised=size)
    risen = min(size, state.promised)
    return replace(found, largest=risen, promised=None if risen == size else size)


def _found_nothing(state: PathMtu, now: float) -> PathMtu:
    return replace(interrupted(state), due_at=now + RETRY_SECONDS if state.largest is None else state.due_at)
