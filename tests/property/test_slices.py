"""Whatever peers come, stay and go: slices are disjoint, free when they are given, and never change."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.network.addressing import (
    Spans,
    contains,
    intersect,
    merged,
    size,
    span_of,
    spans_of,
    spans_of_addresses,
    subtract,
)
from isthmus.core.network.allocation_pools import pool_updates, trim_unpublished
from isthmus.core.network.growth import grow
from isthmus.core.network.slices import (
    Allocation,
    allocate,
    smallest_slice,
)
from isthmus.core.network.subnet_record import ranges_of
from isthmus.model.actions import UpdatePools
from isthmus.model.api.v1alpha1.attachment import PeerSlice, SubnetRecord
from isthmus.model.api.v1alpha1.expansionlink import MAX_RANGES
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
        self.further: dict[str, tuple[PeerSlice, ...]] = {}
        """Ranges by which slices have grown."""
        self.shared: frozenset[str] = frozenset()
        """What the tenant shares of what no peer has."""

    @property
    def facts(self) -> NetworkFacts:
        return NetworkFacts("own", Network("n", "web", "p", 1450), (self.subnet,), tuple(self.ports))

    def published_ranges(self) -> set[tuple[str, str, str]]:
        """As the origin's links have them."""
        first = {(peer, SUBNET, range_.first) for peer, range_ in self.published.items()}
        return first | {(p, SUBNET, r.first) for p, found in self.further.items() for r in found}

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
        served = [*sorted(self.published), peer]
        result = allocate(
            self.record, self.facts, wanted, served, self.slice_size, (peer,), shared=self._shared_beside_slices()
        )
        self.record = result.subnets
        if late is not None:
            self.boot(late)
        self._update(pool_updates(self.record, self.facts, wanted, self.shared))
        updates, self.record = trim_unpublished(self.record, self.facts, self.published_ranges())
        self._update(updates)
        found = [s for entry in self.record for s in entry.slices if s.cloud_id == peer]
        self.published |= {s.cloud_id: s for s in found[:1]}
        return result

    def go(self, peer: str) -> None:
        """A peer is not asked for any more."""
        self.published.pop(peer, None)
        self.further.pop(peer, None)
        self._update(pool_updates(self.record, self.facts, self.published, self.shared))
        self._record()

    def share(self, offsets: Collection[int]) -> None:
        """The tenant shares these addresses from now on, and no others."""
        self.shared = frozenset(map(_address, offsets))
        self.shared = self._shared_beside_slices()
        for _ in range(2):  # what is shared no more is forgotten in the next round
            self._record()
            self._update(pool_updates(self.record, self.facts, self.published, self.shared))
        self._record()

    def _shared_beside_slices(self) -> frozenset[str]:
        slices = spans_of(r for r in (*self.published.values(), *(r for f in self.further.values() for r in f)))
        return frozenset(a for a in self.shared if not contains(slices, a))

    def _record(self) -> None:
        served = sorted(self.published)
        self.record = allocate(
            self.record, self.facts, self.published, served, self.slice_size, shared=self.shared
        ).subnets

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


class GrowingNetwork(OriginNetwork):
    """An origin that lets the slices of peers grow that say that they run short."""

    def grow(self, short: set[str], late: int | None) -> None:
        """One round of the pipeline: record, cut, list again, trim, publish."""
        wanted = frozenset(self.published)
        pairs = {(peer, SUBNET) for peer in short & wanted}
        self.record = grow(self.record, self.facts, pairs, self.published_ranges()).subnets
        if late is not None:
            self.boot(late)
        self._update(pool_updates(self.record, self.facts, wanted, self.shared))
        updates, self.record = trim_unpublished(self.record, self.facts, self.published_ranges())
        self._update(updates)
        for peer in wanted:
            self.further[peer] = ranges_of(self.record, SUBNET, peer)[1:]

    def all_ranges(self) -> list[PeerSlice]:
        return [*self.published.values(), *(r for peer in self.published for r in self.further.get(peer, ()))]


growing_steps = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from(PEERS[:5]), st.none() | st.integers(0, 300)),
        st.tuples(st.just("go"), st.sampled_from(PEERS[:5])),
        st.tuples(st.just("boot"), st.integers(0, 300)),
        st.tuples(st.just("grow"), st.sets(st.sampled_from(PEERS[:5])), st.none() | st.integers(0, 300)),
        st.tuples(st.just("grow"), st.just(set(PEERS[:5])), st.none()),
    ),
    max_size=40,
)


@given(st.integers(24, 28), st.none() | st.integers(2, 12), growing_steps)
def test_slices_that_grow_are_disjoint_and_never_change(
    prefix: int, slice_size: int | None, taken: list[tuple[object, ...]]
) -> None:
    network = GrowingNetwork(prefix, True, slice_size)
    for step in taken:
        before = {peer: [span_of(r) for r in network.further.get(peer, ())] for peer in network.published}
        free = subtract(spans_of(network.subnet.pools), network.used)
        match step:
            case "grow", set() as short, int() | None as late:
                network.grow({str(peer) for peer in short}, late)
                given = subtract(spans_of(network.all_ranges()), _before(network, before))
                assert size(free) - size(given) >= (smallest_slice(network.subnet) if given else 0)
            case _:
                _step(network, step)
        for peer, ranges in before.items():
            if peer in network.published:
                after = [span_of(r) for r in network.further.get(peer, ())]
                assert after[: len(ranges)] == ranges, "a range has moved, or was removed"
                assert len(after) < MAX_RANGES
        spans, pools = [span_of(r) for r in network.all_ranges()], spans_of(network.subnet.pools)
        assert size(merged(spans)) == sum(size((s,)) for s in spans), "two peers have the same address"
        assert not intersect(merged(spans), merged((*pools, *network.used)))
        assert merged((*spans, *pools)) == spans_of(network.original), "an address is lost"
    for peer in PEERS:
        network.go(peer)
    assert network.subnet.pools == network.original
    assert all(entry.slices == () for entry in network.record)


sharing_steps = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from(PEERS[:5]), st.none() | st.integers(0, 300)),
        st.tuples(st.just("go"), st.sampled_from(PEERS[:5])),
        st.tuples(st.just("boot"), st.integers(0, 300)),
        st.tuples(st.just("grow"), st.just(set(PEERS[:5])), st.none() | st.integers(0, 300)),
        st.tuples(st.just("share"), st.sets(st.integers(2, 254), max_size=16)),
        st.tuples(st.just("share"), st.sets(st.integers(180, 254), max_size=16)),
    ),
    max_size=30,
)


@given(st.integers(24, 25), st.none() | st.integers(2, 12), sharing_steps)
def test_nobody_is_given_what_is_shared(prefix: int, slice_size: int | None, taken: list[tuple[object, ...]]) -> None:
    network = GrowingNetwork(prefix, True, slice_size)
    original = spans_of(network.original)
    for step in taken:
        match step:
            case "grow", set() as short, int() | None as late:
                network.grow({str(peer) for peer in short}, late)
            case "share", set() as offsets if network.record:
                network.share([offset for offset in offsets if isinstance(offset, int)])
            case "come", str(peer), int() | None as late if peer not in network.published:
                network.come(peer, late)
            case "go", str(peer):
                network.go(peer)
            case "boot", int(offset):
                network.boot(offset)
        spans, pools = spans_of(network.all_ranges()), spans_of(network.subnet.pools)
        shared = intersect(spans_of_addresses(network.shared), original)
        assert not intersect(merged((*spans, *pools)), shared)
        assert merged((*spans, *pools, *shared)) == original, "an address is lost"
    network.share(())
    for peer in PEERS[:5]:
        network.go(peer)
    assert network.subnet.pools == network.original
    assert all((entry.slices, entry.shared) == ((), ()) for entry in network.record)


@given(st.integers(2, 254), st.booleans(), st.integers(0, 3))
def test_address_that_is_shared_before_its_slice_is_published_is_trimmed_off(
    offset: int, cut_before: bool, machines: int
) -> None:
    network, peer = OriginNetwork(24, True, 10), PEERS[0]
    for _ in range(machines):
        network.boot(0)

    def record() -> None:
        shared = network.shared
        network.record = allocate(network.record, network.facts, {peer}, [peer], 10, {peer}, shared=shared).subnets

    record()
    for _ in range(2):
        if cut_before:
            network._update(pool_updates(network.record, network.facts, {peer}, network.shared))
        network.shared = frozenset([_address(offset)])
        record()
    network._update(pool_updates(network.record, network.facts, {peer}, network.shared))
    record()
    updates, network.record = trim_unpublished(network.record, network.facts, ())
    network._update(updates)
    (entry,) = network.record
    found = spans_of(entry.slices)
    assert 5 <= size(found) <= 10
    assert not intersect(merged((*found, *spans_of(network.subnet.pools))), spans_of_addresses(network.shared))
    assert merged((*found, *spans_of(network.subnet.pools), *spans_of_addresses(network.shared))) == spans_of(
        network.original
    )


def _before(network: GrowingNetwork, further: dict[str, list[tuple[int, int]]]) -> Spans:
    return merged((*map(span_of, network.published.values()), *(s for found in further.values() for s in found)))


@given(st.integers(1, 40), st.integers(0, 100))
def test_a_peer_that_is_always_short_leaves_this_cloud_its_part(slice_size: int, machines: int) -> None:
    network = GrowingNetwork(24, True, slice_size)
    for _ in range(machines):
        network.boot(0)
    network.come(PEERS[0], None)
    for _ in range(2 * MAX_RANGES):
        network.grow({PEERS[0]}, None)
    count = len(network.all_ranges())
    free = size(subtract(spans_of(network.subnet.pools), network.used))
    assert count <= MAX_RANGES
    assert free >= smallest_slice(network.subnet)
    assert count in {0, 1} or free >= slice_size
    assert count == MAX_RANGES or free < slice_size + max(slice_size, smallest_slice(network.subnet))
