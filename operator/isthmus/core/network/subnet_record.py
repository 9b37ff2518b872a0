"""The record of a subnet at the origin: its original pools, and what was taken out of them for peers or for nobody."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import ip_network

from isthmus.model.api.v1alpha1.attachment import (
    MAX_POOLS,
    MAX_WITHHELD,
    AddressRange,
    PeerSlice,
    SubnetRecord,
)
from isthmus.model.facts.openstack import NetworkFacts, Subnet

from .addressing import (
    Bounded,
    Span,
    Spans,
    address_of,
    contains,
    intersect,
    merged,
    number_of,
    ranges,
    span_of,
    spans_of,
    spans_of_addresses,
    subtract,
)
from .subnet_rules import hosts_of
from .used_addresses import gateway_of, used_addresses

Published = Collection[tuple[str, str, str]]
"""Cloud ID, subnet ID and first address of each range that has been published."""


def new_entry(subnet: Subnet, pools: Iterable[Bounded], shared: tuple[str, ...] = ()) -> SubnetRecord:
    """The entry of a subnet of which no peer has anything yet."""
    return SubnetRecord(
        id=subnet.id, origin_id=subnet.id, cidr=subnet.cidr, original_pools=_recorded(pools), shared=shared
    )


def current(
    record: Iterable[SubnetRecord], facts: NetworkFacts, unpublished_peers: Collection[str]
) -> tuple[SubnetRecord, ...]:
    """The entries of the record without those whose pools the tenant changed before we did."""
    subnets = {subnet.id: subnet for subnet in facts.subnets}
    return tuple(
        entry
        for entry in record
        if entry.id not in subnets or not _is_outdated(entry, subnets[entry.id], facts, unpublished_peers)
    )


def ranges_of(record: Iterable[SubnetRecord], subnet_id: str, cloud_id: str) -> tuple[PeerSlice, ...]:
    """The peer's slice of one subnet with what it has grown by, in the order in which it got it; empty without one."""
    return tuple(s for entry in record if entry.id == subnet_id for s in entry.slices if s.cloud_id == cloud_id)


def withheld(entry: SubnetRecord) -> Spans:
    """What this cloud gives to no port of its own: the slices of all peers, and the shared addresses."""
    return merged((*spans_of(entry.slices), *spans_of_addresses(entry.shared)))


def with_range(entry: SubnetRecord, cloud_id: str, span: Span, subnet: Subnet) -> SubnetRecord:
    """The entry with a range more, beside those of the same peer."""
    new = PeerSlice(cloud_id=cloud_id, first=address_of(span[0]), last=address_of(span[1]))
    index = max((n for n, s in enumerate(entry.slices, 1) if s.cloud_id == cloud_id), default=len(entry.slices))
    slices = (*entry.slices[:index], new, *entry.slices[index:])
    return _restoring((span,), entry.model_copy(update={"slices": slices}), subnet)


def with_shared(entry: SubnetRecord, subnet: Subnet, shared: Collection[str]) -> SubnetRecord:
    """The entry with these addresses; one that is shared no more is dropped only once it is in the pools again."""
    if subnet.is_automatic:
        return entry
    hosts = hosts_of(ip_network(subnet.cidr))
    wanted = {address for address in shared if contains(hosts, address)}
    missing = _not_restored(spans_of_addresses(entry.shared), entry, subnet)
    left = [address for address in entry.shared if address not in wanted and contains(missing, address)]
    found = (*sorted(wanted, key=number_of), *left)[:MAX_WITHHELD]
    return _restoring(spans_of_addresses(wanted), entry.model_copy(update={"shared": found}), subnet)


def without_restored(entry: SubnetRecord, subnet: Subnet, slice_holders: Collection[str]) -> SubnetRecord:
    """The entry without slices that were restored: one is dropped only once its addresses are in the pools again."""
    slices = (s for s in entry.slices if s.cloud_id in slice_holders or _not_restored((span_of(s),), entry, subnet))
    return entry.model_copy(update={"slices": tuple(slices)})


def current_or_new(
    record: Iterable[SubnetRecord], subnet: Subnet, facts: NetworkFacts, unpublished_peers: Collection[str]
) -> SubnetRecord:
    """The recorded entry; a new one if there is none, or if the tenant changed the pools before we did."""
    known = (entry for entry in record if entry.id == subnet.id)
    return next(iter(current(known, facts, unpublished_peers)), None) or new_entry(subnet, subnet.pools)


def _is_outdated(entry: SubnetRecord, subnet: Subnet, facts: NetworkFacts, unpublished_peers: Collection[str]) -> bool:
    """Whether the pools were changed between the record and our update, which was then refused.

    Nothing of the entry may have been published. Pools without the slices are our own update, and so are pools with
    some of the slices' addresses back if a slice had to be trimmed.
    """
    if not entry.slices or any(s.cloud_id not in unpublished_peers for s in entry.slices):
        return False
    shared, slices = spans_of_addresses(entry.shared), spans_of(entry.slices)  # the former come and go meanwhile
    original, pools = (subtract(spans_of(found), shared) for found in (entry.original_pools, subnet.pools))
    cut = subtract(original, slices)
    used = merged((*used_addresses(facts.ports, subnet), *shared))
    is_trimmed = bool(intersect(slices, used)) and not (subtract(cut, pools) or subtract(pools, original))
    return pools not in (original, cut) and not is_trimmed


def _restoring(taken: Spans, entry: SubnetRecord, subnet: Subnet) -> SubnetRecord:
    """The entry with what is taken of the present pools among the original ones.

    The tenant may have added these addresses since the pools were recorded, and is to get them back.
    """
    original = spans_of(entry.original_pools)
    added = intersect(subtract(taken, original), spans_of(subnet.pools))
    pools = _recorded(ranges(merged((*original, *added))))
    return entry.model_copy(update={"original_pools": pools}) if added and len(pools) <= MAX_POOLS else entry


def _not_restored(taken: Spans, entry: SubnetRecord, subnet: Subnet) -> Spans:
    """What is missing from the pools of what was taken out of the original ones, and can be in them."""
    missing = subtract(intersect(taken, spans_of(entry.original_pools)), spans_of(subnet.pools))
    return subtract(missing, gateway_of(subnet))


def _recorded(pools: Iterable[Bounded]) -> tuple[AddressRange, ...]:
    return tuple(AddressRange(first=pool.first, last=pool.last) for pool in pools)
