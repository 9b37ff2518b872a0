"""Arithmetic of address sets, compared with Python's sets."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.network.addressing import Spans, highest_free_run, intersect, largest_span, merged, size, subtract

span = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda ends: (min(ends), max(ends)))
spans = st.lists(span, max_size=6).map(merged)


def members(of: Spans) -> set[int]:
    return {value for first, last in of for value in range(first, last + 1)}


@given(spans, spans)
def test_set_operations(one: Spans, other: Spans) -> None:
    assert members(subtract(one, other)) == members(one) - members(other)
    assert members(intersect(one, other)) == members(one) & members(other)
    assert members(merged((*one, *other))) == members(one) | members(other)
    assert size(one) == len(members(one))


@given(spans, spans)
def test_results_are_sorted_and_neither_overlap_nor_touch(one: Spans, other: Spans) -> None:
    result = subtract(one, other)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(result))


@given(spans, spans, st.integers(1, 61))
def test_run_is_free_and_the_highest_possible(pools: Spans, used: Spans, wanted: int) -> None:
    run = highest_free_run(pools, used, wanted)
    free = members(pools) - members(used)
    runs = [n for n in range(62) if all(n + offset in free for offset in range(wanted))]
    if run is None:
        assert not runs
        best = largest_span(subtract(pools, used))
        assert best is None or best[1] - best[0] + 1 < wanted
    else:
        assert run == (max(runs), max(runs) + wanted - 1)
