"""Arithmetic of address sets, compared with Python's sets."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from isthmus.core.network.addressing import (
    Spans,
    highest_free_run,
    intersect,
    largest_span,
    merged,
    number_of,
    size,
    subtract,
)
from isthmus.model.addresses import canonical_address

span = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda ends: (min(ends), max(ends)))
spans = st.lists(span, max_size=6).map(merged)


def members(of: Spans) -> set[int]:
    return {value for first, last in of for value in range(first, last + 1)}


texts = st.one_of(st.ip_addresses().map(str), st.text("0123456789.:af", max_size=20), st.text(max_size=8))


@given(texts)
@example("10.20.0.010")
@example("10.20.0.1\0")
@example("10.20.1")
@example("fd00::1%eth0")
@example("::ffff:10.20.0.1")
def test_addresses_are_those_of_ipaddress(text: str) -> None:
    """Which is not asked for most of them, since it is slow."""
    try:
        expected = ip_address(text)
    except ValueError:
        for function in (number_of, canonical_address):
            with pytest.raises(ValueError):  # noqa: PT011  whatever it says
                function(text)
    else:
        assert (number_of(text), canonical_address(text)) == (int(expected), str(expected))


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
