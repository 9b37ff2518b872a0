"""The chart as a release in cloud A, with the images of this tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from tests.chart.helm import CHART, run
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.install.installation import RESYNC_SECONDS, SYSTEM
from tests.testbed.kubelet.workers import Workers
from tests.testbed.topology import KUBERNETES_PORT

NAME: Final = "isthmus"
# Helm 4's other strategy waits for every pod of charon's DaemonSet to be replaced, which happens on deletion only.
_WAIT: Final = "--wait=legacy"

Values = dict[str, Any]


class Release:
    """The release `isthmus`."""

    def __init__(self, cloud: Cloud, workers: Workers) -> None:
        self._cloud = cloud
        site = cloud.site
        self.values: Values = {
            "cloud": {"id": site.cloud_id, "gatewayCIDRs": [str(site.wan)]},
            "image": {"registry": "localhost"},
            "apiServer": {"host": str(site.server_address.ip), "port": KUBERNETES_PORT},
            # The gateway node has no network for pods.
            "controller": {"nodeSelector": {"kubernetes.io/hostname": workers.control.name}},
            "settings": {
                "resync_seconds": RESYNC_SECONDS,
                "peer_poll_seconds": 1,
                "absence_grace_seconds": 10,
            },
        }

    def install(self) -> str:
        """Install it into a cluster that has never seen it; returns the notes."""
        return self.helm("install", NAME, str(CHART), "--create-namespace", values=self.values)

    def upgrade(self, changed: Mapping[str, Any], timeout_seconds: int = 100) -> None:
        """Upgrade it, with some values changed, and wait until everything is ready."""
        values = {**self.values, **changed}
        self.helm("upgrade", NAME, str(CHART), _WAIT, f"--timeout={timeout_seconds}s", values=values)

    def roll_back(self) -> None:
        """Return to the revision before, and wait until everything is ready."""
        self.helm("rollback", NAME, _WAIT, "--timeout=100s")

    def uninstall(self, *options: str) -> str:
        """Uninstall it."""
        return self.helm("uninstall", NAME, *options)

    def helm(self, *arguments: str, values: Values | None = None) -> str:
        """Run Helm as the administrator of the cluster."""
        where = ("--kubeconfig", str(self._cloud.kube.kubeconfig), "--namespace", SYSTEM)
        return run(*arguments, *where, values=yaml.safe_dump(values) if values else "")
