"""Text that other systems choose: names of networks, messages of servers, what peers publish. Lists in messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# C0 and C1 controls, directional marks, embeddings and isolates (UAX #9), line and paragraph separators, and two
# noncharacters. Whoever prints them can be made to show a line that was never written, and YAML lacks some of them.
_UNPRINTABLE: Final = r"\x00-\x1f\x7f-\x9f\x{61c}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}\x{fffe}\x{ffff}"
PRINTABLE_PATTERN: Final = rf"^[^{_UNPRINTABLE}]*$"
"""In the syntax that Go's and Rust's regular expressions share: API servers use the one, pydantic the other."""

MAX_LISTED: Final = 10
"""Things that a message lists: enough to begin with, whatever others make of their number."""

_SPACES: Final = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]+")
# Surrogates are no characters at all: JSON can name a single one, UTF-8 has none.
_DROPPED: Final = re.compile(
    "[" + re.sub(r"\\x\{(\w+)\}", lambda code: rf"\u{code[1]:0>4}", _UNPRINTABLE) + r"\ud800-\udfff]"
)


def printable(text: str) -> str:
    """The text without what is not printable; line breaks and tabs become a space."""
    if text.isascii() and text.isprintable():
        return text
    return _DROPPED.sub("", _SPACES.sub(" ", text))


def listed(texts: Sequence[str], separator: str = ", ", *, at_most: int = MAX_LISTED, more: str = "") -> str:
    """The first of them; `more` follows if there are others, with their number in place of `{}`."""
    others = len(texts) - at_most
    return separator.join(texts[:at_most]) + (more.format(others) if others > 0 else "")
