"""`kubectl isthmus explain CODE`: what a reason means, and what to do about it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from isthmus.model.reasons import EXPLANATIONS, Reason
from isthmus.model.text import printable

from .answer import Answer, ExitCode
from .tables import Style
from .width import wrapped

_BY_NAME: Final = {reason.lower(): reason for reason in Reason}
_MAX_LENGTH: Final = 64


class UnknownReason(ValueError):
    """No reason has that name; the text is a sentence for whoever typed it."""


def explain(name: str) -> Answer:
    """The reason of that name in any case. Raises UnknownReason."""
    reason = _BY_NAME.get(name.lower())
    if reason is None:
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


def anchor(reason: Reason) -> str:
    """Page and heading of the documentation."""
    return f"docs/conditions.md#{reason.lower()}"


def _sentence(name: str) -> str:
    shown = printable(name)[:_MAX_LENGTH]
    similar = get_close_matches(name[:_MAX_LENGTH].lower(), _BY_NAME, n=1)
    return f"there is no reason {shown!r}" + (f"; did you mean {_BY_NAME[similar[0]]}?" if similar else "")
