"""Growth of slices: what a peer gets in addition if it has few addresses of a subnet left.

A further range is as long as the first one, and goes the same way: recorded, cut out of the pools, trimmed, published.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import PeerSlice, SubnetRecord
from isthmus.model.api.v1alpha1.expansionlink import MAX_RANGES
from isthmus.model.facts.openstack import NetworkFacts, Port, Subnet
from isthmus.model.reasons import Reason

from .addressing import Spans, highest_free_run, intersect, size, span_of, spans_of
from .slices import free_addresses, smallest_slice
from .subnet_record import Published, ranges_of, with_range
from .used_addresses import used_addresses

LOW_PERCENT, ENOUGH_PERCENT = 10, 20


@dataclass(frozen=True)
class Growth:
    """The record as it should be, and why slices cannot grow (by cloud ID and subnet ID)."""

    subnets: tuple[SubnetRecord, ...]
    problems: Mapping[tuple[str, str], Problem]


def grow(
    record: Iterable[SubnetRecord],
    facts: NetworkFacts,
    short: Collection[tuple[str, str]],
    published: Published,
) -> Growth:
    """Add a range to each slice in `short` (cloud ID, subnet ID), but not while one that it has is unpublished."""
    subnets = {subnet.id: subnet for subnet in facts.subnets}
    entries = {entry.id: entry for entry in record}
    problems: dict[tuple[str, str], Problem] = {}
    for cloud_id, subnet_id in sorted(short):
        entry, subnet = entries.get(subnet_id), subnets.get(subnet_id)
        held = ranges_of(entries.values(), subnet_id, cloud_id)
        if entry is None or subnet is None or not held:
            continue
        if any((cloud_id, subnet_id, range_.first) not in published for range_ in held):
            continue
        result = _with_further_range(entry, subnet, facts.ports, held)
        if isinstance(result, Problem):
            problems[cloud_id, subnet_id] = result
        else:
            entries[subnet_id] = result
    return Growth(tuple(entries.values()), problems)


def is_low(ranges: Spans, subnet: Subnet, ports: Iterable[Port], *, was_low: bool) -> bool:
    """Whether few of these addresses are left: less than 10 %, and once that is so, until 20 % are.

    So one machine that comes and goes does not change what is published each time.
    """
    free = size(ranges) - size(intersect(ranges, used_addresses(ports, subnet)))
    return 100 * free < (ENOUGH_PERCENT if was_low else LOW_PERCENT) * size(ranges)


def _with_further_range(
    entry: SubnetRecord, subnet: Subnet, ports: Iterable[Port], held: tuple[PeerSlice, ...]
) -> SubnetRecord | Problem:
    """This cloud keeps as many free addresses as it gives, so that no peer can take all of them."""
    if len(held) >= MAX_RANGES:
        text = f"its slice of {subnet.cidr} has grown {MAX_RANGES - 1} times, which is the most: delete ports there"
        return Problem(Reason.NO_ADDRESSES_LEFT, text)
    wanted = size((span_of(held[0]),))
    free, kept = free_addresses(entry, subnet, ports), max(wanted, smallest_slice(subnet))
    run = highest_free_run(free, (), wanted)
    if run is None or size(free) < wanted + kept:
        return Problem(Reason.NO_ADDRESSES_LEFT, _no_room_message(subnet, wanted, kept, free, has_run=run is not None))
    return with_range(entry, held[0].cloud_id, run, subnet)


def _no_room_message(subnet: Subnet, wanted: int, kept: int, free: Spans, *, has_run: bool) -> str:
    of_pools = (
        f"of {size(spans_of(subnet.pools))} addresses in the allocation pools of {subnet.cidr} {size(free)} are free"
    )
    lacks = f"this cloud keeps {kept} of them" if has_run else "no run is as long"
    return f"its slice would grow by {wanted} addresses, but {of_pools}, and {lacks}: delete ports here or there"
