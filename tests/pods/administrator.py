"""`kubectl isthmus` as a cloud's administrator runs it: one file, beside kubectl and helm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from isthmus.plugin import archive
from tests.testbed.assets import Assets
from tests.testbed.cloud.cloud import Cloud

_SECONDS = 600


class Administrator:
    """The plugin with an administrator's kubeconfig; files of its answers go to `directory`."""

    def __init__(self, cloud: Cloud, assets: Assets, directory: Path) -> None:
        self.directory = directory
        self._cloud = cloud
        self._programs = [assets.kubectl.parent, assets.helm.parent]
        self._plugin = directory / "kubectl-isthmus"
        self._plugin.write_bytes(archive.build())

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a verb in the cloud's network namespace; the exit code is the caller's to check."""
        command = ["ip", "netns", "exec", self._cloud.netns, sys.executable, str(self._plugin), *arguments]
        environment = {
            "PATH": ":".join([*map(str, self._programs), "/usr/sbin:/usr/bin:/sbin:/bin"]),
            "HOME": str(self.directory),
            "KUBECONFIG": str(self._cloud.kube.kubeconfig),
        }
        return subprocess.run(
            command, env=environment, cwd=self.directory, capture_output=True, text=True, check=False, timeout=_SECONDS
        )

    def succeed(self, *arguments: str) -> str:
        """Run a verb that must do all that was asked for; returns its answer. Raises RuntimeError."""
        done = self.run(*arguments)
        if done.returncode:
            raise RuntimeError(f"kubectl isthmus {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return done.stdout
