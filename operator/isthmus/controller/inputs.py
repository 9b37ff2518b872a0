"""Reads the controller's inputs besides watched objects: the peers' credentials, and what their APIs publish."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from isthmus.core.snapshot.index import Snapshot
from isthmus.model import names
from isthmus.model.api.kinds import KINDS
from isthmus.model.api.objects import API_VERSION
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.peerkubeconfig import InvalidKubeconfig, PeerCredential
from isthmus.model.peertoken import Lifetime, lifetime_of
from isthmus.ports import Cluster, Observer

from .backends import Backends
from .state import State


def list_everything(cluster: Cluster, observer: Observer) -> None:
    """Report all objects that planning needs, as a watch does at its start. Raises ExternalError."""
    for kind in KINDS:
        name = kind.registration.kind
        observer.listed(name, cluster.list_manifests(API_VERSION, name))
    for name in ("Namespace", "Node"):
        observer.listed(name, cluster.list_manifests("v1", name))


def follow_peers(state: State, backends: Backends) -> None:
    """Make the peer reader follow exactly the peers that have a credential. Raises ExternalError."""
    kubeconfigs = _kubeconfigs(state.snapshot(), backends.cluster)
    backends.peers.follow(kubeconfigs)
    state.set_credentials({cloud_id: _lifetime(kubeconfig) for cloud_id, kubeconfig in kubeconfigs.items()})


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


def _lifetime(kubeconfig: bytes) -> Lifetime | None:
    try:
        return lifetime_of(PeerCredential.parse(kubeconfig).token)
    except InvalidKubeconfig:
        return None


def _content(secret: Mapping[str, Any]) -> bytes:
    text = (secret.get("data") or {}).get(names.KUBECONFIG_KEY, "")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
