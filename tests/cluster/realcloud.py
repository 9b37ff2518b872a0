"""Clouds whose controller and agent, played by a test, work on a real API server with the accounts of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.model import names
from tests.fakes.federation import FakeCloud
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import account_kubeconfig

_LINKS: Final = ("expansionlinks", "portslices", "memberlinks", "peerlinks")
_KINDS: Final = ("networkexpansions", "expansionapprovals", "cloudpeers", "ipsecpolicies", *_LINKS, "attachments")


def as_administrator(cloud: FakeCloud, plane: ControlPlane, directory: Path) -> KubernetesCluster:
    """Let the cloud be on that API server; returns an administrator's access to it."""
    administrator = KubernetesCluster(str(plane.kubeconfig), "kubectl")
    cloud.kubectl = administrator  # type: ignore[assignment]
    name = f"gw-{cloud.cloud_id}"
    node = {"name": name, "labels": {names.GATEWAY_LABEL: "true"}}
    administrator.apply_manifest({"apiVersion": "v1", "kind": "Node", "metadata": node})
    agent = account_kubeconfig(plane, directory, names.GATEWAY_NAMESPACE, names.AGENT, node=name)
    cloud.agent = KubernetesCluster(str(agent), f"{names.AGENT}-{name}")  # type: ignore[assignment]
    controller = account_kubeconfig(plane, directory, names.SYSTEM_NAMESPACE, names.CONTROLLER)
    cloud.backends = replace(cloud.backends, cluster=KubernetesCluster(str(controller), names.CONTROLLER))
    cloud.restart()
    return administrator


def remove_everything(plane: ControlPlane) -> None:
    """Delete what other modules left: this controller would act on it."""
    for kind in _KINDS:
        items = json.loads(plane.kubectl("get", kind, "-A", "-o", "json"))["items"]
        for metadata in (item["metadata"] for item in items):
            where = ["-n", metadata["namespace"]] if "namespace" in metadata else []
            if "finalizers" in metadata:
                plane.kubectl(
                    "patch", kind, metadata["name"], *where, "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
                )
            plane.kubectl("delete", kind, metadata["name"], *where, "--ignore-not-found")
    plane.kubectl("delete", "gatewaynodes", "--all")
    plane.kubectl("delete", "leases", "-n", names.SYSTEM_NAMESPACE, "--all")
    for namespace in (names.SYSTEM_NAMESPACE, names.IPSEC_NAMESPACE):
        found = plane.kubectl("get", "secrets", "-n", namespace, "-o", "name").split()
        if of_peers := [name for name in found if name.startswith("secret/peer-")]:
            plane.kubectl("delete", "-n", namespace, *of_peers)
