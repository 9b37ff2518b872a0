"""Descriptions of fields are user interface: none is missing, each is a sentence, and a change is seen in review."""

import re
from pathlib import Path

import pytest

from isthmus.model.api.kinds import KINDS
from isthmus.model.api.objects import CustomObject

from . import explain

SENTENCE = re.compile(r"[A-Z].*[.`]")
GOLDEN = Path(__file__).parent / "explain.txt"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.registration.plural)
def test_every_field_is_described_in_a_sentence(kind: type[CustomObject]) -> None:
    described = list(explain.fields(kind))
    assert len(described) > 1
    bad = [
        path for path, text in described if not (text[:1].isupper() or text[:1] == "`") or not text.endswith((".", "`"))
    ]
    assert bad == []


def test_descriptions_are_as_reviewed() -> None:
    assert GOLDEN.read_text() == explain.render(), "run `make generate`, and read what changed"
