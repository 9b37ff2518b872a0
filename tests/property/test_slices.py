"""Whatever peers come, stay and go: slices are disjoint, free when they are given, and never change."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.network.addressing import Spans, contains, intersect, merged, size, span_of, spans_of, subtract
from isthmus.core.network.slices import Allocation, allocate, pool_updates, smallest_slice, trim_unpublished
from isthmus.model.actions import UpdatePools
from isthmus.model.api.v1alpha1.attachment import PeerSlice, SubnetRecord
from isthmus.model.api.v1alpha1.networkexpansion import MAX_PEERS
from isthmus.model.facts.openstack import Network, NetworkFacts, Port, Range, Subnet

SUBNET = "00000000-0000-0000-0000-000000000001"
BASE = IPv4Address("10.20.0.0")
PEERS = tuple(f"cloud-{number:02}" for number in range(MAX_PEERS))


def _address(offset: int) -> str:
    return str(BASE + offset)


class OriginNetwork:
    """One subnet of the origin, the record of it, and what is published of it."""

    def __init__(self, prefix: int, dhcp: bool, slice_size: int | None) -> None:
        last = 2 ** (32 - prefix) - 2
        self.slice_size = slice_size
        self.original = (Range(_address(2), _address(last)),)
        cidr = str(IPv4Network((BASE, prefix)))
        self.subnet = Subnet(SUBNET, "web", "n", "p", 4, cidr, _address(1), self.original, dhcp)
        self.ports: list[Port] = []
        self.record: tuple[SubnetRecord, ...] = ()
        self.published: dict[str, PeerSlice] = {}

    @property
    def facts(self) -> NetworkFacts:
        return NetworkFacts("own", Network("n", "web", "p", 1450), (self.subnet,), tuple(self.ports))

    def boot(self, offset: int) -> None:
        """A machine of the tenant's gets a free address of the pools, as Neutron gives it."""
        free = subtract(spans_of(self.subnet.pools), self.used)
        if free:
            index = offset % size(free)
            addresses = [a for first, last in free for a in range(first, last + 1)]
            address = str(IPv4Address(addresses[index]))
            self.ports.append(
                Port(f"port-{len(self.ports)}", "", "n", "p", "fa:16:3e:00:00:01", (address,), "", "ACTIVE", "")
            )

    @property
    def used(self) -> Spans:
        return merged((int(IPv4Address(a)),) * 2 for port in self.ports for a in port.addresses)

    def come(self, peer: str, late: int | None) -> Allocation:
        """A peer is asked for: its slice is recorded, cut out of the pools, trimmed, and published.

        Meanwhile a machine may get an address of the slice.
        """
        wanted = {*self.published, peer}
        result = allocate(self.record, self.facts, wanted, [*sorted(self.published), peer], self.slice_size, (peer,))
        self.record = result.subnets
        if late is not None:
            self.boot(late)
        self._update(pool_updates(self.record, self.facts, wanted))
        updates, self.record = trim_unpublished(self.record, self.facts, {(p, SUBNET) for p in self.published})
        self._update(updates)
        found = [s for entry in self.record for s in entry.slices if s.cloud_id == peer]
        self.published |= {s.cloud_id: s for s in found}
        return result

    def go(self, peer: str) -> None:
        """A peer is not asked for any more."""
        self.published.pop(peer, None)
        self._update(pool_updates(self.record, self.facts, self.published))
        self.record = allocate(self.record, self.facts, self.published, sorted(self.published), self.slice_size).subnets

    def _update(self, updates: tuple[UpdatePools, ...]) -> None:
        for update in updates:
            self.subnet = replace(self.subnet, pools=update.pools)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from(PEERS), st.none() | st.integers(0, 2000)),
        st.tuples(st.just("come"), st.sampled_from(PEERS), st.none()),
        st.tuples(st.just("go"), st.sampled_from(PEERS)),
        st.tuples(st.just("boot"), st.integers(0, 2000)),
    ),
    max_size=40,
)


def _step(network: OriginNetwork, step: tuple[object, ...]) -> None:
    match step:
        case "come", str(peer), int() | None as late if peer not in network.published:
            before = {**network.published}
            result = network.come(peer, late)
            assert (peer in result.problems) != (peer in network.published) or late is not None
            assert {p: s for p, s in network.published.items() if p != peer} == before
            if peer in network.published:
                assert not intersect((span_of(network.published[peer]),), network.used)
        case "go", str(peer):
            network.go(peer)
        case "boot", int(offset):
            network.boot(offset)


@given(st.integers(22, 28), st.booleans(), st.none() | st.integers(2, 40), steps)
def test_slices_are_disjoint_and_never_change(
    prefix: int, dhcp: bool, slice_size: int | None, taken: list[tuple[object, ...]]
) -> None:
    network = OriginNetwork(prefix, dhcp, slice_size)
    for step in taken:
        _step(network, step)
        slices = [span_of(s) for s in network.published.values()]
        pools = spans_of(network.subnet.pools)
        assert size(merged(slices)) == sum(size((s,)) for s in slices), "two peers have the same address"
        assert not intersect(merged(slices), pools), "Neutron may give an address of a peer"
        assert merged((*slices, *pools)) == spans_of(network.original), "an address is lost"
        assert all(contains(pools, a) for port in network.ports for a in port.addresses)
    for peer in PEERS:
        network.go(peer)
    assert network.subnet.pools == network.original
    assert all(entry.slices == () for entry in network.record)


@given(st.permutations(PEERS), st.integers(0, 40), st.booleans())
def test_all_peers_fit_in_any_order(arriving: list[str], machines: int, dhcp: bool) -> None:
    """By default in a subnet of 1,021 addresses, and this cloud keeps what it needs."""
    network = OriginNetwork(22, dhcp, None)
    for _ in range(machines):
        network.boot(0)
    for peer in arriving:
        assert not network.come(peer, None).problems
    sizes = [size((span_of(network.published[peer]),)) for peer in arriving]
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) >= smallest_slice(network.subnet)
    assert size(subtract(spans_of(network.subnet.pools), network.used)) >= smallest_slice(network.subnet)


def test_default_slices_of_usual_subnets() -> None:
    """The numbers that the documentation names."""
    assert _default_sizes(24) == [63, 47, 35, 27, 20, 15, 11, 8, 8, 8, 3, 3]
    assert _default_sizes(28) == [3, 3, 3]


def _default_sizes(prefix: int) -> list[int]:
    network = OriginNetwork(prefix, True, None)
    for peer in PEERS:
        network.come(peer, None)
    return [size((span_of(s),)) for s in network.published.values()]
