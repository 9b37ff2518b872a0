"""Isthmus in cloud A, in pods of a Helm release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.pods.release import Release
from tests.testbed.assets import Assets
from tests.testbed.cloud import nodes
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.install.installation import SYSTEM, Installation
from tests.testbed.kubelet.worker import Worker
from tests.testbed.kubelet.workers import Workers
from tests.testbed.node.node import CommandError

GATEWAY: Final = "isthmus-gateway"
NAMESPACES: Final = {"controller": SYSTEM, "agent": GATEWAY, "charon": GATEWAY}
METRICS_PORTS: Final = {"controller": 9090, "agent": 9091}

Pod = dict[str, Any]


class PodInstallation(Installation):
    """The release, and what an administrator gives it: the credential and the label of the gateway node."""

    def __init__(self, cloud: Cloud, assets: Assets, directory: Path, workers: Workers) -> None:
        super().__init__(cloud, assets, directory)
        self.workers = workers
        self.release = Release(cloud, workers)
        self.notes = ""
        """What Helm printed after the installation."""

    def install(self) -> None:
        """Install the release, and nothing else: what it lacks is in its notes."""
        self.notes = self.release.install()

    def start(self) -> None:
        """Give it the credential and a gateway node, and wait until the controller can use OpenStack."""
        secret = ("secret", "generic", "-n", SYSTEM, "isthmus-openstack")
        self.cloud.kubectl("create", *secret, f"--from-literal=clouds.yaml={self.cloud.clouds_yaml()}")
        nodes.label(self.cloud, self.cloud.gateway, is_gateway=True)
        self.pod("controller", timeout_seconds=240)

    def stop(self) -> None:
        """Pods end with their nodes."""

    @property
    def version(self) -> str:
        """Tag of the images that were imported, which the chart names by default."""
        return self.workers.version

    def worker(self, component: str) -> Worker:
        """The node that the pod of a component runs on."""
        return self.workers.control if component == "controller" else self.workers.gateway

    def pods(self, component: str) -> list[Pod]:
        """The pods of a component, those that are being deleted included."""
        labels = f"app.kubernetes.io/name=isthmus,app.kubernetes.io/component={component}"
        listed = self.cloud.kubectl("get", "pods", "-n", NAMESPACES[component], "-l", labels, "-o", "json")
        found: list[Pod] = json.loads(listed)["items"]
        return found

    def pod(self, component: str, timeout_seconds: float = 180) -> Pod:
        """The only pod of a component, once all others are gone and it is ready."""

        def ready() -> Pod:
            found = self.pods(component)
            return found[0] if len(found) == 1 and is_ready(found[0]) else {}

        return wait_until(ready, timeout_seconds, f"one ready pod of the {component}", poll_seconds=0.3)

    def uids(self) -> dict[str, str]:
        """Identity of each component's pod."""
        return {component: self.uid(component) for component in NAMESPACES}

    def uid(self, component: str) -> str:
        """Identity of this component's pod."""
        return str(self.pod(component)["metadata"]["uid"])

    def restarts(self) -> dict[str, int]:
        """How often the container of each component's pod was restarted."""
        return {component: self.restarts_of(component) for component in NAMESPACES}

    def restarts_of(self, component: str) -> int:
        """How often the container of this component's pod was restarted."""
        return restart_count(self.pod(component))

    def restarts_now(self, component: str) -> int:
        """The same, whether or not the pod is ready."""
        return sum(map(restart_count, self.pods(component)))

    def delete_pod(self, component: str) -> None:
        """Delete the pod of a component, and wait for another one to be ready."""
        before = self.pod(component)["metadata"]
        self.cloud.kubectl("delete", "pod", "-n", before["namespace"], before["name"], "--wait=false")
        wait_until(lambda: self.uid(component) != before["uid"], 180, f"another pod of the {component}")

    def wait_taken_over(self, component: str, before: str) -> None:
        """Wait until another pod than this one is alone, and has done its work a few times."""
        wait_until(lambda: self.uid(component) != before, 180, f"another pod of the {component}")
        self.wait_reconciled(component, 3)

    def metrics(self, role: str) -> list[Sample]:
        """Metrics of controller or agent, read on its node. Raises ConnectionError while nothing serves them."""
        address = self.pod(role)["status"]["podIP"] if role == "controller" else "127.0.0.1"
        url = f"http://{address}:{METRICS_PORTS[role]}/metrics"
        try:
            text = self.worker(role).place.run(["busybox", "wget", "-q", "-O", "-", url]).stdout
        except CommandError as error:
            raise ConnectionError(str(error)) from error
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def logs(self, component: str) -> str:
        """What the container of a component's pod has logged."""
        pod = self.pod(component)["metadata"]
        return self.cloud.kubectl("logs", "-n", pod["namespace"], pod["name"])


def is_ready(pod: Pod) -> bool:
    """Whether all containers of a pod are ready."""
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def restart_count(pod: Pod) -> int:
    """How often the containers of a pod were restarted."""
    return sum(status["restartCount"] for status in pod["status"].get("containerStatuses", []))
