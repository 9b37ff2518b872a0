"""Allocation of slices: the run of each subnet's addresses that a peer gets from the origin.

In this order: choose a free run of the pools; record it with the original pools; remove it from Neutron's pools; list
ports again and trim off what was allocated in the meantime; publish. A published slice never changes, but may grow by
further ranges (`growth`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from typing import Final

from isthmus.model.actions import Problem, UpdatePools
from isthmus.model.api.v1alpha1.attachment import (
    MAX_POOLS,
    MAX_WITHHELD,
    AddressRange,
    PeerSlice,
    SubnetRecord,
)
from isthmus.model.facts.openstack import NetworkFacts, Port, Range, Subnet
from isthmus.model.reasons import Reason

from .addressing import (
    Bounded,
    Spans,
    address_of,
    contains,
    default_slice_size,
    highest_free_run,
    intersect,
    largest_span,
    merged,
    number_of,
    ranges,
    size,
    span_of,
    span_of_network,
    spans_of,
    spans_of_addresses,
    subtract,
)
from .subnet_rules import hosts_of

_MAX_PAIR_ADDRESSES: Final = 256
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
    entries = (_current_entry(record, subnet, facts, unpublished_peers) for subnet in considered)
    subnets = [
        _with_shared(_without_restored(entry, subnet, slice_holders), subnet, shared)
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


def pool_updates(
    record: Iterable[SubnetRecord],
    facts: NetworkFacts,
    slice_holders: Collection[str],
    shared: Collection[str] = (),
) -> tuple[UpdatePools, ...]:
    """Updates of Neutron's pools: without the slices of `slice_holders` and `shared` addresses, with all others again.

    Those of the `shared` addresses count that are recorded.
    """
    by_id = {entry.id: entry for entry in record}
    wanted = (
        (subnet, by_id[subnet.id], _wanted_pools(by_id[subnet.id], subnet, slice_holders, shared))
        for subnet in facts.subnets
        if subnet.id in by_id
    )
    return tuple(
        UpdatePools(s.id, pools, s.pools, s.revision, ranges(_excluded(entry, slice_holders, shared)))
        for s, entry, pools in wanted
        if spans_of(pools) != spans_of(s.pools)
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


def trim_unpublished(
    record: Iterable[SubnetRecord], facts: NetworkFacts, published: Collection[tuple[str, str, str]]
) -> tuple[tuple[UpdatePools, ...], tuple[SubnetRecord, ...]]:
    """Trim unpublished ranges that contain addresses which were allocated before the pools were updated.

    `published` are cloud ID, subnet ID and first address of each range. Returns the updates that restore the rest to
    the pools, and the record after that.
    """
    subnets = {subnet.id: subnet for subnet in facts.subnets}
    updates: list[UpdatePools] = []
    after: list[SubnetRecord] = []
    for entry in record:
        subnet = subnets.get(entry.id)
        withheld = spans_of_addresses(entry.shared)
        used = merged((*used_addresses(facts.ports, subnet), *withheld)) if subnet else ()
        slices = tuple(s if (s.cloud_id, entry.id, s.first) in published else _trimmed(s, used) for s in entry.slices)
        remaining = tuple(s for s in slices if s is not None)
        after.append(entry.model_copy(update={"slices": remaining}))
        restored = subtract(spans_of(entry.slices), spans_of(remaining))
        if subnet is not None and restored:
            pools = ranges(subtract(merged((*spans_of(subnet.pools), *restored)), withheld))
            updates.append(UpdatePools(entry.id, pools, subnet.pools, subnet.revision))
    return tuple(updates), tuple(after)


def withdrawn_from_pools(
    record: Iterable[SubnetRecord], facts: NetworkFacts, published: Collection[tuple[str, str, str]]
) -> tuple[SubnetRecord, ...]:
    """The record without unpublished ranges of which Neutron might still assign an address: none may be published.

    `published` are cloud ID, subnet ID and first address of each range.
    """
    pools = {subnet.id: spans_of(subnet.pools) for subnet in facts.subnets}

    def may_be_offered(entry: SubnetRecord, range_: PeerSlice) -> bool:
        is_published = (range_.cloud_id, entry.id, range_.first) in published
        return is_published or not intersect((span_of(range_),), pools.get(entry.id, ()))

    return tuple(
        entry.model_copy(update={"slices": tuple(s for s in entry.slices if may_be_offered(entry, s))})
        for entry in record
    )


def is_offered(subnet: Subnet, cloud_id: str, ipv4_only: Collection[str]) -> bool:
    """Whether that peer can be offered the subnet; those in `ipv4_only` none of IPv6."""
    return subnet.ip_version == 4 or cloud_id not in ipv4_only


def has_slices(
    record: Iterable[SubnetRecord], facts: NetworkFacts, cloud_id: str, ipv4_only: Collection[str] = ()
) -> bool:
    """Whether that peer has a slice of every subnet that is offered to it and divided."""
    with_slice = {entry.id for entry in record if any(s.cloud_id == cloud_id for s in entry.slices)}
    divided = {s.id for s in facts.subnets if not s.is_automatic and is_offered(s, cloud_id, ipv4_only)}
    return divided <= with_slice


def ranges_of(record: Iterable[SubnetRecord], subnet_id: str, cloud_id: str) -> tuple[PeerSlice, ...]:
    """The peer's slice of one subnet with what it has grown by, in the order in which it got it; empty without one."""
    return tuple(s for entry in record if entry.id == subnet_id for s in entry.slices if s.cloud_id == cloud_id)


def free_addresses(entry: SubnetRecord, subnet: Subnet, ports: Iterable[Port]) -> Spans:
    """The addresses of the pools that no peer has and nobody uses."""
    return subtract(_available(entry, subnet), used_addresses(ports, subnet))


def with_range(entry: SubnetRecord, new: PeerSlice, subnet: Subnet) -> SubnetRecord:
    """The entry with a range more, beside those of the same peer."""
    index = max((n for n, s in enumerate(entry.slices, 1) if s.cloud_id == new.cloud_id), default=len(entry.slices))
    slices = (*entry.slices[:index], new, *entry.slices[index:])
    return _restoring((span_of(new),), entry.model_copy(update={"slices": slices}), subnet)


def _restoring(taken: Spans, entry: SubnetRecord, subnet: Subnet) -> SubnetRecord:
    """The entry with what is taken of the present pools among the original ones.

    The tenant may have added these addresses since the pools were recorded, and is to get them back.
    """
    original = spans_of(entry.original_pools)
    added = intersect(subtract(taken, original), spans_of(subnet.pools))
    pools = tuple(AddressRange(first=p.first, last=p.last) for p in ranges(merged((*original, *added))))
    return entry.model_copy(update={"original_pools": pools}) if added and len(pools) <= MAX_POOLS else entry


def used_addresses(ports: Iterable[Port], subnet: Subnet) -> Spans:
    """Addresses of the subnet's IP version: of ports, their pairs, its gateway, name servers and next hops.

    Name servers and next hops outside the subnet do no harm. Pairs of more than 256 addresses are permissions for whole
    networks rather than addresses in use.
    """
    ports = tuple(ports)
    texts = [a for port in ports for a in port.addresses]
    texts += [*subnet.dns_nameservers, *(nexthop for _, nexthop in subnet.host_routes), subnet.gateway_ip or ""]
    single = spans_of_addresses(a for a in texts if a and ip_address(a).version == subnet.ip_version)
    return merged((*single, *(pair for port in ports for pair in _pairs(port, subnet.ip_version))))


def smallest_slice(subnet: Subnet) -> int:
    """The number of addresses that either cloud needs: for a machine, a router, and Neutron's DHCP if it serves it."""
    return 3 if subnet.enable_dhcp else 2


def _pairs(port: Port, ip_version: int) -> Spans:
    networks = map(ip_network, port.allowed_addresses)
    return tuple(
        span_of_network(n) for n in networks if n.version == ip_version and n.num_addresses <= _MAX_PAIR_ADDRESSES
    )


def _current_entry(
    record: Iterable[SubnetRecord], subnet: Subnet, facts: NetworkFacts, unpublished_peers: Collection[str]
) -> SubnetRecord:
    """The recorded entry; a new one if there is none, or if the tenant changed the pools before we did."""
    known = next((entry for entry in record if entry.id == subnet.id), None)
    if known is not None and not _is_outdated(known, subnet, facts, unpublished_peers):
        return known
    pools = tuple(AddressRange(first=p.first, last=p.last) for p in subnet.pools)
    return SubnetRecord(id=subnet.id, origin_id=subnet.id, cidr=subnet.cidr, original_pools=pools)


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


def _without_restored(entry: SubnetRecord, subnet: Subnet, slice_holders: Collection[str]) -> SubnetRecord:
    """The record without slices that were restored: one is dropped only once its addresses are in the pools again."""
    pools, original = spans_of(subnet.pools), spans_of(entry.original_pools)

    def is_retained(slice_: PeerSlice) -> bool:
        missing = subtract(intersect((span_of(slice_),), original), pools)
        return slice_.cloud_id in slice_holders or bool(subtract(missing, _gateway_of(subnet)))

    return entry.model_copy(update={"slices": tuple(s for s in entry.slices if is_retained(s))})


def _with_shared(entry: SubnetRecord, subnet: Subnet, shared: Collection[str]) -> SubnetRecord:
    """The record with these addresses; one that is shared no more is dropped only once it is in the pools again."""
    if subnet.is_automatic:
        return entry
    pools, original, hosts = spans_of(subnet.pools), spans_of(entry.original_pools), hosts_of(ip_network(subnet.cidr))
    wanted = {address for address in shared if contains(hosts, address)}
    missing = subtract(intersect(spans_of_addresses(entry.shared), original), merged((*pools, *_gateway_of(subnet))))
    left = [address for address in entry.shared if address not in wanted and contains(missing, address)]
    found = (*sorted(wanted, key=number_of), *left)[:MAX_WITHHELD]
    return _restoring(spans_of_addresses(wanted), entry.model_copy(update={"shared": found}), subnet)


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
    if requested is not None:
        return _with_requested_slice(entry, subnet, ports, cloud_id, requested, with_gateway)
    return _with_new_slice(entry, subnet, ports, cloud_id, slice_size, with_gateway)


def _not_divided_message(subnet: Subnet) -> str:
    return (
        f"machines of {subnet.cidr} form their addresses themselves ({subnet.address_mode}): it has no slices, and "
        "none can be requested"
    )


def _with_new_slice(
    entry: SubnetRecord,
    subnet: Subnet,
    ports: Iterable[Port],
    cloud_id: str,
    slice_size: int | None,
    with_gateway: bool,
) -> SubnetRecord | Problem:
    if any(s.cloud_id == cloud_id for s in entry.slices):
        return entry
    smallest = smallest_slice(subnet)
    available, free = _available(entry, subnet), free_addresses(entry, subnet, ports)
    wanted = slice_size or default_slice_size(free, smallest + with_gateway)
    if slice_size is None and subnet.ip_version == 6:
        wanted = min(wanted, _DEFAULT_IPV6_SLICE)
    if with_gateway and wanted <= smallest:
        return Problem(Reason.NO_FREE_SLICE, _no_room_for_gateway(f"a slice of {wanted}", subnet))
    if size(available) < wanted + smallest:
        return Problem(Reason.NO_FREE_SLICE, _too_small_message(subnet, wanted, smallest, size(available)))
    run = highest_free_run(free, (), wanted)
    if run is None:
        return Problem(Reason.NO_FREE_SLICE, _no_free_run_message(subnet, wanted, free))
    return with_range(entry, PeerSlice(cloud_id=cloud_id, first=address_of(run[0]), last=address_of(run[1])), subnet)


def _available(entry: SubnetRecord, subnet: Subnet) -> Spans:
    return subtract(spans_of(subnet.pools), merged((*spans_of(entry.slices), *spans_of_addresses(entry.shared))))


def _with_requested_slice(
    entry: SubnetRecord,
    subnet: Subnet,
    ports: Iterable[Port],
    cloud_id: str,
    requested: Bounded,
    with_gateway: bool,
) -> SubnetRecord | Problem:
    """The slice that the tenant chose. It need not be in the pools, which may be managed elsewhere."""
    if any(s.cloud_id == cloud_id for s in entry.slices):
        return entry
    span, network = span_of(requested), ip_network(subnet.cidr)
    obstacles = {
        "is not a range of addresses of the subnet": subtract((span,), hosts_of(network))
        if span[0] <= span[1]
        else (span,),
        "contains addresses in use": intersect((span,), used_addresses(ports, subnet)),
        "contains an address of addressing.shared": intersect((span,), spans_of_addresses(entry.shared)),
        "overlaps the slice of another peer": intersect((span,), spans_of(entry.slices)),
    }
    obstacle = next((text for text, addresses in obstacles.items() if addresses), None)
    if obstacle is not None:
        where = f"{requested.first}-{requested.last} of {subnet.cidr}"
        return Problem(Reason.NO_FREE_SLICE, f"the requested slice {where} {obstacle}")
    if with_gateway and size((span,)) <= smallest_slice(subnet):
        where = f"the requested slice {requested.first}-{requested.last}"
        return Problem(Reason.NO_FREE_SLICE, _no_room_for_gateway(where, subnet))
    return with_range(entry, PeerSlice(cloud_id=cloud_id, first=requested.first, last=requested.last), subnet)


def _no_room_for_gateway(what: str, subnet: Subnet) -> str:
    needed = smallest_slice(subnet) + 1
    return f"{what} of {subnet.cidr} has too few addresses for a gateway of the peer's own: {needed} are needed"


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


def _wanted_pools(
    entry: SubnetRecord, subnet: Subnet, slice_holders: Collection[str], shared: Collection[str]
) -> tuple[Range, ...]:
    original = spans_of(entry.original_pools)
    excluded = _excluded(entry, slice_holders, shared)
    withheld = merged((*spans_of(entry.slices), *spans_of_addresses(entry.shared)))
    restored = intersect(subtract(withheld, excluded), original)
    wanted = subtract(subtract(merged((*spans_of(subnet.pools), *restored)), excluded), _gateway_of(subnet))
    if wanted == original:  # exactly as the tenant had written them, which may be several adjacent pools
        return tuple(Range(pool.first, pool.last) for pool in entry.original_pools)
    return ranges(wanted)


def _excluded(entry: SubnetRecord, slice_holders: Collection[str], shared: Collection[str]) -> Spans:
    """The addresses that peers keep, and those that nobody gets."""
    kept = spans_of(s for s in entry.slices if s.cloud_id in slice_holders)
    return merged((*kept, *spans_of_addresses(address for address in entry.shared if address in shared)))


def _gateway_of(subnet: Subnet) -> Spans:
    """Neutron rejects pools with the gateway; a tenant may have moved it into a slice that was not in the pools."""
    return spans_of_addresses([subnet.gateway_ip] if subnet.gateway_ip else [])


def _trimmed(slice_: PeerSlice, used: Spans) -> PeerSlice | None:
    span = (span_of(slice_),)
    if not intersect(span, used):
        return slice_
    best = largest_span(subtract(span, used))
    return slice_.model_copy(update={"first": address_of(best[0]), "last": address_of(best[1])}) if best else None
