"""Writes the pages of docs/runbooks into the navigation of the site: `python -m tests.golden.navigation mkdocs.yml`.

Without any there is no such section. All other pages are in the file by hand, and the strict build demands each.
"""

from __future__ import annotations

import sys
from pathlib import Path

from isthmus.model.markdown import with_section

DOCS = Path(__file__).parents[2] / "docs"
_BEGIN, _END = "  # runbooks: written by `make generate`\n", "  # end of runbooks\n"


def with_runbooks(configuration: str, docs: Path = DOCS) -> str:
    """The configuration with the current runbooks between its two marks, the page about all of them first."""
    pages = sorted((docs / "runbooks").glob("*.md"), key=lambda page: (page.stem not in ("index", "README"), page.stem))
    section = ["  - Runbooks:\n", *(f"      - runbooks/{page.name}\n" for page in pages)] if pages else []
    return with_section(configuration, _BEGIN, _END, "".join(section))


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(with_runbooks(file.read_text()))
