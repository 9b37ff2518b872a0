"""Tunnel IDs that this cloud may allocate for a network towards a peer."""

from __future__ import annotations

from isthmus.core.federation.agreement import own_tunnel_ids
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer


def next_tunnel_id(snapshot: Snapshot, peer: CloudPeer) -> int | None:
    """The lowest tunnel ID of our part of the range without a link of ours to the peer, withdrawn links included."""
    return next(iter(next_tunnel_ids(snapshot, peer, 1)), None)


def next_tunnel_ids(snapshot: Snapshot, peer: CloudPeer, count: int) -> tuple[int, ...]:
    """The lowest ones, as many as there are of so many."""
    cloud_id = peer.spec.cloud_id
    allowed = own_tunnel_ids(peer.spec.tunnel.id_range, snapshot.own.cloud_id, cloud_id)
    return snapshot.unused_tunnel_ids(cloud_id, allowed, count)
