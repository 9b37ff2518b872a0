"""docs/protocol.md as data: sections, tables, examples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"


def section(title: str) -> str:
    """The text below the heading that ends with this title, including subsections, with single spaces."""
    return " ".join(_lines(title).split())


def rows(title: str) -> list[list[str]]:
    """The cells of all rows of a section's tables, without headings and rules."""
    lines = _lines(title).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines if line.startswith("|")]
    below = [number for number, row in enumerate(cells) if set(row[0]) <= {"-", "|"}]
    return [row for number, row in enumerate(cells) if number not in below and number + 1 not in below]


def names(title: str) -> list[str]:
    """The first cells of a section's tables that are one literal."""
    return [match[1] for row in rows(title) if (match := re.fullmatch(r"`([^`]+)`", row[0]))]


def examples(kind: str) -> Iterator[dict[str, Any]]:
    """The JSON examples of that kind."""
    for block in re.findall(r"```json\n(.*?)```", PROTOCOL.read_text(), re.DOTALL):
        document = json.loads(block)
        if document["kind"] == kind:
            yield document


def _lines(title: str) -> str:
    found = re.findall(rf"^(#+) (?:[\d.]+ )?{re.escape(title)}$", PROTOCOL.read_text(), re.MULTILINE)
    if len(found) != 1:
        raise LookupError(f"{len(found)} sections {title} in {PROTOCOL.name}")
    (depth,) = found
    text = re.split(rf"^{depth} (?:[\d.]+ )?{re.escape(title)}$", PROTOCOL.read_text(), flags=re.MULTILINE)[1]
    return re.split(rf"^#{{1,{len(depth)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]
