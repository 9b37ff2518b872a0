"""What is offered of the gateway that a tenant chose for a peer: the choice, or the origin's and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from isthmus.core.federation.peer import has_feature
from isthmus.core.network.addressing import contains, size, spans_of
from isthmus.core.network.slices import smallest_slice
from isthmus.core.network.subnet_record import ranges_of
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import SubnetRecord
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLinkSpec, Offer
from isthmus.model.api.v1alpha1.networkexpansion import GatewayChoice, NetworkExpansion
from isthmus.model.facts.openstack import Subnet
from isthmus.model.protocol import Feature
from isthmus.model.reasons import Reason

from .admission import PeerRequest


@dataclass(frozen=True)
class OfferedGateway:
    """The choice that is offered, and why it is not the one that the tenant made."""

    choice: GatewayChoice
    problem: Problem | None = None


def chosen_gateways(
    expansion: NetworkExpansion | None, requests: Collection[PeerRequest]
) -> Mapping[str, GatewayChoice]:
    """What the tenant chose, by cloud ID."""
    by_name = {reference.name: reference.gateway for reference in expansion.spec.peers} if expansion else {}
    return {request.cloud_id: by_name[request.name] for request in requests if request.cloud_id}


def offered_gateway(
    snapshot: Snapshot,
    cloud_id: str,
    chosen: GatewayChoice,
    subnets: Collection[Subnet],
    record: Collection[SubnetRecord],
) -> OfferedGateway:
    """What can be offered to the peer; an older one does not read the choice, and uses the origin's gateway."""
    if chosen == "Origin":
        return OfferedGateway("Origin")
    if not has_feature(snapshot, cloud_id, Feature.GATEWAY_CHOICE):
        text = f"{cloud_id} does not know {chosen} yet, and uses the origin's gateway until its Isthmus is upgraded"
        return OfferedGateway("Origin", Problem(Reason.PEER_TOO_OLD, text))
    for subnet in (s for s in subnets if s.ip_version == 4) if chosen == "Local" else ():
        ranges, needed = ranges_of(record, subnet.id, cloud_id), smallest_slice(subnet) + 1
        if ranges and size(spans_of(ranges)) < needed:
            slice_ = f"the slice {ranges[0].first}-{ranges[0].last} of {cloud_id}"
            text = (
                f"{slice_} has too few addresses for a gateway of its own: {needed} are needed; "
                f"{cloud_id} uses the origin's"
            )
            return OfferedGateway("Origin", Problem(Reason.SLICE_TOO_SMALL, text))
    return OfferedGateway(chosen)


def gateways_of_receiver(offer: Offer, accepted: ExpansionLinkSpec | None) -> tuple[str, ...]:
    """The gateways that the receiver has in its slices; it cannot speak for other addresses."""
    if accepted is None or accepted.answer is None:
        return ()
    slices = spans_of(offer.ranges)
    return tuple(sorted({a for a in accepted.answer.gateway_addresses if contains(slices, a)}))
