"""Files of the topology page: what the browser gets, as it is. Names and messages reach it as JSON alone."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final

ASSETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "page.html": "text/html; charset=utf-8",
        **dict.fromkeys(("page.js", "elements.js", "picture.js", "table.js"), "text/javascript; charset=utf-8"),
        "page.css": "text/css; charset=utf-8",
    }
)
"""Content types by file name."""


def content(name: str) -> bytes:
    """One of the files, also out of the archive that `make plugin` writes."""
    return files(__name__).joinpath(name).read_bytes()
