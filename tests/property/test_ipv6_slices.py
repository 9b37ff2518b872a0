"""Division of IPv6 subnets: slices for every mode that has them, and none where machines form their addresses."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_address

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.network.addressing import contains, intersect, size, span_of, spans_of, subtract
from isthmus.core.network.allocation_pools import pool_updates
from isthmus.core.network.growth import grow
from isthmus.core.network.slices import allocate, has_slices
from isthmus.core.network.used_addresses import used_addresses
from isthmus.model.facts.openstack import Network, NetworkFacts, Port, Range, Subnet

PEERS = ("cloud-b", "cloud-c", "cloud-d")
NETWORK = Network("6c1b3b1e-0f51-4a3c-9c0a-5d6f0a6f6a11", "web", "p", 1450)
BASE = int(ip_address("fd00:20::"))
MAXIMUM_DEFAULT = 65_536


@st.composite
def subnets(draw: st.DrawFn, mode: str | None) -> Subnet:
    """An IPv6 subnet, often a small one, with its gateway outside of the pool."""
    prefix = 64 if mode == "slaac" else draw(st.sampled_from((64, 64, 96, 112, 120, 122)))
    last = BASE + 2 ** (128 - prefix) - 1
    pool = Range(str(ip_address(BASE + 2)), str(ip_address(last)))
    cidr = str(IPv6Network((BASE, prefix)))
    id_ = "6c1b3b1e-0f51-4a3c-9c0a-000000000006"
    return Subnet(id_, "v6", NETWORK.id, "p", 6, cidr, "fd00:20::1", (pool,), True, address_mode=mode)


@st.composite
def networks(draw: st.DrawFn, mode: str | None) -> NetworkFacts:
    """A network with that subnet and some ports, of which some have its highest addresses."""
    subnet = draw(subnets(mode))
    (pool,) = subnet.pools
    first, last = span_of(pool)
    offsets = draw(st.sets(st.integers(0, 40), max_size=8))
    values = {last - n for n in offsets} | {first + n for n in draw(st.sets(st.integers(0, 8), max_size=4))}
    ports = tuple(
        Port(f"port-{value}", "", NETWORK.id, "p", "fa:16:3e:00:00:01", (str(ip_address(value)),), "", "", "")
        for value in sorted(v for v in values if v <= last)
    )
    return NetworkFacts("own", NETWORK, (subnet,), ports)


@given(networks(None) | networks("dhcpv6-stateful"), st.none() | st.integers(2, 70_000))
def test_slices_are_disjoint_unused_and_of_the_pool(facts: NetworkFacts, slice_size: int | None) -> None:
    (subnet,) = facts.subnets
    result = allocate((), facts, PEERS, PEERS, slice_size)
    (entry,) = result.subnets
    pools, slices = spans_of(subnet.pools), spans_of(entry.slices)
    assert size(slices) == sum(size((span_of(each),)) for each in entry.slices)
    assert subtract(slices, pools) == ()
    assert intersect(slices, used_addresses(facts.ports, subnet)) == ()
    assert not contains(slices, "fd00:20::1")
    assert {s.cloud_id for s in entry.slices} == set(PEERS) - result.problems.keys()
    assert all(ip_address(end).version == 6 for each in entry.slices for end in (each.first, each.last))
    sizes = {size((span_of(each),)) for each in entry.slices}
    assert sizes <= {slice_size} if slice_size else max(sizes, default=0) <= MAXIMUM_DEFAULT
    if subnet.cidr.endswith("/64") and slice_size is None:
        assert (sizes, result.problems) == ({MAXIMUM_DEFAULT}, {})
    for update in pool_updates(result.subnets, facts, PEERS):
        assert spans_of(update.pools) == subtract(pools, slices)


@given(networks("dhcpv6-stateful"))
def test_a_slice_grows_by_as_many_addresses(facts: NetworkFacts) -> None:
    (subnet,) = facts.subnets
    record = allocate((), facts, PEERS[:1], PEERS[:1], None).subnets
    published = [(s.cloud_id, entry.id, s.first) for entry in record for s in entry.slices]
    result = grow(record, facts, [("cloud-b", subnet.id)], published)
    held = [s for entry in result.subnets for s in entry.slices]
    sizes = [size((span_of(s),)) for s in held]
    assert len(held) == len(published) + (bool(published) and not result.problems)
    assert len(set(sizes)) <= 1
    assert size(spans_of(held)) == sum(sizes)


@given(networks("slaac"))
def test_where_machines_form_their_addresses_nothing_is_divided(facts: NetworkFacts) -> None:
    result = allocate((), facts, PEERS, PEERS, None)
    assert ([entry.slices for entry in result.subnets], result.problems) == ([()], {})
    assert pool_updates(result.subnets, facts, PEERS) == ()
    assert all(has_slices(result.subnets, facts, peer) for peer in PEERS)


@given(networks(None), st.sets(st.sampled_from(PEERS)))
def test_a_peer_that_gets_ipv4_alone_has_no_slice(facts: NetworkFacts, ipv4_only: set[str]) -> None:
    result = allocate((), facts, PEERS, PEERS, None, ipv4_only=ipv4_only)
    assert not {s.cloud_id for entry in result.subnets for s in entry.slices} & ipv4_only
    assert not result.problems.keys() & ipv4_only
