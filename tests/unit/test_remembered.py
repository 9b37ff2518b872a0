"""Results are remembered for the same objects, and computed again for any others."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.model.remembered import remembered


class Thing:
    """Equal to every other one, so that only its identity tells it from them."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing)

    def __hash__(self) -> int:
        return 0


COMPUTED: list[object] = []


@remembered("held", "all_held")
def counted(held: object, all_held: Mapping[str, object], number: int = 0) -> tuple[object, ...]:
    """Its arguments; each computation is recorded."""
    COMPUTED.append((held, all_held, number))
    return held, all_held, number


def computations(*calls: tuple[object, Mapping[str, object], int]) -> int:
    """How many of these calls were computed; each returned what it was called with."""
    before = len(COMPUTED)
    for held, all_held, number in calls:
        result = counted(held, all_held, number)
        assert result == (held, all_held, number)
    return len(COMPUTED) - before


def test_same_objects_are_computed_once() -> None:
    one, other, mapping = Thing(), Thing(), {"a": Thing()}
    assert computations((one, mapping, 1), (one, mapping, 1)) == 1
    assert computations((one, {**mapping}, 1)) == 0, "of a mapping, its values count"
    assert computations(((one, other), mapping, 1), ((one, other), mapping, 1)) == 1, "of a tuple, its members count"


def test_equal_objects_are_others() -> None:
    one, mapping = Thing(), {"a": Thing()}
    assert computations((one, mapping, 1), (Thing(), mapping, 1), (one, {"a": Thing()}, 1), (one, mapping, 2)) == 4
    assert computations(((one,), mapping, 1), ((Thing(),), mapping, 1), ((one, one), mapping, 1), ((), mapping, 1)) == 4
    assert computations((one, {"b": mapping["a"]}, 1)) == 1


def test_mapping_that_was_changed_is_another() -> None:
    one, mapping = Thing(), {"a": Thing()}
    assert computations((one, mapping, 1)) == 1
    mapping["a"] = Thing()
    assert computations((one, mapping, 1)) == 1


def test_few_results_are_kept() -> None:
    first, others, nothing = Thing(), [Thing() for _ in range(8)], dict[str, object]()
    assert computations((first, nothing, 1), *((other, nothing, 1) for other in others)) == 9
    assert computations((first, nothing, 1)) == 1
