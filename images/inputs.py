"""What determines an image: its inputs in the tree, and when they were changed last."""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

Target = Literal["controller", "agent", "charon"]
TARGETS: Final[tuple[Target, ...]] = get_args(Target)

REPOSITORY: Final = Path(__file__).parents[1]
CONTAINERFILE: Final = REPOSITORY / "images" / "Containerfile"
_ANY: Final = (".dockerignore", "images/Containerfile", "images/sbom.py")
_PROCESS: Final = (
    "images/root.sh",
    "images/wheels.sh",
    "images/constraints.txt",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
_INPUTS: Final[dict[Target, Sequence[str]]] = {
    "controller": (*_ANY, *_PROCESS, "requirements/controller.txt", "operator"),
    "agent": (*_ANY, *_PROCESS, "requirements/agent.txt", "operator"),
    "charon": (*_ANY, "images/charon.sh", "images/charon-root.sh", "deploy/strongswan.conf"),
}
# A change of the code alone does not change the time stamps, so that a build uses the stages of an earlier one again.
_UNDATED: Final = frozenset({"operator", "README.md", "LICENSE"})
_DATED_BY: Final = sorted({name for names in _INPUTS.values() for name in names} - _UNDATED)


@dataclass(frozen=True)
class Revision:
    """What the labels of an image say of its source."""

    version: str
    commit: str
    """The last commit that changed an input, with `-modified` if the tree differs from it; empty outside of git."""


def contents(target: Target) -> Iterator[bytes]:
    """Names and contents of all files that the image is built from."""
    for name in _INPUTS[target]:
        path = REPOSITORY / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield str(file.relative_to(REPOSITORY)).encode()
                yield file.read_bytes()


def revision(target: Target) -> Revision:
    """Version of the package, and commit of the inputs."""
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    commit = _git("log", "-1", "--format=%H", "--", *_INPUTS[target])
    modified = _git("status", "--porcelain", "--", *_INPUTS[target])
    return Revision(version, f"{commit}-modified" if commit and modified else commit)


def epoch() -> str:
    """Time stamp of all files, in seconds: $SOURCE_DATE_EPOCH, or of the last commit that changed the dependencies."""
    return os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct", "--", *_DATED_BY) or "0"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(REPOSITORY), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
