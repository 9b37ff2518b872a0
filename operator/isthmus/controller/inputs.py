"""Reads the controller's inputs: this cloud's Kubernetes API, and the last results from the peers' APIs."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from isthmus.core.snapshot.index import OwnCloud, Snapshot, indexed
from isthmus.model import names
from isthmus.model.api.kinds import KINDS
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.settings import ControllerSettings
from isthmus.ports import Cluster

from .backends import Backends


def read_snapshot(settings: ControllerSettings, backends: Backends) -> Snapshot:
    """All objects that planning needs, listed completely, and the peers' views. Raises ExternalError.

    Also makes the peer reader follow exactly the peers that have a credential.
    """
    cluster = backends.cluster
    snapshot = Snapshot(
        own=OwnCloud(
            settings.cloud_id, settings.gateway_cidrs, settings.absence_grace_seconds, settings.gateway_return_seconds
        ),
        now=backends.clock.now(),
        objects={kind: indexed(cluster.list_objects(kind)) for kind in KINDS},
        namespaces={m["metadata"]["name"]: m for m in cluster.list_manifests("v1", "Namespace")},
        gateway_nodes=frozenset(filter(None, map(_gateway_name, cluster.list_manifests("v1", "Node")))),
    )
    kubeconfigs = _kubeconfigs(snapshot, cluster)
    backends.peers.follow(kubeconfigs)
    return snapshot.with_peers(frozenset(kubeconfigs), backends.peers.views())


def _kubeconfigs(snapshot: Snapshot, cluster: Cluster) -> dict[str, bytes]:
    """Kubeconfigs by cloud ID, of the CloudPeers that own their cloud ID and whose Secret exists."""
    found: dict[str, bytes] = {}
    for peer in snapshot.all(CloudPeer):
        if snapshot.peer_of(peer.spec.cloud_id) != peer or peer.spec.cloud_id == snapshot.own.cloud_id:
            continue
        name = peer.spec.api.kubeconfig_secret_ref.name
        secret = cluster.get_manifest("v1", "Secret", name, names.SYSTEM_NAMESPACE)
        content = _content(secret or {})
        if content:
            found[peer.spec.cloud_id] = content
    return found


def _content(secret: Mapping[str, Any]) -> bytes:
    text = (secret.get("data") or {}).get(names.KUBECONFIG_KEY, "")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _gateway_name(node: Mapping[str, Any]) -> str | None:
    labelled = node["metadata"].get("labels", {}).get(names.GATEWAY_LABEL) == "true"
    return str(node["metadata"]["name"]) if labelled else None
