"""What `kubectl isthmus uninstall` removes, before and during it, as kubectl prints it."""

from __future__ import annotations

from typing import Any

FINALIZER = "isthmus.cloud/withdraw"
Document = dict[str, Any]


def item(kind: str, name: str, namespace: str = "", **more: Any) -> Document:
    """An object; of the others, `conditions` are triples of type, status and message."""
    metadata: Document = {"name": name, "finalizers": more.pop("finalizers", [FINALIZER])}
    metadata |= {"namespace": namespace} if namespace else {}
    conditions = [
        {"type": type_, "status": status, "reason": "R", "message": message}
        for type_, status, message in more.pop("conditions", [])
    ]
    status = {"conditions": conditions} | more.pop("status", {})
    return {"kind": kind, "metadata": metadata, "status": status, **more}


NETWORK = item("NetworkExpansion", "web", "shop")
PEER = item("CloudPeer", "cloud-b", conditions=[("Ready", "True", "")])
AWAY = item("CloudPeer", "cloud-c", conditions=[("Ready", "False", "no answer"), ("Reachable", "False", "no answer")])
ATTACHMENT = item("Attachment", "cloud-b.n1", "isthmus-system", spec={"role": "Receiver"}, finalizers=[])


def gateway(*peers: str) -> Document:
    """A gateway node with a connection to each of these peers."""
    status = {"connections": [{"cloudID": peer, "gateway": "gw"} for peer in peers]}
    return item("GatewayNode", "gw-a1", status=status, finalizers=[])


def ending(document: Document) -> Document:
    """The same object after its deletion."""
    metadata = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    return document | {"metadata": document["metadata"] | metadata}


def forgotten(document: Document) -> Document:
    """The same object after its deletion, with the annotation."""
    metadata = ending(document)["metadata"] | {"annotations": {"isthmus.cloud/forget": "true"}}
    return document | {"metadata": metadata}


def role(release: str = "", namespace: str = "isthmus-system") -> Document:
    """A role of the installation, which belongs to a release of Helm or to none."""
    annotations = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
    return {"metadata": {"name": "isthmus-agent", "annotations": annotations if release else {}}}
