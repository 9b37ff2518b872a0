"""Sets the controller's metrics from a snapshot."""

from __future__ import annotations

from isthmus.core.federation.agreement import own_tunnel_ids
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.api.kinds import KINDS
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.telemetry.metrics import (
    GATEWAY_READY,
    LINKS,
    NETWORKS_AWAITING,
    NOT_UNDERSTOOD,
    PEER_CREDENTIAL_ENDS,
    PEER_LAST_READ,
    PEERS,
    TUNNEL_IDS,
    TUNNEL_IDS_USED,
    Labels,
    Metrics,
)


def publish(snapshot: Snapshot, metrics: Metrics) -> None:
    """Set the metrics of links, peers, gateway nodes, tunnel IDs and objects that are not understood."""
    metrics.set(LINKS, _by_state(snapshot, ExpansionLink))
    peers = [peer.spec.cloud_id for peer in snapshot.all(CloudPeer)]
    metrics.set(NETWORKS_AWAITING, {(cloud_id,): float(len(snapshot.awaiting_from(cloud_id))) for cloud_id in peers})
    metrics.set(PEERS, _by_state(snapshot, CloudPeer))
    health = snapshot.gateway_health
    metrics.set(GATEWAY_READY, {(name,): float(found.state == "Usable") for name, found in health.items()})
    unclear = snapshot.cache.not_understood.counts()
    metrics.set(
        NOT_UNDERSTOOD, {(kind.registration.kind,): float(unclear.get(kind.registration.kind, 0)) for kind in KINDS}
    )
    before = metrics.values(PEER_LAST_READ)
    read: dict[Labels, float] = {(cloud_id,): before.get((cloud_id,), 0.0) for cloud_id in snapshot.credentials}
    read |= {(cloud_id,): snapshot.now.timestamp() for cloud_id, view in snapshot.views.items() if view.complete}
    metrics.set(PEER_LAST_READ, read)
    known = ((cloud_id, lifetime) for cloud_id, lifetime in snapshot.credentials.items() if lifetime is not None)
    metrics.set(PEER_CREDENTIAL_ENDS, {(cloud_id,): lifetime.ends.timestamp() for cloud_id, lifetime in known})
    _publish_tunnel_ids(snapshot, metrics)


def _publish_tunnel_ids(snapshot: Snapshot, metrics: Metrics) -> None:
    allocatable: dict[Labels, float] = {}
    used: dict[Labels, float] = {}
    for peer in snapshot.all(CloudPeer):
        cloud_id = peer.spec.cloud_id
        allocatable[cloud_id,] = len(own_tunnel_ids(peer.spec.tunnel.id_range, snapshot.own.cloud_id, cloud_id))
        used[cloud_id,] = snapshot.tunnel_ids_used(cloud_id)
    metrics.set(TUNNEL_IDS, allocatable)
    metrics.set(TUNNEL_IDS_USED, used)


def _by_state(snapshot: Snapshot, kind: type[CustomObject]) -> dict[tuple[str, ...], float]:
    """Objects by the reason of their Ready condition: `Ready` if it is true, `New` if there is none yet."""
    return {(state,): float(count) for state, count in snapshot.cache.counts(kind, "state").items()}
