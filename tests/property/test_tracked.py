"""A version of a tracked mapping holds what a dictionary would, and knows by what it differs from the one before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.node.pipeline import set_cookie
from isthmus.model.tracked import Tracked, TrackedSet, changes, differing, differing_members

Key = str | int
keys = st.one_of(st.text("abc", max_size=2), st.integers(0, 5).map(set_cookie))
values = st.integers(0, 3)
updates: st.SearchStrategy[dict[Key, int | None]] = st.dictionaries(keys, st.none() | values, max_size=4)


@given(st.dictionaries(keys, values), st.lists(updates, max_size=6))
def test_every_version_is_what_a_dictionary_would_be(first: dict[Key, int], steps: list[dict[Key, int | None]]) -> None:
    versions, expected = [Tracked(first)], [dict(first)]
    for step in steps:
        versions.append(versions[-1].updated(step))
        merged: dict[Key, int | None] = {**expected[-1], **step}
        expected.append({key: value for key, value in merged.items() if value is not None})
    for version, wanted in zip(versions, expected, strict=True):
        assert (dict(version.items()), len(version)) == (wanted, len(wanted))
        assert sorted(version.values()) == sorted(wanted.values())
        assert {*version} == {*wanted}
        assert all(version.get(key) == version[key] == value for key, value in wanted.items())
        assert version == Tracked(wanted)
        assert version.becoming(first) == first


@given(st.dictionaries(keys, values), updates, updates)
def test_versions_know_by_what_they_differ(
    first: dict[Key, int], step: dict[Key, int | None], then: dict[Key, int | None]
) -> None:
    before = Tracked(first)
    after = before.updated(step)
    last = after.updated(then)
    assert {*(changes(before, after) or ())} == _compared(before, after)
    assert (after is before) == (not _compared(before, after))
    for one, other in ((before, last), (last, before), (after, Tracked(after)), (first, last)):
        assert {*differing(one, other)} == _compared(one, other)
    if after is not before and last is not after:
        assert changes(before, last) is None


@given(st.sets(keys), st.sets(keys), st.sets(keys))
def test_sets_know_by_what_they_differ(first: set[Key], remove: set[Key], add: set[Key]) -> None:
    before = TrackedSet(first)
    after = before.updated(remove, add)
    assert {*after} == (first - remove) | add
    assert {*before} == first
    assert {*differing_members(before, after)} == first ^ {*after}
    assert {*differing_members(after, frozenset(first))} == first ^ {*after}
    assert {*differing_members(frozenset(first), after)} == first ^ {*after}
    assert isinstance(after - before, frozenset)
    assert after & first == first & {*after}


def _compared(one: object, other: object) -> set[object]:
    before, after = dict(one), dict(other)  # type: ignore[call-overload]
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
