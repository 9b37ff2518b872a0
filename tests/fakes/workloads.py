"""Workloads of the chart, nodes and gateway nodes as kubectl prints them."""

from __future__ import annotations

from typing import Any

REFERENCE = "registry.example.org/isthmus/isthmus-charon:0.1.0"


def daemonset(name: str, policy: str = "IfNotPresent") -> dict[str, Any]:
    """One of the chart's, with one container."""
    container = {"name": name, "image": REFERENCE, "imagePullPolicy": policy}
    template = {
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccountName": "isthmus-charon",
        "containers": [container],
    }
    return {"kind": "DaemonSet", "metadata": {"name": name}, "spec": {"template": {"spec": template}}}


def pod(
    uid: str, node: str = "gw-a1", *, ready: bool = True, waiting: str = "", ending: bool = False
) -> dict[str, Any]:
    """A pod of charon; `waiting` says why its container does not run."""
    state = {"waiting": {"reason": waiting, "message": "no such image"}} if waiting else {"running": {}}
    metadata = {"name": f"isthmus-charon-{uid}", "uid": uid} | ({"deletionTimestamp": "2026-01-01"} if ending else {})
    conditions = [{"type": "Ready", "status": str(ready)}]
    status = {"conditions": conditions, "containerStatuses": [{"state": state, "imageID": "" if waiting else "x"}]}
    return {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": node}, "status": status}


def node(name: str = "gw-a1", *images: str, ready: bool = True) -> dict[str, Any]:
    """A node with these images."""
    status = {"conditions": [{"type": "Ready", "status": str(ready)}], "images": [{"names": list(images)}]}
    return {"kind": "Node", "metadata": {"name": name}, "status": status}


def gateway(name: str = "gw-a1", *, up: bool = True, peers: tuple[str, ...] = ("cloud-b",)) -> dict[str, Any]:
    """A gateway node with a connection to each of these peers."""
    connections = [{"cloudID": peer, "gateway": f"gw-{peer}", "up": up} for peer in peers]
    return {"kind": "GatewayNode", "metadata": {"name": name}, "status": {"connections": connections}}
