"""`kubectl isthmus` as its users have it: one file, beside kubectl in a directory of PATH."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.plugin import archive
from tests.testbed.assets import ensure


@dataclass(frozen=True)
class Plugin:
    """The plugin and kubectl in one directory, which is the PATH and the home."""

    directory: Path
    kubeconfig: Path

    @classmethod
    def install(cls, directory: Path, kubeconfig: Path) -> Plugin:
        """Write it to a new directory."""
        directory.mkdir(exist_ok=True)
        (directory / "kubectl").symlink_to(ensure("kubernetes").kubectl)
        (directory / "python3").symlink_to(sys.executable)
        (directory / "kubectl-isthmus").write_bytes(archive.build())
        (directory / "kubectl-isthmus").chmod(0o755)
        return cls(directory, kubeconfig)

    def record_calls(self) -> None:
        """Let kubectl write its command lines, which other users of a computer can read, to file `calls`."""
        path = self.directory / "kubectl"
        program = path.resolve()
        path.unlink()
        path.write_text(f'#!/bin/sh\nprintf \'%s\\n\' "$*" >> {self.directory}/calls\nexec {program} "$@"\n')
        path.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """Of an administrator."""
        return {
            "PATH": f"{self.directory}:/usr/bin:/bin",
            "HOME": str(self.directory),
            "KUBECONFIG": str(self.kubeconfig),
        }

    def run(
        self, *arguments: str, program: str = "kubectl-isthmus", kubeconfig: Path | None = None, stdin: str = ""
    ) -> Any:
        """Run it with the administrator's kubeconfig or another one, in its directory."""
        environment = self.environment | ({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {})
        return subprocess.run(
            [str(self.directory / program), *arguments],
            env=environment,
            cwd=self.directory,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def sentence(self, *arguments: str, code: int = 3, kubeconfig: Path | None = None) -> str:
        """The only output of a run that failed."""
        done = self.run(*arguments, kubeconfig=kubeconfig)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done
        return str(done.stderr).removeprefix("kubectl isthmus: ").strip()
