"""Allocation of slices: the run of each subnet's addresses that a peer gets from the origin.

In this order: choose a free run of the pools; record it with the original pools (`subnet_record`); remove it from
Neutron's pools; list ports again and trim off what was allocated in the meantime (`allocation_pools`); publish. A
published slice never changes, but may grow by further ranges (`growth`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from types import MappingProxyType
from typing import Final

from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import SubnetRecord
from isthmus.model.facts.openstack import NetworkFacts, Port, Subnet
from isthmus.model.reasons import Reason

from .addressing import (
    Bounded,
    Span,
    Spans,
    address_of,
    default_slice_size,
    highest_free_run,
    intersect,
    largest_span,
    size,
    span_of,
    spans_of,
    spans_of_addresses,
    subtract,
)
from .subnet_record import current_or_new, ranges_of, with_range, with_shared, withheld, without_restored
from .subnet_rules import hosts_of
from .used_addresses import used_addresses

_DEFAULT_IPV6_SLICE: Final = 65_536


@dataclass(frozen=True)
class Allocation:
    """The record as it should be, and why some peers get no slices (by cloud ID)."""

    subnets: tuple[SubnetRecord, ...]
    problems: Mapping[str, Problem]


def allocate(
    record: Collection[SubnetRecord],
    facts: NetworkFacts,
    slice_holders: Collection[str],
    served_peers: Collection[str],
    slice_size: int | None,
    unpublished_peers: Collection[str] = (),
    requested: Mapping[tuple[str, str], Bounded] = MappingProxyType({}),
    with_gateway: Collection[str] = (),
    ipv4_only: Collection[str] = (),
    shared: Collection[str] = (),
) -> Allocation:
    """Allocate a run of every subnet to every served peer; `slice_holders` are all peers whose slices are kept.

    `slice_size` is a number of addresses; None: a quarter of those that are free. `requested` are slices that the
    tenant chose, by cloud ID and CIDR. The slices of the peers in `with_gateway` hold a gateway besides, but for those
    of IPv6, of which those in `ipv4_only` get none. Nobody gets one where machines form their addresses, nor any of
    the `shared` addresses. Without a served peer no subnet is added to the record, since it may be one that can never
    be stretched.
    """
    known = {entry.id for entry in record}
    considered = [subnet for subnet in facts.subnets if served_peers or subnet.id in known]
    entries = (current_or_new(record, subnet, facts, unpublished_peers) for subnet in considered)
    subnets = [
        with_shared(without_restored(entry, subnet, slice_holders), subnet, shared)
        for entry, subnet in zip(entries, considered, strict=True)
    ]
    problems: dict[str, Problem] = {}
    for cloud_id in served_peers:
        results = [
            _with_slice(
                entry,
                subnet,
                facts.ports,
                cloud_id,
                requested.get((cloud_id, subnet.cidr)),
                slice_size,
                cloud_id in with_gateway and subnet.ip_version == 4,
            )
            if is_offered(subnet, cloud_id, ipv4_only)
            else entry
            for entry, subnet in zip(subnets, considered, strict=True)
        ]
        failed = next((r for r in results if isinstance(r, Problem)), None)
        if failed is not None:
            problems[cloud_id] = failed
        else:
            subnets = [r for r in results if isinstance(r, SubnetRecord)]
    return Allocation(tuple(subnets), problems)


def is_offered(subnet: Subnet, cloud_id: str, ipv4_only: Collection[str]) -> bool:
    """Whether that peer can be offered the subnet; those in `ipv4_only` none of IPv6."""
    return subnet.ip_version == 4 or cloud_id not in ipv4_only


def has_slices(
    record: Collection[SubnetRecord], facts: NetworkFacts, cloud_id: str, ipv4_only: Collection[str] = ()
) -> bool:
    """Whether that peer has a slice of every subnet that is offered to it and divided."""
    divided = (s.id for s in facts.subnets if not s.is_automatic and is_offered(s, cloud_id, ipv4_only))
    return all(ranges_of(record, subnet_id, cloud_id) for subnet_id in divided)


def free_addresses(entry: SubnetRecord, subnet: Subnet, ports: Iterable[Port]) -> Spans:
    """The addresses of the pools that no peer has and nobody uses."""
    return subtract(_available(entry, subnet), used_addresses(ports, subnet))


def smallest_slice(subnet: Subnet) -> int:
    """The number of addresses that either cloud needs: for a machine, a router, and Neutron's DHCP if it serves it."""
    return 3 if subnet.enable_dhcp else 2


def _with_slice(
    entry: SubnetRecord,
    subnet: Subnet,
    ports: Iterable[Port],
    cloud_id: str,
    requested: Bounded | None,
    slice_size: int | None,
    with_gateway: bool,
) -> SubnetRecord | Problem:
    if subnet.is_automatic:
        return entry if requested is None else Problem(Reason.NO_FREE_SLICE, _not_divided_message(subnet))
    if ranges_of((entry,), subnet.id, cloud_id):
        return entry
    if requested is None:
        found = _free_span(entry, subnet, ports, slice_size, with_gateway)
    else:
        found = _requested_span(entry, subnet, ports, requested, with_gateway)
    return found if isinstance(found, Problem) else with_range(entry, cloud_id, found, subnet)


def _free_span(
    entry: SubnetRecord, subnet: Subnet, ports: Iterable[Port], slice_size: int | None, with_gateway: bool
) -> Span | Problem:
    smallest = smallest_slice(subnet)
    available, free = size(_available(entry, subnet)), free_addresses(entry, subnet, ports)
    wanted = slice_size or default_slice_size(free, smallest + with_gateway)
    if slice_size is None and subnet.ip_version == 6:
        wanted = min(wanted, _DEFAULT_IPV6_SLICE)
    if with_gateway and wanted <= smallest:
        return _no_room_for_gateway(f"a slice of {wanted}", subnet)
    if available < wanted + smallest:
        return Problem(Reason.NO_FREE_SLICE, _too_small_message(subnet, wanted, smallest, available))
    run = highest_free_run(free, (), wanted)
    return run or Problem(Reason.NO_FREE_SLICE, _no_free_run_message(subnet, wanted, free))


def _available(entry: SubnetRecord, subnet: Subnet) -> Spans:
    return subtract(spans_of(subnet.pools), withheld(entry))


def _requested_span(
    entry: SubnetRecord, subnet: Subnet, ports: Iterable[Port], requested: Bounded, with_gateway: bool
) -> Span | Problem:
    """The slice that the tenant chose. It need not be in the pools, which may be managed elsewhere."""
    span = span_of(requested)
    is_within = span[0] <= span[1] and not subtract((span,), hosts_of(ip_network(subnet.cidr)))
    obstacles = {
        "is not a range of addresses of the subnet": not is_within,
        "contains addresses in use": intersect((span,), used_addresses(ports, subnet)),
        "contains an address of addressing.shared": intersect((span,), spans_of_addresses(entry.shared)),
        "overlaps the slice of another peer": intersect((span,), spans_of(entry.slices)),
    }
    obstacle = next((text for text, is_met in obstacles.items() if is_met), None)
    where = f"the requested slice {requested.first}-{requested.last}"
    if obstacle is not None:
        return Problem(Reason.NO_FREE_SLICE, f"{where} of {subnet.cidr} {obstacle}")
    if with_gateway and size((span,)) <= smallest_slice(subnet):
        return _no_room_for_gateway(where, subnet)
    return span


def _not_divided_message(subnet: Subnet) -> str:
    return (
        f"machines of {subnet.cidr} form their addresses themselves ({subnet.address_mode}): it has no slices, and "
        "none can be requested"
    )


def _no_room_for_gateway(what: str, subnet: Subnet) -> Problem:
    needed = smallest_slice(subnet) + 1
    text = f"{what} of {subnet.cidr} has too few addresses for a gateway of the peer's own: {needed} are needed"
    return Problem(Reason.NO_FREE_SLICE, text)


def _too_small_message(subnet: Subnet, wanted: int, smallest: int, available: int) -> str:
    return (
        f"the allocation pools of {subnet.cidr} have {available} addresses; the peer needs {wanted} and this cloud "
        f"{smallest} of them"
    )


def _no_free_run_message(subnet: Subnet, wanted: int, free: Spans) -> str:
    best = largest_span(free)
    what = (
        f"the largest is {address_of(best[0])}-{address_of(best[1])} ({size((best,))})"
        if best
        else "no address is free"
    )
    return f"no free run of {wanted} addresses in {subnet.cidr}; {what}"
