"""An administrator of one cloud, who has Helm, kubectl and `kubectl isthmus`, and types commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from images.inputs import REPOSITORY
from tests.testbed.assets import Assets
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host import terminal

SECONDS: Final = 300.0
_CODE: Final = re.compile(r"(?:[0-9A-Z]{4}-){6}[0-9A-Z]{4}")


@dataclass
class Administrator:
    """Their directory, which has the chart and the files of the cloud."""

    cloud: Cloud
    directory: Path
    programs: Path
    code: str = ""
    """The pairing code that the other administrator has read to them by telephone."""

    @classmethod
    def at(cls, cloud: Cloud, directory: Path, assets: Assets) -> Administrator:
        """Prepare the directory."""
        programs = directory / "bin"
        programs.mkdir(parents=True)
        (programs / "helm").symlink_to(assets.helm)
        (programs / "kubectl").symlink_to(assets.kubectl)
        (directory / "charts").symlink_to(REPOSITORY / "charts")
        return cls(cloud, directory, programs)

    def write(self, name: str, text: str) -> None:
        """Write a file, readable by nobody else."""
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(text)

    def type(self, line: str, **environment: str) -> str:
        """Run a line of bash where the cloud's API server is reached; returns what the terminal shows.

        `make` runs in the repository.
        """
        cwd = REPOSITORY if line.startswith("make ") else self.directory
        answers = {"pairing code: ": self.code, "[y/N]": "y"}
        argv = ["ip", "netns", "exec", self.cloud.netns, "bash", "-c", line]
        env = self._environment | environment
        shown = terminal.run(argv, env=env, cwd=cwd, answers=answers, timeout_seconds=SECONDS)
        if code := _CODE.search(shown):
            self.code = code[0]
        return shown

    def send(self, other: Administrator, pattern: str) -> None:
        """Send a file to the other administrator, and tell them the code."""
        (file,) = self.directory.glob(pattern)
        other.write(file.name, file.read_text())
        other.code = self.code

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.programs}:{REPOSITORY / 'build'}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.directory),
            "KUBECONFIG": str(self.cloud.kube.kubeconfig),
            "TERM": "dumb",
        }
