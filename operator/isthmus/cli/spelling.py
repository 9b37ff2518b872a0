"""Names that somebody misspelt."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

_MAX_LENGTH = 64


def quoted(name: str) -> str:
    """The name as it can be printed on a terminal."""
    return (name if name.isprintable() else ascii(name))[:_MAX_LENGTH]


def did_you_mean(name: str, known: Collection[str]) -> str:
    """A question that ends the sentence about an unknown name; empty where no known one is similar."""
    in_any_form = {candidate.lower(): candidate for candidate in known}
    similar = get_close_matches(name[:_MAX_LENGTH].lower().replace("-", "_"), sorted(in_any_form), n=1)
    return f"; did you mean {in_any_form[similar[0]]}?" if similar else ""
