"""Errors that an OVSDB server returns (RFC 7047, section 3.1), as ovsdbapp passes them on."""

from __future__ import annotations

import json
from typing import Final

REFUSED: Final = "OVSDB Error: "
"""How ovsdbapp begins the text of an error that the server has returned."""


def refusal(text: str) -> str:
    """What the server objects to: the first sentence, as the others name rows that differ with each attempt."""
    try:
        error = json.loads(text.removeprefix(REFUSED))
    except ValueError:
        return text.removeprefix(REFUSED)
    details = error.get("details") or error.get("error") if isinstance(error, dict) else None
    return str(details or error).split(".  ")[0]
