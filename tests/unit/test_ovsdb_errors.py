"""Errors of an OVSDB server, as they appear in conditions."""

from __future__ import annotations

import json

import pytest

from isthmus.adapters.openvswitch.ovsdb.errors import refusal

_IDENTICAL = 'Transaction causes multiple rows in "Interface" table to have identical values (istx) for index "name"'
_ROWS = ".  First row, with UUID {}, existed before.  Second row, with UUID {}, was inserted by this transaction."


def _text(error: object) -> str:
    return f"OVSDB Error: {json.dumps(error)}"


def test_the_same_problem_has_the_same_text() -> None:
    errors = [{"details": _IDENTICAL + _ROWS.format(n, n + 1), "error": "constraint violation"} for n in range(2)]
    assert {refusal(_text(error)) for error in errors} == {_IDENTICAL}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (_text({"error": "timed out"}), "timed out"),
        (_text(["unexpected"]), "['unexpected']"),
        ("OVSDB Error: not JSON", "not JSON"),
    ],
)
def test_other_forms_are_quoted(text: str, expected: str) -> None:
    assert refusal(text) == expected
