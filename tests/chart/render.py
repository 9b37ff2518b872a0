"""Writes the renderings that are kept in the tree: `python -m tests.chart.render`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.chart.helm import REPOSITORY, VALUES, rendered

_GOLDEN: Final = Path(__file__).with_name("golden")
# Values, and their rendering.
RENDERINGS: Final = {
    VALUES / "minimal.yaml": _GOLDEN / "minimal.yaml",
    VALUES / "choices.yaml": _GOLDEN / "choices.yaml",
    VALUES / "native.yaml": REPOSITORY / "deploy" / "isthmus.yaml",
}


def main() -> None:
    """Write every rendering."""
    for values, rendering in RENDERINGS.items():
        rendering.write_text(rendered(values))


if __name__ == "__main__":
    main()
