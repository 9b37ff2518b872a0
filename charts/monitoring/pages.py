"""Where the runbooks are on the documentation's site, as `make site` writes it."""

from __future__ import annotations

from typing import Final

RUNBOOKS: Final = "build/site/runbooks"
"""Where `make site` writes them in the source tree: the value of the chart's `metrics.runbooks` by default."""
INDEX: Final = "index.html"
"""The list of all runbooks. The site has files, not directories, as pages: `use_directory_urls` in mkdocs.yml."""


def page(alert: str) -> str:
    """File name of the runbook of an alert."""
    return f"{alert}.html"
