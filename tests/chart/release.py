"""The chart as a release on a real API server."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.model.api.kinds import KINDS
from tests.chart.helm import CHART, run
from tests.cluster.accounts import account_kubeconfig
from tests.readme import commands
from tests.testbed.kubernetes.cluster import ControlPlane

NAMESPACE: Final = "isthmus-system"


def commands_of_readme() -> list[str]:
    """What the README's section on the installation says, one command each."""
    return [command.line for command in commands("Install")]


@dataclass(frozen=True)
class Release:
    """The release `isthmus` in one cluster."""

    plane: ControlPlane

    def install(self, *options: str) -> str:
        """Install it with the README's command; returns the notes."""
        (command,) = [line for line in commands_of_readme() if line.startswith("helm install ")]
        words = [str(CHART) if word == "charts/isthmus" else word for word in shlex.split(command)[1:]]
        printed = self.helm(*words, *options)
        self.plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
        self.plane.wait_served(*(kind.registration.plural for kind in KINDS))
        return printed

    def upgrade(self, *options: str) -> None:
        """Upgrade it to the chart of the tree."""
        self.helm("upgrade", "isthmus", str(CHART), "--reset-then-reuse-values", *options)

    def uninstall(self, *options: str) -> None:
        """Uninstall it."""
        self.helm("uninstall", "isthmus", *options)

    def helm(self, *arguments: str) -> str:
        """Run Helm as the administrator of the cluster."""
        where = ("--kubeconfig", str(self.plane.kubeconfig), "--namespace", NAMESPACE)
        return run(*arguments, *where)

    def hooks(self) -> list[dict[str, Any]]:
        """Its hooks and tests as the cluster has them."""
        return [hook for hook in yaml.safe_load_all(self.helm("get", "hooks", "isthmus")) if hook]

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        """Run kubectl as the administrator."""
        return self.plane.kubectl(*arguments, input=input)

    def account(self, directory: Path, name: str) -> KubernetesCluster:
        """The API server as an account of the release sees it."""
        return KubernetesCluster(str(account_kubeconfig(self.plane, directory, NAMESPACE, name)), "isthmus")
