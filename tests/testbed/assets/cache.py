"""A cache outside the tree: each asset has a directory that is named by a hash of everything that determines it.

An asset is valid only if its marker exists, which is written last: a killed build leaves a directory without a marker,
and the next run repeats it. (Assets are built in place because a virtual environment contains its own path.)
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
        """Whether the build has completed."""
        return (self.directory / _MARKER).is_file()

    def marker(self) -> None:
        """Mark the asset as complete, or as still in use."""
        (self.directory / _MARKER).touch()


@dataclass(frozen=True)
class Cache:
    """All assets below one root directory."""

    root: Path

    def asset(self, name: str, *determinants: str | bytes) -> Asset:
        """The asset that these texts determine."""
        digest = hashlib.sha256()
        for part in determinants:
            content = part.encode() if isinstance(part, str) else part
            digest.update(len(content).to_bytes(8, "big") + content)
        return Asset(name, self.root / f"{name}-{digest.hexdigest()[:16]}")

    def log(self, name: str) -> Path:
        """Log file of a build."""
        return self.root / "logs" / f"{name}.log"

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Prevent other processes from doing the same work; the lock ends with its process at the latest."""
        path = self.root / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def building(self, asset: Asset) -> Iterator[bool]:
        """Hold the lock; yields whether to build, into an empty directory."""
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
        """Remove earlier versions of the asset, except recently used ones (perhaps by another working tree)."""
        for directory in self.root.glob(f"{name}-" + "[0-9a-f]" * 16):
            marker = directory / _MARKER
            if marker.exists() and time.time() - marker.stat().st_mtime > _UNUSED_SECONDS:
                shutil.rmtree(directory)
