"""Pages of the documentation that are written from the code, wholly or between two marks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import fill
from typing import Final

_WIDTH: Final = 100
_KEPT: Final = (" ", "<", "#")
"""How code, comments and headings begin."""


def page(lines: Iterable[str]) -> str:
    """A whole page."""
    return "\n".join(lines).rstrip() + "\n"


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a text, each followed by an empty line; code, comments and headings are not wrapped."""
    for paragraph in text.split("\n\n"):
        yield paragraph if paragraph.startswith(_KEPT) else wrapped(paragraph)
        yield ""


def wrapped(text: str) -> str:
    """The text as a paragraph. No word is broken: it may be a link, a name or a command."""
    return fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def item(text: str) -> str:
    """The text as an item of a list."""
    return fill(f"- {text}", _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def with_section(text: str, begin: str, end: str, content: str) -> str:
    """The text with that content between its two marks. Raises LookupError if it does not have both."""
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise LookupError(f"no {begin.strip()!r} that is followed by {end.strip()!r}")
    return f"{before}{begin}{content}{end}{after}"
