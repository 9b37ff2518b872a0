"""The origin's division of its subnets: which run each peer gets, on record before Neutron's pools shrink.

In this order: take a free run off the pools; record it with the pools as they were; shrink them; list ports again and
cut out what appeared meanwhile; publish. A published slice never changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from isthmus.model.actions import Problem, UpdatePools
from isthmus.model.api.v1alpha1.attachment import AddressRange, PeerSlice, SubnetRecord
from isthmus.model.facts.openstack import NetworkFacts, Port, Range, Subnet
from isthmus.model.reasons import Reason

from .addressing import (
    Spans,
    default_slice_size,
    intersect,
    largest,
    merged,
    ranges,
    single,
    size,
    span_of,
    spans_of,
    subtract,
    take_run,
    text,
)


@dataclass(frozen=True)
class Division:
    """The record as it should be, and why some peers get nothing."""

    subnets: tuple[SubnetRecord, ...]
    problems: Mapping[str, Problem]


def divide(
    record: Collection[SubnetRecord],
    facts: NetworkFacts,
    kept: Collection[str],
    starting: Collection[str],
    slice_size: int | None,
) -> Division:
    """Give every starting peer a run of every subnet; `kept` are the peers whose slices stay (starting ones too).

    A subnet that is not on record yet comes on it only for a peer: it may be one that can never be stretched.
    """
    known = {entry.id for entry in record}
    considered = [subnet for subnet in facts.subnets if starting or subnet.id in known]
    subnets = [_without_returned(_record_of(record, subnet), subnet, kept) for subnet in considered]
    problems: dict[str, Problem] = {}
    for cloud_id in starting:
        taken = [
            _with_slice(entry, subnet, facts.ports, cloud_id, slice_size)
            for entry, subnet in zip(subnets, considered, strict=True)
        ]
        failed = next((t for t in taken if isinstance(t, Problem)), None)
        if failed is not None:
            problems[cloud_id] = failed
        else:
            subnets = [t for t in taken if isinstance(t, SubnetRecord)]
    return Division(tuple(subnets), problems)


def pool_updates(record: Iterable[SubnetRecord], facts: NetworkFacts, kept: Collection[str]) -> tuple[UpdatePools, ...]:
    """Bring Neutron's pools in line: out with the slices of kept peers, back with those of all others."""
    by_id = {entry.id: entry for entry in record}
    wanted = ((subnet, _wanted_pools(by_id[subnet.id], subnet, kept)) for subnet in facts.subnets if subnet.id in by_id)
    return tuple(UpdatePools(s.id, pools) for s, pools in wanted if spans_of(pools) != spans_of(s.pools))


def cuts(
    record: Iterable[SubnetRecord], facts: NetworkFacts, published: Collection[tuple[str, str]]
) -> tuple[tuple[UpdatePools, ...], tuple[SubnetRecord, ...]]:
    """What appeared in unpublished slices meanwhile is cut out: pools that take it back, and the record after that."""
    subnets = {subnet.id: subnet for subnet in facts.subnets}
    updates: list[UpdatePools] = []
    after: list[SubnetRecord] = []
    for entry in record:
        subnet = subnets.get(entry.id)
        used = used_addresses(facts.ports, subnet) if subnet else ()
        slices = tuple(s if (s.cloud_id, entry.id) in published else _cut(s, used) for s in entry.slices)
        remaining = tuple(s for s in slices if s is not None)
        after.append(entry.model_copy(update={"slices": remaining}))
        given_back = subtract(spans_of(entry.slices), spans_of(remaining))
        if subnet is not None and given_back:
            updates.append(UpdatePools(entry.id, ranges(merged((*spans_of(subnet.pools), *given_back)))))
    return tuple(updates), tuple(after)


def has_slices(record: Iterable[SubnetRecord], facts: NetworkFacts, cloud_id: str) -> bool:
    """Whether that peer has a run of every subnet."""
    with_slice = {entry.id for entry in record if any(s.cloud_id == cloud_id for s in entry.slices)}
    return {subnet.id for subnet in facts.subnets} <= with_slice


def slice_of(record: Iterable[SubnetRecord], subnet_id: str, cloud_id: str) -> PeerSlice | None:
    """The peer's run of one subnet."""
    slices = (s for entry in record if entry.id == subnet_id for s in entry.slices if s.cloud_id == cloud_id)
    return next(slices, None)


def used_addresses(ports: Iterable[Port], subnet: Subnet) -> Spans:
    """Addresses of the subnet that something has, its gateway among them."""
    taken = [a for port in ports for a in port.addresses if ":" not in a]
    return single([*taken, *([subnet.gateway_ip] if subnet.gateway_ip else [])])


def _record_of(record: Iterable[SubnetRecord], subnet: Subnet) -> SubnetRecord:
    known = next((entry for entry in record if entry.id == subnet.id), None)
    pools = tuple(AddressRange(first=p.first, last=p.last) for p in subnet.pools)
    return known or SubnetRecord(id=subnet.id, origin_id=subnet.id, cidr=subnet.cidr, original_pools=pools)


def _without_returned(entry: SubnetRecord, subnet: Subnet, kept: Collection[str]) -> SubnetRecord:
    """A slice leaves the record only once its addresses are back in the pools."""
    pools, original = spans_of(subnet.pools), spans_of(entry.original_pools)

    def stays(given: PeerSlice) -> bool:
        missing = subtract(intersect((span_of(given),), original), pools)
        return given.cloud_id in kept or bool(subtract(missing, _gateway_of(subnet)))

    return entry.model_copy(update={"slices": tuple(s for s in entry.slices if stays(s))})


def _with_slice(
    entry: SubnetRecord, subnet: Subnet, ports: Iterable[Port], cloud_id: str, slice_size: int | None
) -> SubnetRecord | Problem:
    if any(s.cloud_id == cloud_id for s in entry.slices):
        return entry
    wanted = slice_size or default_slice_size(spans_of(entry.original_pools))
    free = subtract(subtract(spans_of(subnet.pools), spans_of(entry.slices)), used_addresses(ports, subnet))
    run = take_run(free, (), wanted)
    if run is None:
        return Problem(Reason.NO_FREE_SLICE, _no_run(subnet, wanted, free))
    taken = PeerSlice(cloud_id=cloud_id, first=text(run[0]), last=text(run[1]))
    return entry.model_copy(update={"slices": (*entry.slices, taken)})


def _no_run(subnet: Subnet, wanted: int, free: Spans) -> str:
    best = largest(free)
    what = f"the largest is {text(best[0])}-{text(best[1])} ({size((best,))})" if best else "no address is free"
    return f"no free run of {wanted} addresses in {subnet.cidr}; {what}"


def _wanted_pools(entry: SubnetRecord, subnet: Subnet, kept: Collection[str]) -> tuple[Range, ...]:
    original = spans_of(entry.original_pools)
    out = spans_of(s for s in entry.slices if s.cloud_id in kept)
    back = intersect(spans_of(s for s in entry.slices if s.cloud_id not in kept), original)
    wanted = subtract(subtract(merged((*spans_of(subnet.pools), *back)), out), _gateway_of(subnet))
    if wanted == original:  # as the tenant had written them, adjacent pools and all
        return tuple(Range(pool.first, pool.last) for pool in entry.original_pools)
    return ranges(wanted)


def _gateway_of(subnet: Subnet) -> Spans:
    """Neutron takes no pool with it: it may have been moved into a slice while that was out of the pools."""
    return single([subnet.gateway_ip] if subnet.gateway_ip else [])


def _cut(given: PeerSlice, used: Spans) -> PeerSlice | None:
    span = (span_of(given),)
    if not intersect(span, used):
        return given
    best = largest(subtract(span, used))
    return given.model_copy(update={"first": text(best[0]), "last": text(best[1])}) if best else None
