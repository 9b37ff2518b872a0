"""Documents are readable in a terminal, and their links lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/lab/*/README.md")])
MAX_CHARACTERS = 100


def _links(text: str) -> Iterator[str]:
    """Relative targets of Markdown links, without anchors; code is no link."""
    text = re.sub(r"```.*?```|`[^`\n]*`(?!\])", "", text, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path = target.partition("#")[0]
        if path and "://" not in path:
            yield path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_have_at_most_100_characters(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert [f"line {n}: {len(line)}" for n, line in enumerate(lines, 1) if len(line) > MAX_CHARACTERS] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(path: Path) -> None:
    assert [link for link in _links(path.read_text()) if not (path.parent / link).exists()] == []
