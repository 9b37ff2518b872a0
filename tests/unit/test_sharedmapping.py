"""A mapping whose versions share what is the same: a change and a comparison cost the same with few and many names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.sharedmapping import SharedMapping
from tests.fakes.steps import steps

NAMES = st.sampled_from([f"name-{number}" for number in range(50)])
CHANGES = st.lists(st.tuples(NAMES, st.none() | st.integers(0, 3)), max_size=60)
Change = tuple[str, int | None]
Numbers = SharedMapping[str, int]


def _changed(
    mapping: SharedMapping[str, int], expected: dict[str, int], changes: list[Change]
) -> SharedMapping[str, int]:
    for name, value in changes:
        if value is None:
            mapping = mapping.without(name)
            expected.pop(name, None)
        else:
            mapping = mapping.with_value(name, value)
            expected[name] = value
    return mapping


@given(CHANGES, CHANGES)
def test_it_is_a_mapping_and_finds_what_differs(first: list[Change], second: list[Change]) -> None:
    before: dict[str, int] = {}
    old = _changed(Numbers(), before, first)
    after = dict(before)
    new = _changed(old, after, second)
    assert dict(old) == before, "a change leaves the version before alone"
    assert (dict(new), len(new)) == (after, len(after))
    different = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert sorted(old.differing(new)) == sorted(new.differing(old)) == sorted(different)
    assert (old == new) == (before == after)
    assert new == SharedMapping(after) == after


def test_missing_name() -> None:
    mapping = SharedMapping({"here": 1})
    assert mapping.get("gone") is None
    assert mapping.without("gone") is mapping
    with pytest.raises(KeyError):
        mapping["gone"]


class Value:
    """Equal to every other one, but no other object."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value)

    __hash__ = None  # type: ignore[assignment]


def test_other_objects_as_values_differ_although_they_are_equal() -> None:
    old = SharedMapping({"name": Value()})
    new = old.with_value("name", Value())
    assert list(old.differing(new)) == ["name"]
    assert old == new


def _steps_of_a_change(count: int) -> int:
    mapping = SharedMapping({f"name-{number}": number for number in range(count)})

    def change() -> None:
        changed = mapping.with_value("name-7", -1)
        assert list(mapping.differing(changed)) == ["name-7"]
        assert mapping != changed
        assert list(changed.differing(changed.without("name-8"))) == ["name-8"]

    return steps(change)


def test_change_and_comparison_cost_the_same_with_few_and_many_names() -> None:
    assert _steps_of_a_change(10_000) < 1.2 * _steps_of_a_change(100)
