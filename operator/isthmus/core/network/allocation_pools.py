"""Neutron's allocation pools at the origin: what is taken out of them and given back, as it is recorded."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from isthmus.model.actions import UpdatePools
from isthmus.model.api.v1alpha1.attachment import PeerSlice, SubnetRecord
from isthmus.model.facts.openstack import NetworkFacts, Range, Subnet

from .addressing import (
    Spans,
    address_of,
    intersect,
    largest_span,
    merged,
    ranges,
    span_of,
    spans_of,
    spans_of_addresses,
    subtract,
)
from .subnet_record import Published, withheld
from .used_addresses import gateway_of, used_addresses


def pool_updates(
    record: Iterable[SubnetRecord],
    facts: NetworkFacts,
    slice_holders: Collection[str],
    shared: Collection[str] = (),
) -> tuple[UpdatePools, ...]:
    """Updates of Neutron's pools: without the slices of `slice_holders` and `shared` addresses, with all others again.

    Those of the `shared` addresses count that are recorded.
    """
    entries = {entry.id: entry for entry in record}
    updates: list[UpdatePools] = []
    for subnet in facts.subnets:
        if (entry := entries.get(subnet.id)) is not None:
            excluded = _excluded(entry, slice_holders, shared)
            pools = _wanted_pools(entry, subnet, excluded)
            if spans_of(pools) != spans_of(subnet.pools):
                updates.append(UpdatePools(subnet.id, pools, subnet.pools, subnet.revision, ranges(excluded)))
    return tuple(updates)


def trim_unpublished(
    record: Iterable[SubnetRecord], facts: NetworkFacts, published: Published
) -> tuple[tuple[UpdatePools, ...], tuple[SubnetRecord, ...]]:
    """Trim unpublished ranges that contain addresses which were allocated before the pools were updated.

    Returns the updates that restore the rest to the pools, and the record after that.
    """
    subnets = {subnet.id: subnet for subnet in facts.subnets}
    updates: list[UpdatePools] = []
    after: list[SubnetRecord] = []
    for entry in record:
        subnet, shared = subnets.get(entry.id), spans_of_addresses(entry.shared)
        used = merged((*used_addresses(facts.ports, subnet), *shared)) if subnet else ()
        slices = (s if (s.cloud_id, entry.id, s.first) in published else _trimmed(s, used) for s in entry.slices)
        remaining = tuple(s for s in slices if s is not None)
        after.append(entry.model_copy(update={"slices": remaining}))
        restored = subtract(spans_of(entry.slices), spans_of(remaining))
        if subnet is not None and restored:
            pools = ranges(subtract(merged((*spans_of(subnet.pools), *restored)), shared))
            updates.append(UpdatePools(entry.id, pools, subnet.pools, subnet.revision))
    return tuple(updates), tuple(after)


def withdrawn_from_pools(
    record: Iterable[SubnetRecord], facts: NetworkFacts, published: Published
) -> tuple[SubnetRecord, ...]:
    """The record without unpublished ranges of which Neutron might still assign an address: none may be published."""
    pools = {subnet.id: spans_of(subnet.pools) for subnet in facts.subnets}

    def may_be_offered(entry: SubnetRecord, range_: PeerSlice) -> bool:
        is_published = (range_.cloud_id, entry.id, range_.first) in published
        return is_published or not intersect((span_of(range_),), pools.get(entry.id, ()))

    return tuple(
        entry.model_copy(update={"slices": tuple(s for s in entry.slices if may_be_offered(entry, s))})
        for entry in record
    )


def _wanted_pools(entry: SubnetRecord, subnet: Subnet, excluded: Spans) -> tuple[Range, ...]:
    original = spans_of(entry.original_pools)
    restored = intersect(subtract(withheld(entry), excluded), original)
    wanted = subtract(subtract(merged((*spans_of(subnet.pools), *restored)), excluded), gateway_of(subnet))
    if wanted == original:  # exactly as the tenant had written them, which may be several adjacent pools
        return tuple(Range(pool.first, pool.last) for pool in entry.original_pools)
    return ranges(wanted)


def _excluded(entry: SubnetRecord, slice_holders: Collection[str], shared: Collection[str]) -> Spans:
    """The addresses that peers keep, and those that nobody gets."""
    kept = spans_of(s for s in entry.slices if s.cloud_id in slice_holders)
    return merged((*kept, *spans_of_addresses(address for address in entry.shared if address in shared)))


def _trimmed(slice_: PeerSlice, used: Spans) -> PeerSlice | None:
    span = (span_of(slice_),)
    if not intersect(span, used):
        return slice_
    best = largest_span(subtract(span, used))
    return slice_.model_copy(update={"first": address_of(best[0]), "last": address_of(best[1])}) if best else None
