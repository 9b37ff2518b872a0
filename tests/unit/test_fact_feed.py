"""Facts about many networks: few requests in steady state, changes seen within seconds, the same as one by one."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from isthmus.controller.factfeed import FactFeed
from isthmus.controller.facts import FactCache, FactReader
from isthmus.controller.scopes import network_facts_of as network_facts
from isthmus.core.snapshot.cache import Cache
from isthmus.core.snapshot.index import OwnCloud, Snapshot
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentSpec, Record
from isthmus.model.api.v1alpha1.expansionlink import NetworkIdentity
from isthmus.model.errors import Unavailable
from isthmus.model.facts.openstack import Network, NetworkFacts, NetworkQuota, Port, Range, Subnet
from isthmus.model.names import SYSTEM_NAMESPACE
from tests.fakes.federation import FakeClock, FakeFederation, reason
from tests.fakes.networkcloud import FakeNetworkCloud
from tests.fakes.scenario import Stretched

RESYNC_SECONDS = 30.0
NETWORKS_PER_PROJECT = 10


class ManyNetworks:
    """A cloud with that many stretched networks of its own or of a peer, whose facts are cached."""

    def __init__(self, count: int, origin: str = "cloud-a") -> None:
        self.clock = FakeClock()
        self.cloud = FakeNetworkCloud()
        domain = self.cloud.create_domain("isthmus-cloud-b", "isthmus peer cloud-b")
        names = [f"p{number}" for number in range(-(-count // NETWORKS_PER_PROJECT))]
        projects = [self.cloud.create_project(domain.id, name, name) for name in names]
        for project in projects:
            self.cloud.set_quota(project.id, NetworkQuota(1000, 1000, 1000))
        attachments = []
        for number in range(count):
            project = projects[number % len(projects)]
            id_, cidr = str(uuid.UUID(int=number)), "10.20.0.0/24"
            pools = (Range("10.20.0.2", "10.20.0.190"),)
            self.cloud.networks[id_] = Network(id_, "web", project.id, 1400)
            subnet = Subnet(str(uuid.uuid4()), "web", id_, project.id, 4, cidr, "10.20.0.1", pools, True)
            self.cloud.subnets[subnet.id] = subnet
            identity = NetworkIdentity(cloud_id=origin, network_id=id_)
            record = Record(network_id=id_, project_id=project.id)
            attachments.append(
                Attachment(
                    metadata=ObjectMeta(name=identity.link_name, namespace=SYSTEM_NAMESPACE, uid="u"),
                    spec=AttachmentSpec(
                        origin=identity, role="Origin" if origin == "cloud-a" else "Receiver", record=record
                    ),
                )
            )
        cache = Cache()
        for attachment in attachments:
            cache.put(attachment)
        own = OwnCloud("cloud-a", ("192.0.2.0/24",), 300.0)
        self.snapshot = Snapshot(own, datetime(2026, 1, 1, tzinfo=UTC), cache)
        self.names = [attachment.metadata.name for attachment in attachments]
        self.cache: FactCache[NetworkFacts] = FactCache(self.fetch)
        for name in self.names:
            self.cache._cached[name] = NetworkFacts("not fetched yet")
        self.feed = FactFeed(self.cloud, self.clock, self.cache, network_facts, RESYNC_SECONDS)

    def fetch(self, snapshot: Snapshot, name: str) -> NetworkFacts:
        return network_facts(self.cloud, snapshot, name)

    def run(self, seconds: int) -> tuple[set[str], float]:
        """Tick every second; which facts changed, and how many requests were sent a second."""
        before, changed = self.cloud.requests, set[str]()
        for _ in range(seconds):
            changed |= self.feed.tick(self.snapshot)
            self.clock.move(1)
        return changed, (self.cloud.requests - before) / seconds

    def boot(self, name: str) -> Port:
        network = self.cloud.networks[name.partition(".")[2]]
        port = Port(str(uuid.uuid4()), "", network.id, network.project_id, "", ("10.20.0.9",), "compute:nova", "", "")
        self.cloud.ports[port.id] = port
        return port


@pytest.mark.parametrize("origin", ["cloud-a", "cloud-b"], ids=["origin", "receiver"])
@pytest.mark.parametrize("count", [100, 1000])
def test_steady_state(count: int, origin: str) -> None:
    """All facts are listed within a round; then nothing changes and few requests are sent."""
    many = ManyNetworks(count, origin)
    changed, _ = many.run(60)
    assert changed == set(many.names)
    for name in many.names[:: count // 10]:
        assert many.cache.cached(name) == many.fetch(many.snapshot, name)
    changed, requests_per_second = many.run(120)
    assert changed == set()
    assert requests_per_second <= 5


@pytest.mark.long
@pytest.mark.parametrize("origin", ["cloud-a", "cloud-b"], ids=["origin", "receiver"])
def test_steady_state_of_10000_networks(origin: str) -> None:
    many = ManyNetworks(10_000, origin)
    changed, requests_per_second = many.run(500)
    assert changed == set(many.names)
    assert requests_per_second <= 5


def many_names(count: int) -> list[str]:
    return [f"cloud-a.{uuid.UUID(int=number)}" for number in range(count)]


@pytest.mark.parametrize("count", [100, 1000])
def test_one_created_port_is_seen_within_5_seconds_by_few_requests(count: int) -> None:
    """At any number of networks, besides the lists of what changed."""
    many, name = ManyNetworks(count), many_names(count)[7]
    many.run(60)
    many.feed._part_at = float("inf")
    _, idle = many.run(5)
    port = many.boot(name)
    changed, during = many.run(5)
    assert changed == {name}
    before = many.cloud.requests
    found = many.cache.get(many.snapshot, name)
    assert port in found.ports
    assert many.cache.is_fresh(name)
    assert (during - idle) * 5 + many.cloud.requests - before <= 5


def test_many_changes_are_listed_together() -> None:
    many = ManyNetworks(1000)
    many.run(60)
    many.feed._part_at = float("inf")
    _, idle = many.run(5)
    ports = {name: many.boot(name) for name in many.names[::10]}
    changed, during = many.run(5)
    assert changed == ports.keys()
    for name, port in ports.items():
        found = many.cache.cached(name)
        assert found is not None
        assert port in found.ports
    assert (during - idle) * 5 <= 3 * len(ports) / 100


def test_deletion_is_found_by_the_round() -> None:
    many = ManyNetworks(1000)
    port = many.boot(many.names[3])
    many.run(60)
    del many.cloud.ports[port.id]
    changed, _ = many.run(80)
    assert changed == {many.names[3]}


def test_cloud_without_summaries_is_listed_in_rounds() -> None:
    many = ManyNetworks(100)

    def none(*_project_ids: str) -> None:
        return None

    many.cloud.network_summaries = none  # type: ignore[method-assign]
    many.run(60)
    many.boot(many.names[3])
    changed, _ = many.run(40)
    assert changed == {many.names[3]}


def test_change_that_could_not_be_listed_is_not_lost() -> None:
    many = ManyNetworks(100)
    many.run(60)
    for name in many.names[:9]:
        many.boot(name)
    ports_of, broken = many.cloud.ports_of, [True]

    def failing(*network_ids: str) -> list[Port]:
        if broken:
            broken.clear()
            raise Unavailable("no answer")
        return ports_of(*network_ids)

    many.cloud.ports_of = failing  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        many.run(4)
    changed, _ = many.run(5)
    assert changed == set(many.names[:9])


def test_facts_that_were_fetched_meanwhile_are_newer() -> None:
    """What a list began before must not replace what was fetched after a change of ours."""
    many = ManyNetworks(1)
    (name,) = many.names
    many.run(1)
    network_id = name.partition(".")[2]
    subnets_of = many.cloud.subnets_of

    def changed_meanwhile(*network_ids: str) -> list[Subnet]:
        found = subnets_of(*network_ids)
        many.cloud.subnets_of = subnets_of  # type: ignore[method-assign]
        (subnet,) = found
        many.cloud.subnets[subnet.id] = replace(subnet, pools=())
        many.cache.invalidate(name)
        many.cache.get(many.snapshot, name)
        return found

    many.cloud.subnets_of = changed_meanwhile  # type: ignore[method-assign]
    assert many.feed.refresh(many.snapshot, [name]) == frozenset()
    found = many.cache.cached(name)
    assert found is not None
    assert [subnet.pools for subnet in found.subnets if subnet.network_id == network_id] == [()]


def test_lists_give_the_same_facts_as_one_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the origin and at the receiver, with everything that a stretched network has."""
    stretched = Stretched()
    compared = []

    def compare(reader: FactReader, snapshot: Snapshot, name: str) -> NetworkFacts:
        made = network_facts(reader, snapshot, name)
        compared.append(made)
        assert made == network_facts(cloud.neutron, snapshot, name)
        return made

    for cloud in stretched.federation.clouds:
        with monkeypatch.context() as patch:
            patch.setattr(cloud.controller.engine._facts.feed, "_make", compare)
            cloud.cycle(resync=True)
    assert len(compared) == 2
    assert all(facts.network and facts.subnets and facts.ports and facts.project for facts in compared)
    assert stretched.federation.settle() == 1, "a resync writes nothing"


@pytest.mark.parametrize("networks", [1, 12])
def test_requests_for_one_added_expansion_do_not_depend_on_the_others(networks: int) -> None:
    """At the origin, until it is Ready. The fake lists ports once more, and does not read pools before it writes."""
    federation = FakeFederation()
    federation.agree()
    federation.settle()
    a, _ = federation.clouds
    for number in range(networks):
        a.expand(a.tenant(f"shop{number}")[1].id, "cloud-b", namespace=f"shop{number}")
    federation.settle()
    network = a.tenant("extra")[1]
    before = a.neutron.requests
    a.expand(network.id, "cloud-b", namespace="extra")
    for _ in range(6):
        for cloud in federation.clouds:
            cloud.play_agent()
            cloud.cycle(resync=False)
    assert reason(a.expansion("extra")) == "Ready"
    assert a.neutron.requests - before == 15


@pytest.mark.parametrize("role", [0, 1], ids=["origin", "receiver"])
def test_full_round_asks_for_all_networks_together(role: int) -> None:
    federation = FakeFederation()
    federation.agree()
    federation.settle()
    a, _ = federation.clouds
    for number in range(8):
        a.expand(a.tenant(f"shop{number}")[1].id, "cloud-b", namespace=f"shop{number}")
    federation.settle()
    cloud = federation.clouds[role]
    before, writes = cloud.neutron.requests, cloud.store.writes
    cloud.cycle(resync=True)
    assert cloud.neutron.requests - before <= 8
    assert cloud.store.writes == writes


def test_invalidation_during_a_change_of_ours_is_not_lost() -> None:
    many = ManyNetworks(1)
    (name,) = many.names
    many.run(1)
    before = many.cache.get(many.snapshot, name)
    version = many.cache.invalidate(name)
    many.cache.invalidate(name)
    many.cache.amend(name, version, replace(before, own_project_id="amended"))
    assert not many.cache.is_fresh(name)
    assert many.cache.get(many.snapshot, name) == before
    version = many.cache.invalidate(name)
    many.cache.amend(name, version, replace(before, own_project_id="amended"))
    assert many.cache.is_fresh(name)
    assert many.cache.get(many.snapshot, name).own_project_id == "amended"
