"""Whatever a path carries and loses: sizes that are tried and found stay in bounds, and are true if nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.node.pathmtu import (
    INTERVAL_SECONDS,
    LOST_ECHOES,
    RETRY_SECONDS,
    PathMtu,
    answered,
    followed,
    interrupted,
    is_searching,
    next_size,
)
from isthmus.model.types import MAXIMUM_MTU, MINIMUM_MTU

LIMITS = st.integers(MINIMUM_MTU, MAXIMUM_MTU)
MOST_STEPS = 2 + 16 + 2
"""Limit, least, as many middles as the sizes have binary digits, and the two that confirm."""


def step(state: PathMtu, passes: Callable[[int], bool], now: float) -> PathMtu:
    size = next_size(state, now)
    assert size is not None
    assert MINIMUM_MTU <= size <= state.limit
    return answered(state, size, passed=passes(size), now=now)


def searched(state: PathMtu, passes: Callable[[int], bool], now: float) -> PathMtu:
    """The state after the search that is due or going on."""
    assert is_searching(state, now)
    for _ in range(MOST_STEPS):
        state = step(state, passes, now)
        if state.search is None:
            return state
    raise AssertionError("a search ends")


def up_to(largest: int) -> Callable[[int], bool]:
    return lambda size: size <= largest


def known(limit: int, largest: int, now: float = 0.0) -> PathMtu:
    """A path of which that is known, found just now."""
    return searched(PathMtu(limit), up_to(largest), now)


@st.composite
def paths(draw: st.DrawFn) -> tuple[int, int]:
    """A limit, and what the path carries of it."""
    limit = draw(LIMITS)
    return limit, draw(st.integers(MINIMUM_MTU, limit))


@given(paths())
def test_the_first_search_finds_it_to_the_byte(path: tuple[int, int]) -> None:
    limit, carried = path
    assert known(limit, carried).largest == carried


@given(LIMITS, st.integers(0, MINIMUM_MTU - 1))
def test_a_path_on_which_nothing_passes_is_not_known(limit: int, carried: int) -> None:
    found = searched(PathMtu(limit), up_to(carried), 0.0)
    assert found.largest is None
    assert next_size(found, RETRY_SECONDS - 1.0) is None
    assert is_searching(found, RETRY_SECONDS), "it is tried again"


@given(paths(), st.data())
def test_a_path_that_carries_less_is_noticed(path: tuple[int, int], data: st.DataObject) -> None:
    limit, carried = path
    less = data.draw(st.integers(MINIMUM_MTU, carried))
    state = known(limit, carried)
    for _ in range(LOST_ECHOES):
        assert (state.largest, is_searching(state, 0.0)) == (carried, False)
        state = step(state, up_to(less), 0.0)
    if less < carried:
        state = searched(state, up_to(less), 0.0)
    assert state.largest == less
    assert step(state, up_to(less), 0.0) == state


@given(paths(), st.data())
def test_a_path_that_carries_more_is_believed_the_second_time(path: tuple[int, int], data: st.DataObject) -> None:
    limit, carried = path
    state = known(limit, carried)
    first, second = (data.draw(st.integers(carried, limit)) for _ in range(2))
    for now, more in ((INTERVAL_SECONDS, first), (2 * INTERVAL_SECONDS, second)):
        if carried < limit:
            assert state.largest == carried
            assert not is_searching(state, now - 1.0)
            state = searched(state, up_to(more), now)
    assert state.largest == min(first, second)
    assert not is_searching(state, 3 * INTERVAL_SECONDS - 1.0)


@given(paths(), st.integers(0, MOST_STEPS), st.booleans())
def test_a_tunnel_that_goes_down_changes_nothing(path: tuple[int, int], steps: int, is_noticed: bool) -> None:
    """Whether its end is noticed by other probes or not."""
    limit, carried = path
    state = known(limit, carried)
    for _ in range(LOST_ECHOES):
        state = step(state, lambda _: False, 0.0)
    for _ in range(steps):  # a search that has begun while the tunnel was up
        state = step(state, lambda size: size < carried, 0.0) if state.search else state
    before = state.largest
    for _ in range(LOST_ECHOES + MOST_STEPS):
        state = interrupted(state) if is_noticed else step(state, lambda _: False, 0.0)
    assert state.largest == before


@given(LIMITS, st.lists(st.tuples(st.booleans(), st.floats(0, 2 * INTERVAL_SECONDS)), max_size=200))
def test_any_answers_keep_it_in_bounds(limit: int, answers: list[tuple[bool, float]]) -> None:
    state, now, passed_sizes = PathMtu(limit), 0.0, set()
    for passed, seconds in answers:
        now += seconds
        size = next_size(state, now)
        if size is None:
            assert (state.largest, now < state.due_at) == (None, True)
            continue
        passed_sizes |= {size} if passed else set()
        state = step(state, lambda _, passed=passed: passed, now)  # type: ignore[misc]
        assert state.largest is None or state.largest in passed_sizes, "only what has come back is known"


@given(paths(), LIMITS)
def test_another_limit_bounds_at_once_and_is_tried_at_once(path: tuple[int, int], limit: int) -> None:
    before, carried = path
    state = followed({"a": known(before, carried)}, {"a": limit}, 5.0)["a"]
    nothing_learned = carried == before < limit
    assert state.largest == (None if nothing_learned else min(carried, limit))
    assert is_searching(state, 5.0) == (limit != before and carried < limit)


@given(paths(), st.data())
def test_more_that_the_interface_carries_counts_with_the_first_search_if_the_path_had_not_less(
    path: tuple[int, int], data: st.DataObject
) -> None:
    """When a NAT is gone, for instance."""
    limit, carried = path
    before = data.draw(st.integers(MINIMUM_MTU, carried))
    state = followed({"a": known(before, before)}, {"a": limit}, 5.0)["a"]
    assert (searched(state, up_to(carried), 5.0) if limit > before else state).largest == min(carried, limit)


@given(st.integers(0, MINIMUM_MTU - 1))
def test_without_room_for_a_network_nothing_is_tried(limit: int) -> None:
    assert next_size(PathMtu(limit), 0.0) is None


def test_paths_come_and_go() -> None:
    one = followed({}, {"a": 1416, "b": 1424}, 0.0)
    assert one == {"a": PathMtu(1416), "b": PathMtu(1424)}
    kept = replace(one["b"], largest=1300)
    assert followed({**one, "b": kept}, {"b": 1424}, 9.0) == {"b": kept}
