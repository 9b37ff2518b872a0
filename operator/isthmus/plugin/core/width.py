"""Text on a terminal: how many columns it takes (UAX #11), and lines and cells of a given width."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

_ELLIPSIS: Final = "..."
_WITHOUT_WIDTH: Final = frozenset({"Mn", "Me", "Cf"})


def columns(text: str) -> int:
    """Columns that the text takes: two for each wide character, none for combining ones."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def padded(text: str, width: int) -> str:
    """The text, followed by as many spaces as fill the width."""
    return text + " " * (width - columns(text))


def shortened(text: str, width: int) -> str:
    """The text, or as much of it as leaves room for an ellipsis."""
    if columns(text) <= width:
        return text
    return _prefix(text, width - len(_ELLIPSIS)) + _ELLIPSIS


def wrapped(text: str, width: int, indent: str) -> list[str]:
    """The text as indented lines of at most that width; a word that is longer than a line is broken."""
    lines, line = [], ""
    for word in _words(text, width - len(indent)):
        if line and columns(line) + 1 + columns(word) > width - len(indent):
            lines.append(indent + line)
            line = ""
        line = f"{line} {word}" if line else word
    return [*lines, indent + line] if line else lines


def _words(text: str, width: int) -> Iterator[str]:
    for word in text.split():
        while columns(word) > width:
            start = _prefix(word, width)
            yield start
            word = word[len(start) :]
        if word:
            yield word


def _prefix(text: str, width: int) -> str:
    """The longest beginning of that width; at least one character, so that whoever cuts a text comes to its end."""
    taken = 0
    for index, character in enumerate(text):
        taken += _columns_of(character)
        if taken > width:
            return text[: max(index, 1)]
    return text


def _columns_of(character: str) -> int:
    if unicodedata.category(character) in _WITHOUT_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
