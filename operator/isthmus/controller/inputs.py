"""Reads the controller's inputs besides watched objects: the peers' credentials, and what their APIs publish."""

from __future__ import annotations

from isthmus.model import names
from isthmus.model.api.kinds import KINDS
from isthmus.model.names import API_VERSION
from isthmus.model.peerkubeconfig import InvalidKubeconfig, PeerCredential
from isthmus.model.peertoken import Lifetime, lifetime_of
from isthmus.ports import Cluster, Observer, PeerReader

from .state import State


def list_everything(cluster: Cluster, observer: Observer) -> None:
    """Report all objects that planning needs, as a watch does at its start. Raises ExternalError."""
    for kind in KINDS:
        name = kind.registration.kind
        observer.listed(name, cluster.list_manifests(API_VERSION, name))
    for name in ("Namespace", "Node"):
        observer.listed(name, cluster.list_manifests("v1", name))
    observer.listed("Secret", cluster.list_manifests("v1", "Secret", names.SYSTEM_NAMESPACE))


def follow_peers(state: State, peers: PeerReader) -> None:
    """Make the peer reader follow exactly the peers that have a credential."""
    kubeconfigs = state.kubeconfigs()
    peers.follow(kubeconfigs)
    state.set_credentials({cloud_id: _lifetime(kubeconfig) for cloud_id, kubeconfig in kubeconfigs.items()})


def _lifetime(kubeconfig: bytes) -> Lifetime | None:
    try:
        return lifetime_of(PeerCredential.parse(kubeconfig).token)
    except InvalidKubeconfig:
        return None
