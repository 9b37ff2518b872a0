"""The kubeconfig that an administrator hands to a peer's: it can read our links for that peer and nothing else."""

from __future__ import annotations

import base64

import yaml

from isthmus.model import names
from isthmus.model.errors import NotFound
from isthmus.ports import Cluster


def kubeconfig_for(cluster: Cluster, peer_cloud_id: str, server: str) -> str:
    """The kubeconfig for that peer as YAML. Raises NotFound if there is no token yet."""
    namespace = names.peer_namespace(peer_cloud_id)
    secret = cluster.get_manifest("v1", "Secret", names.PEER_TOKEN, namespace)
    data = (secret or {}).get("data") or {}
    if "token" not in data:
        raise NotFound(
            f"namespace {namespace} has no token in Secret {names.PEER_TOKEN}: apply a CloudPeer for cloud "
            f"{peer_cloud_id} first, and let the controller run"
        )
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "peer", "cluster": {"server": server, "certificate-authority-data": data["ca.crt"]}}],
        "users": [{"name": "peer", "user": {"token": base64.b64decode(data["token"]).decode()}}],
        "contexts": [{"name": "peer", "context": {"cluster": "peer", "user": "peer", "namespace": namespace}}],
        "current-context": "peer",
    }
    return str(yaml.safe_dump(document, sort_keys=False))
