"""Slices grow whatever happens meanwhile: no address has two owners, none is lost, and all are given back.

Controllers may die, or lose a reply, after any effect; peers come and go; machines come and go in all clouds.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.core.network.addressing import (
    Spans,
    intersect,
    merged,
    number_of,
    size,
    span_of,
    spans_of,
    spans_of_addresses,
    subtract,
)
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.expansionlink import MAX_RANGES
from isthmus.model.api.v1alpha1.networkexpansion import (
    Addressing,
    NetworkExpansion,
    NetworkExpansionSpec,
    PeerReference,
)
from isthmus.model.errors import Conflict, Unavailable
from isthmus.model.facts.openstack import Port
from tests.fakes.federation import FakeCloud, FakeFederation, reason
from tests.fakes.killing import Effects, Killed

Error = Callable[[], BaseException]
ERRORS: dict[str, Error] = {"killed": Killed, "reply-lost": lambda: Unavailable("no answer")}
PEERS = ("cloud-b", "cloud-c")


class Growing:
    """A network of A with small slices, which B and C may have."""

    def __init__(self) -> None:
        self.federation = FakeFederation("a", "b", "c")
        self.a, self.b, self.c = self.federation.clouds
        self.federation.agree()
        self.project, self.network, self.subnet = self.a.tenant()
        self.machines: dict[str, list[Port]] = {cloud.cloud_id: [] for cloud in self.federation.clouds}
        self.published: dict[str, list[tuple[int, int]]] = {}
        self.links: dict[str, str | None] = {}
        """UIDs of the links that were published with it."""
        self.shared: tuple[str, ...] = ()
        """What the tenant shares, as far as it can be."""
        self.settle()

    def expand(self, *peers: str) -> None:
        found = self.a.expansion()
        if not peers:
            self.a.kubectl.delete(NetworkExpansion, "web", "shop")
        elif found is None or not found.metadata.deletion_timestamp:
            references = tuple(PeerReference(name=peer) for peer in peers)
            spec = NetworkExpansionSpec(
                network_id=self.network.id, peers=references, addressing=Addressing(slice_size=5, shared=self.shared)
            )
            self.a.kubectl.apply(NetworkExpansion(metadata=ObjectMeta(name="web", namespace="shop"), spec=spec))

    def share(self, offsets: list[int]) -> None:
        self.shared = tuple(f"10.20.0.{offset}" for offset in offsets)
        found = self.a.expansion()
        if found is not None:
            self.expand(*(peer.name for peer in found.spec.peers))

    def boot(self, which: int, count: int) -> None:
        cloud = self.federation.clouds[which]
        networks = [self.network] if cloud is self.a else list(cloud.neutron.networks.values())
        for network in networks * count:
            try:
                self.machines[cloud.cloud_id].append(cloud.neutron.boot(network.id, network.project_id))
            except Conflict:
                return

    def destroy(self, which: int, count: int) -> None:
        cloud = self.federation.clouds[which]
        machines = self.machines[cloud.cloud_id]
        for port in machines[:count]:
            cloud.neutron.delete_port(port.id)
        del machines[:count]

    def fail(self, which: int, after: int) -> None:
        """That controller dies after so many further effects."""
        cloud = self.federation.clouds[which]
        cloud.restart(Effects(after + 1, Killed).around(cloud.backends))

    def cycle(self, which: int, _: int) -> None:
        cloud = self.federation.clouds[which]
        cloud.play_agent()
        self._restarting(cloud.cycle)

    def settle(self) -> None:
        """Run until nothing changes; controllers that die are restarted."""
        while not self._restarting(self.federation.settle):
            pass
        self.check()

    def _restarting(self, run: Callable[[], object]) -> bool:
        try:
            run()
            return True
        except Killed:
            for cloud in self.federation.clouds:
                cloud.restart()
            return False

    def ranges(self) -> dict[str, list[tuple[int, int]]]:
        """What is published, by peer."""
        offers = {link.spec.peer_cloud_id: link.spec.offer for link in self.a.links() if link.spec.state == "Active"}
        return {peer: [span_of(r) for r in offer.ranges] for peer, offer in offers.items() if offer is not None}

    def check(self) -> None:
        """Nothing that is published has moved; no address has two owners."""
        now, links = self.ranges(), {link.spec.peer_cloud_id: link.metadata.uid for link in self.a.links()}
        for peer, before in self.published.items():
            if peer in now and links[peer] == self.links[peer]:
                assert now[peer][: len(before)] == before
            assert len(now.get(peer, ())) <= MAX_RANGES
        self.published, self.links = now, links
        spans = [span for found in now.values() for span in found]
        given, pools = merged(spans), spans_of(self.a.neutron.subnets[self.subnet.id].pools)
        assert size(given) == sum(size((span,)) for span in spans), "two peers have the same address"
        assert not intersect(given, pools), "Neutron may give an address of a peer"
        assert not intersect(given, self._used(self.a, self.network.id))

    def check_at_rest(self) -> None:
        """Every address is in the pools, in a slice, or shared, and each replica has its slice."""
        pools, original = spans_of(self.a.neutron.subnets[self.subnet.id].pools), spans_of(self.subnet.pools)
        given = merged(span for found in self.published.values() for span in found)
        offers = [link.spec.offer for link in self.a.links() if link.spec.state == "Active"]
        offered = spans_of_addresses(a for offer in offers if offer is not None for a in offer.shared_addresses)
        shared = intersect(offered, original)
        assert not intersect(merged((*pools, *given)), shared)
        if offers:
            assert shared == subtract(intersect(spans_of_addresses(self.shared), original), given)
        assert merged((*pools, *given, *shared)) == original, "an address is lost"
        for cloud in (self.b, self.c):
            for replica in cloud.neutron.subnets.values():
                if cloud.cloud_id in self.published:
                    assert spans_of(replica.pools) == merged(self.published[cloud.cloud_id])

    def _used(self, cloud: FakeCloud, network_id: str) -> Spans:
        ports = cloud.neutron.ports_of(network_id)
        return merged((n, n) for port in ports for n in map(number_of, port.addresses))

    def remove_everything(self) -> None:
        for which in range(3):
            self.destroy(which, len(self.machines[self.federation.clouds[which].cloud_id]))
        self.expand()
        self.settle()
        self.settle()
        assert self.a.neutron.subnets[self.subnet.id] == self.subnet
        for cloud in self.federation.clouds:
            assert (cloud.attachments(), cloud.links()) == ([], [])
        assert not self.b.neutron.networks
        assert not self.c.neutron.networks


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("victim", [0, 1], ids=["origin", "receiver"])
def test_failure_after_every_effect_of_growth(victim: int, error: str) -> None:
    """The slice grows once, and only once."""
    fail_after, effects = 0, 1
    while fail_after < effects:
        growing = Growing()
        growing.expand("cloud-b")
        growing.settle()
        counter = Effects(fail_after or None, ERRORS[error])
        growing.federation.clouds[victim].restart(counter.around(growing.federation.clouds[victim].backends))
        growing.boot(1, 4)
        growing.settle()
        growing.settle()
        growing.check_at_rest()
        assert len(growing.published["cloud-b"]) == 2, f"failure after effect {fail_after}"
        assert reason(growing.a.expansion()) == "Ready"
        if not fail_after:
            effects = counter.count
            assert effects > (3 if victim == 0 else 1)
        fail_after += 1
    growing.remove_everything()


steps = st.one_of(
    st.tuples(st.just("expand"), st.lists(st.sampled_from(PEERS), unique=True, max_size=2)),
    st.tuples(st.just("expand"), st.just(list(PEERS))),
    st.tuples(st.sampled_from(("boot", "destroy")), st.integers(0, 2), st.integers(1, 8)),
    st.tuples(st.just("boot"), st.integers(1, 2), st.integers(4, 8)),
    st.tuples(st.just("fail"), st.integers(0, 2), st.integers(0, 8)),
    st.tuples(st.just("cycle"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("cycle"), st.just(0), st.just(0)),
    st.tuples(st.just("share"), st.lists(st.integers(2, 254), unique=True, max_size=16)),
    st.tuples(st.just("share"), st.lists(st.integers(225, 254), unique=True, max_size=16)),
    st.tuples(st.just("settle")),
)


@given(st.lists(steps, max_size=10))
@settings(suppress_health_check=list(HealthCheck), max_examples=settings().max_examples // 5)
def test_grows_and_everything_is_given_back(taken: list[tuple[object, ...]]) -> None:
    growing = Growing()
    growing.expand(*PEERS)
    growing.settle()
    for step in taken:
        match step:
            case "expand", list() as peers:
                growing.expand(*map(str, peers))
            case "share", list() as offsets:
                growing.share([offset for offset in offsets if isinstance(offset, int)])
            case ("settle",):
                growing.settle()
            case str(name), int(which), int(number):
                getattr(growing, name)(which, number)
    growing.settle()
    growing.settle()
    growing.check_at_rest()
    growing.remove_everything()
