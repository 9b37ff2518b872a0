"""A cache outside the tree: every asset in a directory named by the hash of all that determines it.

An asset counts only once its marker is written, which happens last: a build that was killed leaves a directory
without a marker, and the next run begins it anew. (Assets are built in place, not moved there when they are ready,
because a virtual environment knows its own path.)
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MARKER: Final = ".complete"
_UNUSED_SECONDS: Final = 14 * 24 * 3600


def default_root() -> Path:
    """`$ISTHMUS_CACHE`, or `isthmus` in the user's cache directory."""
    chosen = os.environ.get("ISTHMUS_CACHE")
    if chosen:
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isthmus"


@dataclass(frozen=True)
class Asset:
    """One directory of the cache."""

    name: str
    directory: Path

    @property
    def complete(self) -> bool:
        """Whether it was built to the end."""
        return (self.directory / _MARKER).is_file()

    def marker(self) -> None:
        """Make the asset count, or say that it is still used."""
        (self.directory / _MARKER).touch()


@dataclass(frozen=True)
class Cache:
    """All assets below one root directory."""

    root: Path

    def asset(self, name: str, *determinants: str | bytes) -> Asset:
        """The place of an asset that these texts determine."""
        digest = hashlib.sha256()
        for part in determinants:
            content = part.encode() if isinstance(part, str) else part
            digest.update(len(content).to_bytes(8, "big") + content)
        return Asset(name, self.root / f"{name}-{digest.hexdigest()[:16]}")

    def log(self, name: str) -> Path:
        """Where the output of a build goes."""
        return self.root / "logs" / f"{name}.log"

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep every other process from the same work; the lock ends with its process at the latest."""
        path = self.root / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def building(self, asset: Asset) -> Iterator[bool]:
        """Enter with the lock held; true when there is something to build, into an empty directory."""
        with self.lock(asset.name):
            if asset.complete:
                yield False
                return
            shutil.rmtree(asset.directory, ignore_errors=True)
            asset.directory.mkdir(parents=True)
            yield True
            asset.marker()
            self._forget_unused(asset.name)

    def _forget_unused(self, name: str) -> None:
        """Remove what earlier versions of the asset left, except what was used lately (perhaps by another tree)."""
        for directory in self.root.glob(f"{name}-" + "[0-9a-f]" * 16):
            marker = directory / _MARKER
            if marker.exists() and time.time() - marker.stat().st_mtime > _UNUSED_SECONDS:
                shutil.rmtree(directory)
