"""The Python of an image, for use on this machine's file system: with the image's standard library and libraries."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

# The image's loader, so that its C library is used; --argv0 keeps sys.executable, by which tests start processes.
_WRAPPER: Final = """#!/bin/sh
exec {loader} --argv0 "$0" --library-path {libraries} {python} "$@"
"""


def version(root: Path) -> str:
    """The version in the module path of the only Python in a root file system, such as `3.13`."""
    (library,) = (root / "usr" / "lib").glob("python3.*")
    return library.name.removeprefix("python")


def create(directory: Path, root: Path, packages: Iterable[Path]) -> Path:
    """A virtual environment (PEP 405) of the Python in a root file system; returns its interpreter.

    It finds these packages first, in that order.
    """
    name = f"python{version(root)}"
    (loader,) = (root / "usr" / "lib64").glob("ld-linux-*.so.*")
    (libraries,) = (path.parent for path in (root / "usr" / "lib").glob("*-linux-gnu/libc.so.6"))
    python = directory / "bin" / "python3"
    site = directory / "lib" / name / "site-packages"
    for parent in (python.parent, site):
        parent.mkdir(parents=True)
    python.write_text(_WRAPPER.format(loader=loader, libraries=libraries, python=root / "usr" / "bin" / name))
    python.chmod(0o755)
    (directory / "pyvenv.cfg").write_text(f"home = {root / 'usr' / 'bin'}\n")
    (site / "image.pth").write_text("".join(f"{package}\n" for package in packages))
    return python
