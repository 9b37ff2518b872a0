"""Networks of a peer that await our administrators' decision, for the CloudPeer."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.core.snapshot.facets import peers_offer
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.api.v1alpha1.cloudpeer import MAX_AWAITING, AwaitingNetwork


def awaiting(snapshot: Snapshot, cloud_id: str) -> tuple[AwaitingNetwork, ...]:
    """The first ones by link name, at most so many as a CloudPeer lists."""
    return tuple(_awaiting(snapshot, cloud_id))


def _awaiting(snapshot: Snapshot, cloud_id: str) -> Iterator[AwaitingNetwork]:
    for name in snapshot.awaiting_from(cloud_id)[:MAX_AWAITING]:
        offer = peers_offer(snapshot.link(cloud_id, name))
        yield AwaitingNetwork(name=name, network_name=offer.network_name if offer is not None else "")
