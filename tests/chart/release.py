"""The chart as a release on a real API server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from isthmus.adapters.kubernetes import KubernetesCluster
from tests.chart.helm import CHART, MINIMAL, run
from tests.cluster.accounts import account_kubeconfig
from tests.testbed.kubernetes.cluster import ControlPlane

NAMESPACE: Final = "isthmus-system"
_VALUES: Final = yaml.safe_dump({**MINIMAL, "crds": {"enabled": True}})


@dataclass(frozen=True)
class Release:
    """The release `isthmus` in one cluster."""

    plane: ControlPlane

    def install(self, *options: str) -> str:
        """Install it; returns the notes."""
        printed = self.helm("install", "isthmus", str(CHART), *options, values=_VALUES)
        self.plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        return printed

    def upgrade(self, *options: str) -> None:
        """Upgrade it to the chart of the tree."""
        self.helm("upgrade", "isthmus", str(CHART), *options, values=_VALUES)

    def uninstall(self, *options: str) -> None:
        """Uninstall it."""
        self.helm("uninstall", "isthmus", *options)

    def helm(self, *arguments: str, values: str = "") -> str:
        """Run Helm as the administrator of the cluster."""
        where = ("--kubeconfig", str(self.plane.kubeconfig), "--namespace", NAMESPACE)
        return run(*arguments, *where, values=values)

    def hooks(self) -> list[dict[str, Any]]:
        """Its hooks and tests as the cluster has them."""
        return [hook for hook in yaml.safe_load_all(self.helm("get", "hooks", "isthmus")) if hook]

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        """Run kubectl as the administrator."""
        return self.plane.kubectl(*arguments, input=input)

    def account(self, directory: Path, name: str) -> KubernetesCluster:
        """The API server as an account of the release sees it."""
        return KubernetesCluster(str(account_kubeconfig(self.plane, directory, NAMESPACE, name)), "isthmus")
