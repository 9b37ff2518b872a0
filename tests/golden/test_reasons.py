"""The typed list of reasons is complete, all reasons are used, and no code uses others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.api.kinds import KINDS
from isthmus.model.reasons import ANSWER_REASONS, EXPLANATIONS, Category, ConditionType, Reason
from isthmus.model.reasons.condition_types import MEANINGS, PROGRESS
from isthmus.model.reasons.explanation import Place

OPERATOR = Path(__file__).parents[2] / "operator" / "isthmus"
REASONS = OPERATOR / "model" / "reasons"
CONSTRUCTORS = OPERATOR / "core" / "snapshot" / "conditions.py"
QUIET = {Category.SETTLED, Category.PROGRESSING}


def _nodes() -> Iterator[tuple[Path, ast.AST]]:
    """Everything in the operator's code, but for the list itself."""
    for path in sorted(OPERATOR.rglob("*.py")):
        if REASONS not in path.parents:
            for node in ast.walk(ast.parse(path.read_text())):
                yield path, node


def _members(enum: str) -> set[str]:
    """Which members of that enumeration the code names."""
    return {
        node.attr
        for _, node in _nodes()
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == enum
    }


def test_every_reason_is_explained() -> None:
    assert set(EXPLANATIONS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_an_explanation_is_complete(reason: Reason) -> None:
    found = EXPLANATIONS[reason]
    assert found.places
    assert found.meaning.endswith(".")
    assert found.remedy.endswith(".") if found.category not in QUIET else found.remedy[-1:] in ("", ".")


def test_every_reason_is_used() -> None:
    # What an answer alone says reaches our code as the text of the answer.
    assert {reason.name for reason in Reason} - _members("Reason") <= {"ACCEPTED", "PROBE_ANSWERED"}


def test_every_condition_type_is_used_and_documented() -> None:
    documented = {type_ for meanings in (*MEANINGS.values(), PROGRESS) for type_ in meanings}
    assert documented == set(ConditionType)
    assert {type_.name for type_ in ConditionType} <= _members("ConditionType")
    assert set(MEANINGS) == {kind.registration.kind for kind in KINDS if "status" in kind.model_fields}


def test_places_are_condition_types_or_fields() -> None:
    fields = {Place.ANSWER, Place.CONNECTION, Place.LINK}
    followers = {ConditionType.PROGRESSING, ConditionType.STALLED}
    assert {str(place) for place in Place if place not in fields} == set(ConditionType) - followers


def test_answers_are_refusals_or_a_release() -> None:
    assert Reason.RELEASED in ANSWER_REASONS
    assert {EXPLANATIONS[r].category for r in ANSWER_REASONS - {Reason.RELEASED}} & {Category.SETTLED} == set()


def test_conditions_are_made_in_one_place() -> None:
    """Only there is a reason a member of the list by type; a Condition itself takes any text, as the wire does."""
    made = {
        path
        for path, node in _nodes()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Condition"
    }
    assert made == {CONSTRUCTORS}
