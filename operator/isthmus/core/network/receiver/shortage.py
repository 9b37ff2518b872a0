"""Where the replica has few addresses left: the origin may let the slice grow."""

from __future__ import annotations

from isthmus.core.federation.peer import has_feature
from isthmus.core.network.addressing import spans_of
from isthmus.core.network.growth import is_low
from isthmus.model.facts.openstack import Subnet
from isthmus.model.protocol import Feature

from .replica import replica_subnets
from .state import Receiver


def low_subnets(receiver: Receiver) -> tuple[str, ...]:
    """IDs of the offered subnets with few addresses left; none for an origin that cannot let slices grow."""
    if receiver.offer is None or not has_feature(receiver.snapshot, receiver.cloud_id, Feature.GROWTH):
        return ()
    answer, facts = receiver.link.spec.answer if receiver.link else None, receiver.facts
    before = answer.low_subnets if answer is not None else ()
    if facts is None or facts.network is None:
        return before
    ours: dict[str, Subnet] = {subnet.cidr: subnet for subnet in replica_subnets(receiver, facts)}
    return tuple(
        offered.id
        for offered in receiver.offer.subnets
        if offered.ranges
        and (subnet := ours.get(offered.cidr)) is not None
        and is_low(spans_of(offered.ranges), subnet, facts.ports, was_low=offered.id in before)
    )
