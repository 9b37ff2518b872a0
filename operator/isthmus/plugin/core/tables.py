"""Tables of text in which what is wrong stands out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .width import columns, padded, shortened

_BOLD, _RED, _PLAIN = "\x1b[1m", "\x1b[1;31m", "\x1b[0m"
_GAP: Final = "  "
_MAX_COLUMNS: Final = 40
"""Of one cell: names of Neutron have up to 255 characters."""


@dataclass(frozen=True)
class Style:
    """How to print."""

    colour: bool = False
    width: int = 100
    """Columns of a line of prose."""

    def heading(self, text: str) -> str:
        """The text in bold."""
        return f"{_BOLD}{text}{_PLAIN}" if self.colour else text

    def wrong(self, text: str) -> str:
        """The text in red."""
        return f"{_RED}{text}{_PLAIN}" if self.colour else text


@dataclass(frozen=True)
class Cell:
    """One value of a table."""

    text: str
    is_wrong: bool = False


Value = str | int | Cell | None
"""What a row of a table may hold."""


def yes(is_so: bool | None) -> Cell:
    """An answer; `no` is what somebody looks for in a table, so it is in capitals."""
    if is_so is None:
        return Cell("-")
    return Cell("yes") if is_so else Cell("NO", is_wrong=True)


def table(headings: Sequence[str], rows: Iterable[Sequence[Value]], style: Style) -> list[str]:
    """Lines with aligned columns; an empty value is a hyphen, except in the last column."""
    cells = [[_cell(value, is_last=number == len(headings) - 1) for number, value in enumerate(row)] for row in rows]
    widths = [
        max(columns(text) for text in (heading, *(row[number].text for row in cells)))
        for number, heading in enumerate(headings)
    ]
    lines = [style.heading(_GAP.join(map(padded, headings, widths)).rstrip())]
    lines += [_line(row, widths, style) for row in cells]
    return lines


def _cell(value: Value, *, is_last: bool) -> Cell:
    if isinstance(value, Cell):
        return value
    text = "" if value is None else str(value)
    return Cell(shortened(text, _MAX_COLUMNS) or ("" if is_last else "-"))


def _line(row: Sequence[Cell], widths: Sequence[int], style: Style) -> str:
    texts = [
        style.wrong(cell.text) + " " * (width - columns(cell.text)) if cell.is_wrong else padded(cell.text, width)
        for cell, width in zip(row, widths, strict=True)
    ]
    return _GAP.join(texts).rstrip()
