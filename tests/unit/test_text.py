"""Text that others choose: made printable where it enters, and escaped on its way to the API server."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from isthmus.adapters.kubernetes import wire
from isthmus.model.errors import Unavailable
from isthmus.model.text import PRINTABLE_PATTERN, listed, printable
from isthmus.model.types import DisplayName, Message

ANY_TEXT = st.text(st.characters(categories=None), max_size=60)
PATTERN: TypeAdapter[str] = TypeAdapter(Message)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("web", "web"),
        ("réseau 网络 🧑‍🚀", "réseau 网络 🧑‍🚀"),
        ("web\x80\x9f", "web"),
        ("web\x85x", "web x"),
        ("a\r\n\u2028b\tc", "a b c"),
        ("\u202eevil\u2066", "evil"),
        ("\ud83d\ufffe\x7f\x1b[31m", "[31m"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert TypeAdapter(DisplayName).validate_python(text) == shown
    assert str(Unavailable(text)) == shown


@given(ANY_TEXT)
def test_what_is_made_printable_matches_the_pattern_and_stays(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    assert PATTERN.validate_python(text) == shown
    shown.encode()


@given(ANY_TEXT)
def test_only_what_does_not_match_is_changed(text: str) -> None:
    translated = re.sub(r"\\x\{(\w+)\}", lambda code: rf"\u{code[1]:0>4}", PRINTABLE_PATTERN)
    is_clean = re.fullmatch(translated[1:-1], text) is not None and not any("\ud800" <= c <= "\udfff" for c in text)
    assert (printable(text) == text) == is_clean


@given(st.text(max_size=60))
def test_body_is_ascii_and_the_same_document_in_yaml(text: str) -> None:
    body = wire.apply_patch({"status": {"message": text}})
    assert body.isascii()
    assert b"\x7f" not in body
    assert yaml.safe_load(body) == {"status": {"message": text}}


def test_rejected_fields_are_left_out_with_the_list_element_that_they_are_in() -> None:
    conditions = [{"type": "A"}, {"type": "B", "message": "x"}]
    status = {"conditions": conditions, "name": "x", "nested": {"a": 1}, "mtu": 1}
    manifest = {"metadata": {"name": "n"}, "status": status}
    rejected = ["status.conditions[1].message", "status.name", "status.nested.a", "metadata.name", "status", ""]
    left = wire.without_fields(manifest, rejected)
    assert left == {"metadata": {"name": "n"}, "status": {"conditions": [{"type": "A"}], "mtu": 1}}
    assert json.dumps(manifest) == json.dumps({"metadata": {"name": "n"}, "status": status})


@pytest.mark.parametrize(
    ("count", "text"), [(0, ""), (1, "0"), (2, "0; 1"), (3, "0; 1, and 1 more"), (9, "0; 1, and 7 more")]
)
def test_list_in_a_message(count: int, text: str) -> None:
    assert listed([str(n) for n in range(count)], "; ", at_most=2, more=", and {} more") == text


def test_list_is_cut_at_ten() -> None:
    assert listed([str(n) for n in range(11)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
