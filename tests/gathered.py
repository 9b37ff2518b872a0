"""The archive that `kubectl isthmus gather` writes, for tests that look into it."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path


def contents(path: Path) -> Mapping[str, bytes]:
    """Content of every file in the order of the archive, by its path in the directory that contains them all."""
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        assert {member.name.partition("/")[0] for member in members} == {path.name.removesuffix(".tar.gz")}
        files = ((member.name.partition("/")[2], archive.extractfile(member)) for member in members)
        return {name: file.read() if file else b"" for name, file in files}


def texts(path: Path) -> dict[str, str]:
    """The same as text."""
    return {name: content.decode() for name, content in contents(path).items()}
