"""Clouds of this and of older releases, each in a process of its own, which read what the others publish."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).parents[2]
OLD: Final = "27db711"  # the last commit of which clouds know version 1 of the protocol only
LAST_OF_VERSION_2: Final = "a2dbd64"
_SCRIPT: Final = Path(__file__).with_name("release_process.py")
_MAX_ROUNDS: Final = 40


def unpack(commit: str, directory: Path, *parts: str) -> Path:
    """Folders of a commit from the git history, by default operator and fakes; needs a clone with that history."""
    archive = subprocess.run(
        ["git", "-C", str(REPOSITORY), "archive", commit, *(parts or ("operator", "tests"))],
        check=True,
        capture_output=True,
    ).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(directory, filter="data")
    return directory


class Cloud:
    """One cloud, whose release can be replaced in place."""

    def __init__(self, cloud_id: str, tree: Path) -> None:
        self.cloud_id = cloud_id
        self._process = self._start(tree)

    def __call__(self, command: str, *arguments: Any) -> Any:
        """One command of `release_process.Process`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([command, *arguments]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "the process has ended"}')
        if "error" in answer:
            raise AssertionError(f"{self.cloud_id}: {command}: {answer['error']}")
        return answer["result"]

    def replace(self, tree: Path) -> None:
        """End this release, and start another one upon the same Kubernetes and OpenStack."""
        saved = self("save")
        self.stop()
        self._process = self._start(tree)
        self("load", saved)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _start(self, tree: Path) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": f"{tree}:{tree / 'operator'}"}
        return subprocess.Popen(
            [sys.executable, str(_SCRIPT), self.cloud_id],
            env=environment,
            cwd=tree,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


def exchange(a: Cloud, b: Cloud) -> int:
    """Let each read what the other publishes, and run both once; returns the number of changes."""
    changes = 0
    for ours, theirs in ((a, b), (b, a)):
        ours("read", theirs("published"))
        changes += ours("cycle")
    return changes


def settle(a: Cloud, b: Cloud) -> None:
    """Exchange until nothing changes any more."""
    for _ in range(_MAX_ROUNDS):
        if not exchange(a, b):
            return
    raise AssertionError(f"not settled after {_MAX_ROUNDS} rounds")
