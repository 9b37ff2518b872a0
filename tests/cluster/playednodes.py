"""Nodes without kubelets: the chart's workloads on a real API server, whose pods a thread creates and lets run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from isthmus.model.names import GATEWAY_NAMESPACE
from tests.testbed.kubernetes.cluster import ControlPlane, KubectlError

from .accounts import make_node
from .kubelet import set_status

_RENDERING = Path(__file__).parents[1] / "chart" / "golden" / "minimal.yaml"
_LEVEL = "pod-security.kubernetes.io/enforce"
_RESTARTED = "kubectl.kubernetes.io/restartedAt"

Document = dict[str, Any]


@dataclass
class Nodes:
    """Gateway nodes, on which one component of the chart runs."""

    plane: ControlPlane
    names: tuple[str, ...]
    workload: Document
    broken: set[str] = field(default_factory=set)
    """Nodes on which pods do not become ready."""
    without_image: set[str] = field(default_factory=set)
    """Nodes that cannot pull."""
    created: int = 0
    failures: list[BaseException] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        return str(self.workload["metadata"]["name"])

    def pods(self) -> list[Document]:
        """All pods of the namespace, those that pull images included."""
        found: list[Document] = json.loads(self._kubectl("get", "pods", "-o", "json"))["items"]
        return found

    def of_workload(self) -> list[Document]:
        """Those of the component."""
        wanted = self.workload["spec"]["selector"]["matchLabels"].items()
        return [pod for pod in self.pods() if wanted <= pod["metadata"]["labels"].items()]

    def uids(self) -> dict[str, str]:
        """Of the component's pods, by node."""
        return {pod["spec"]["nodeName"]: pod["metadata"]["uid"] for pod in self.of_workload()}

    def run(self) -> None:
        try:
            while not self.stopped.wait(0.1):
                self.step()
        except BaseException as error:
            self.failures.append(error)

    def step(self) -> None:
        """What kubelets and the DaemonSet's controller do once."""
        for pod in self.pods():
            if "deletionTimestamp" in pod["metadata"]:
                self._delete(pod)
            elif pod["status"]["phase"] == "Pending":
                self._start(pod)
        self._replace_outdated()
        for node in set(self.names) - set(self.uids()):
            self._create(node)
        self._count()

    def _create(self, node: str) -> None:
        workload = self._current()
        template = workload["spec"]["template"]
        self.created += 1
        metadata = {"name": f"{self.name}-{self.created}", "namespace": GATEWAY_NAMESPACE, **template["metadata"]}
        metadata["annotations"] = {"test/template": _template(workload)}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] | {"nodeName": node}}
        self._kubectl("create", "-f", "-", input=json.dumps(pod))

    def _start(self, pod: Document) -> None:
        """Write the status of a pod that has just been created. Its phase says that this was done."""
        node, name = pod["spec"]["nodeName"], pod["metadata"]["name"]
        is_image, is_broken = name.startswith("isthmus-image"), node in self.broken
        waiting = {"reason": "ImagePullBackOff", "message": "not found"} if node in self.without_image else None
        state = {"waiting": waiting} if waiting else {"running": {}}
        container = {"name": pod["spec"]["containers"][0]["name"], "image": "x", "imageID": "" if waiting else "x"}
        container |= {"ready": not is_broken, "restartCount": 0, "state": state}
        phase = "Pending" if waiting else "Succeeded" if is_image else "Running"
        ready = {"type": "Ready", "status": str(not (is_broken or waiting))}
        status = {"phase": phase, "conditions": [ready], "containerStatuses": [container]}
        try:
            set_status(self.plane, f"pod/{name}", status, GATEWAY_NAMESPACE)
        except KubectlError as error:
            if "NotFound" not in str(error):  # it was deleted since it was listed
                raise

    def _replace_outdated(self) -> None:
        """One pod of an earlier template, as RollingUpdate does."""
        if self.workload["spec"]["updateStrategy"]["type"] != "RollingUpdate":
            return
        current = _template(self._current())
        outdated = (pod for pod in self.of_workload() if self._of(pod) != current)
        if pod := next(outdated, None):
            self._delete(pod)

    def _delete(self, pod: Document) -> None:
        self._kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force", "--ignore-not-found")

    def _count(self) -> None:
        found, pods = self._current(), self.of_workload()
        current = _template(found)
        counts = {
            "observedGeneration": found["metadata"]["generation"],
            "desiredNumberScheduled": len(self.names),
            "currentNumberScheduled": len(pods),
            "numberMisscheduled": 0,
            "numberReady": len(pods),
            "numberAvailable": len([pod for pod in pods if pod["status"]["phase"] == "Running"]),
            "updatedNumberScheduled": len([pod for pod in pods if self._of(pod) == current]),
        }
        set_status(self.plane, f"daemonset/{self.name}", counts, GATEWAY_NAMESPACE)

    def _current(self) -> Document:
        found: Document = json.loads(self._kubectl("get", "daemonset", self.name, "-o", "json"))
        return found

    @staticmethod
    def _of(pod: Document) -> str:
        return str(pod["metadata"]["annotations"]["test/template"])

    def _kubectl(self, *arguments: str, input: str | None = None) -> str:
        return self.plane.kubectl(*arguments, "-n", GATEWAY_NAMESPACE, input=input)


@contextmanager
def played(plane: ControlPlane, component: str, *names: str) -> Iterator[Nodes]:
    """The component's DaemonSet as in the chart, with a ready pod on each of these nodes."""
    rendered = [document for document in yaml.safe_load_all(_RENDERING.read_text()) if document]
    (workload,) = [
        document
        for document in rendered
        if (document["kind"], document["metadata"]["name"]) == ("DaemonSet", f"isthmus-{component}")
    ]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": f"isthmus-{component}"}}
    nodes = Nodes(plane, names, workload)
    where = ("-n", GATEWAY_NAMESPACE)
    before = plane.kubectl("get", "namespace", GATEWAY_NAMESPACE, "-o", f"jsonpath={{.metadata.labels['{_key()}']}}")
    plane.kubectl("label", "namespace", GATEWAY_NAMESPACE, f"{_LEVEL}=privileged", "--overwrite")
    plane.kubectl("apply", "-f", "-", *where, input=json.dumps(account))
    plane.kubectl("apply", "-f", "-", input=json.dumps(workload))
    for name in names:
        make_node(plane, name)
        set_status(plane, f"node/{name}", {"conditions": [{"type": "Ready", "status": "True"}]})
    thread = threading.Thread(target=nodes.run)
    nodes.step()
    nodes.step()
    thread.start()
    try:
        yield nodes
    finally:
        nodes.stopped.set()
        thread.join()
        plane.kubectl("delete", "daemonset", nodes.name, *where)
        plane.kubectl("delete", "pods", "--all", *where, "--grace-period=0", "--force")
        plane.kubectl("delete", "node", *names)
        plane.kubectl("label", "namespace", GATEWAY_NAMESPACE, f"{_LEVEL}={before}", "--overwrite")
    assert nodes.failures == []


def _template(workload: Document) -> str:
    """Which of its templates a DaemonSet has."""
    return str(workload["spec"]["template"]["metadata"].get("annotations", {}).get(_RESTARTED, "first"))


def _key() -> str:
    return _LEVEL.replace(".", "\\.")
