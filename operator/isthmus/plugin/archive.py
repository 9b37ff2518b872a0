"""Writes the plugin as one file that Python runs: `python3 -m isthmus.plugin.archive FILE` (`make plugin`).

The same sources give the same bytes: entries are sorted, not compressed, and have a fixed time and fixed permissions.
"""

from __future__ import annotations

import stat
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

from isthmus.plugin.page import ASSETS

_SOURCES: Final = Path(__file__).parents[2]
_TIME: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows
_NOT_INCLUDED: Final = frozenset(
    {"isthmus/model/reasons/document.py", "isthmus/plugin/archive.py", "isthmus/plugin/krew.py"}
)
_START: Final = """\
import sys

if sys.version_info < (3, 11):
    sys.stderr.write("kubectl isthmus: needs Python 3.11 or newer, this is {}.{}\\n".format(*sys.version_info[:2]))
    sys.exit(3)

from isthmus.plugin.main import main

sys.exit(main())
"""


def build() -> bytes:
    """The whole file."""
    buffer = BytesIO()
    buffer.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(_entries()):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.create_system = 3  # Unix, whatever this one is
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def version() -> str:
    """The version of the package."""
    project: dict[str, str] = tomllib.loads((_SOURCES.parent / "pyproject.toml").read_text())["project"]
    return project["version"]


def _entries() -> Iterator[tuple[str, bytes]]:
    yield "__main__.py", _START.encode()
    yield from _metadata()
    single = (
        "__init__.py",
        "model/__init__.py",
        "model/kubeconfig.py",
        "model/names.py",
        "model/proposals.py",
        "model/redaction.py",
        "model/text.py",
    )
    modules = [_SOURCES / "isthmus" / path for path in single]
    modules += [
        path for package in ("model/reasons", "plugin") for path in (_SOURCES / "isthmus" / package).rglob("*.py")
    ]
    for path in (*modules, *map((_SOURCES / "isthmus/plugin/page").joinpath, ASSETS)):
        name = path.relative_to(_SOURCES).as_posix()
        if name not in _NOT_INCLUDED:
            yield name, path.read_bytes()


def _metadata() -> Iterator[tuple[str, bytes]]:
    """What `importlib.metadata` needs to know the version."""
    content = f"Metadata-Version: 2.1\nName: isthmus\nVersion: {version()}\n"
    yield f"isthmus-{version()}.dist-info/METADATA", content.encode()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(build())
    target.chmod(0o755)
