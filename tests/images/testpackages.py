"""pytest and what the unit tests need beside it, for the interpreter of the images: in the cache, by the lock file."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Final

from images.inputs import REPOSITORY
from tests.testbed.assets.cache import Asset, Cache, default_root
from tests.testbed.assets.workshop import Workshop

_NAMES: Final = frozenset(
    (
        "execnet",
        "hypothesis",
        "iniconfig",
        "packaging",
        "pluggy",
        "pygments",
        "pytest",
        "pytest-xdist",
        "sortedcontainers",
    )
)
_USUAL_SECONDS: Final = 10.0


def ensure(python: str) -> Path:
    """A directory for the module path of this version of Python, such as `3.13`. Raises BuildError."""
    lines = (REPOSITORY / "requirements" / "development.txt").read_text().splitlines()
    locked = [line for line in lines if line.partition("==")[0] in _NAMES]
    with Workshop(Cache(default_root())) as workshop:
        asset = workshop.cache.asset("image-tests", python, *locked)
        make = partial(_install, workshop, asset, python, locked)
        workshop.submit(partial(workshop.build, asset, _USUAL_SECONDS, make))
    return asset.directory


def _install(workshop: Workshop, asset: Asset, python: str, locked: list[str], directory: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:"]
    workshop.run(asset.name, [*pip, f"--python-version={python}", f"--target={directory}", *locked])
