"""The image of a node's next pod, which must be on the node before the running pod is deleted.

A pod that has nothing to do has the kubelet pull it. It is in the network of the host, as the pods that it is for: a
gateway node may have no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from isthmus.model import names

from ..documents import Document, entries, text
from .workloads import Component, Machine

_NAME: Final = "isthmus-image"
# The kubelet has tried in vain, and tries again later: it says so after the first failure.
_FAILED: Final = frozenset({"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"})


class Pull(Enum):
    """How far the kubelet is."""

    WAITING = auto()
    DONE = auto()
    FAILED = auto()


@dataclass(frozen=True)
class Image:
    """What a DaemonSet's containers are made from."""

    reference: str
    policy: str
    pull_secrets: tuple[str, ...]
    account: str

    @classmethod
    def parse(cls, daemonset: Document) -> Image:
        """Of the only container of its template."""
        template = ("spec", "template", "spec")
        container = next(iter(entries(daemonset, *template, "containers")), {})
        return cls(
            reference=text(container, "image"),
            policy=text(container, "imagePullPolicy"),
            pull_secrets=tuple(text(secret, "name") for secret in entries(daemonset, *template, "imagePullSecrets")),
            account=text(daemonset, *template, "serviceAccountName"),
        )

    def is_on(self, machine: Machine) -> bool:
        """Whether the node lists it. A node lists some of its images only, and with `Always` it asks the registry."""
        return self.policy != "Always" and self.reference in machine.images


def pod_name(component: Component, node: str) -> str:
    """The same for the same node, so that an interrupted restart leaves at most one."""
    return f"{_NAME}-{component.name}-{names.digest(node)}"


def pod(component: Component, image: Image, node: str) -> dict[str, Any]:
    """The pod that has the image pulled. It has none of the labels by which DaemonSets find their pods."""
    container = {
        "name": "image",
        "image": image.reference,
        "imagePullPolicy": image.policy or "IfNotPresent",
        "command": list(component.command),
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    labels = {"app.kubernetes.io/part-of": "isthmus", "app.kubernetes.io/component": "image"}
    metadata = {"name": pod_name(component, node), "namespace": component.namespace, "labels": labels}
    spec = {
        "nodeName": node,
        "hostNetwork": True,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"operator": "Exists"}],
        "imagePullSecrets": [{"name": name} for name in image.pull_secrets],
        "containers": [container],
    }
    if image.account:
        spec["serviceAccountName"] = image.account
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def pull(item: Document) -> tuple[Pull, str]:
    """How far that pod is, and what the kubelet says of it."""
    for status in entries(item, "status", "containerStatuses"):
        reason, message = (text(status, "state", "waiting", field) for field in ("reason", "message"))
        said = ": ".join(filter(None, (reason, message)))
        if text(status, "imageID") or not reason:
            return Pull.DONE, ""
        return (Pull.FAILED if reason in _FAILED else Pull.WAITING), said
    return Pull.WAITING, "the node has not begun"
