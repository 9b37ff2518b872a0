"""`kubectl isthmus explain CODE`: what a reason means, and what to do about it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from isthmus.model.reasons import EXPLANATIONS, Reason
from isthmus.model.text import printable

from .answer import Answer, ExitCode
from .diagnosis.catalogue import ROWS, Code, Row
from .tables import Style
from .width import wrapped

_BY_NAME: Final = {reason.lower(): reason for reason in Reason}
_CODES: Final = {code.lower(): code for code in Code}
_MAX_LENGTH: Final = 64


class UnknownReason(ValueError):
    """No reason has that name; the text is a sentence for whoever typed it."""


def explain(name: str) -> Answer:
    """The reason of that name in any case. Raises UnknownReason."""
    reason = _BY_NAME.get(name.lower())
    if reason is None:
        if (code := _CODES.get(name.lower())) is not None:
            return _code(ROWS[code])
        raise UnknownReason(_sentence(name))
    found = EXPLANATIONS[reason]
    places = sorted(map(str, found.places))
    document = {
        "reason": str(reason),
        "category": str(found.category),
        "meaning": found.meaning,
        "remedy": found.remedy,
        "places": places,
        "anchor": anchor(reason),
    }

    def text(style: Style) -> list[str]:
        lines = [f"{style.heading(reason)}: {str(found.category).lower()}"]
        for prefix, prose in (("", found.meaning), ("What to do: ", found.remedy), ("Where: ", ", ".join(places))):
            lines += wrapped(prefix + prose, style.width, "  ") if prose else []
        return [*lines, f"  {anchor(reason)}"]

    return Answer("explain", ExitCode.FINE, document, text)


def _code(row: Row) -> Answer:
    """A code that only `diagnose` names."""
    document = {
        "reason": row.code,
        "category": f"Fault at {row.layer}: {row.whose}",
        "meaning": row.symptom,
        "remedy": row.remedy,
        "places": ["diagnose"],
        "anchor": row.anchor,
    }

    def text(style: Style) -> list[str]:
        lines = [f"{style.heading(row.code)}: fault at {row.layer}, {row.whose}"]
        for prose in (row.symptom, f"What to do: {row.remedy}", "Where: kubectl isthmus diagnose"):
            lines += wrapped(prose, style.width, "  ")
        return [*lines, f"  {row.anchor}"]

    return Answer("explain", ExitCode.FINE, document, text)


def anchor(reason: Reason) -> str:
    """Page and heading of the documentation."""
    return f"docs/conditions.md#{reason.lower()}"


def _sentence(name: str) -> str:
    shown = printable(name)[:_MAX_LENGTH]
    names = {**_BY_NAME, **_CODES}
    similar = get_close_matches(name[:_MAX_LENGTH].lower(), names, n=1)
    return f"there is no reason {shown!r}" + (f"; did you mean {names[similar[0]]}?" if similar else "")
