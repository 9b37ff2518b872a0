"""Facts about many networks: few requests in steady state, changes seen within seconds, the same as one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.controller.bulk import SharedFacts
from isthmus.controller.facts import FactReader, keeping_ports
from isthmus.controller.scopes import network_facts_of as network_facts
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.errors import Unavailable
from isthmus.model.facts.openstack import NetworkFacts, Port, Subnet
from tests.fakes.federation import FakeClock, FakeFederation
from tests.fakes.manyfacts import ManyFacts, requests_for_added_expansion, requests_for_created_port
from tests.fakes.networkcloud import FakeNetworkCloud
from tests.fakes.scenario import Stretched


@pytest.mark.parametrize("origin", ["cloud-a", "cloud-b"], ids=["origin", "receiver"])
@pytest.mark.parametrize("count", [100, 1000])
def test_steady_state(count: int, origin: str) -> None:
    """All facts are listed within a round; then nothing changes and few requests are sent."""
    many = ManyFacts(count, origin)
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
    many = ManyFacts(10_000, origin)
    changed, requests_per_second = many.run(500)
    assert changed == set(many.names)
    assert requests_per_second <= 5


@pytest.mark.parametrize("count", [100, 1000])
def test_one_created_port_is_seen_within_5_seconds_by_few_requests(count: int) -> None:
    """At any number of networks, besides the lists of what changed."""
    assert requests_for_created_port(count) <= 5


def test_known_projects_are_asked_for_again_one_by_one() -> None:
    cloud, clock = FakeNetworkCloud(), FakeClock()
    domain = cloud.create_domain("tenants", "")
    projects = [cloud.create_project(domain.id, f"p{number}", "") for number in range(20)]
    shared = SharedFacts(cloud, clock)

    def ask() -> int:
        before = cloud.requests
        assert [shared.get_project(project.id) for project in projects] == projects
        return cloud.requests - before

    assert ask() == len(projects)
    clock.move(599)
    shared.drop_old()
    assert ask() == 0
    renewed = []
    for _ in range(60):
        clock.move(1)
        shared.drop_old()
        renewed.append(ask())
    assert max(renewed) == 1
    assert sum(renewed) == len(projects)
    clock.move(601)
    shared.drop_old()
    assert ask() == len(projects), "what nobody asked for in the meantime is forgotten"


def test_many_changes_are_listed_together() -> None:
    many = ManyFacts(1000)
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
    many = ManyFacts(1000)
    port = many.boot(many.names[3])
    many.run(60)
    del many.cloud.ports[port.id]
    changed, _ = many.run(80)
    assert changed == {many.names[3]}


def test_cloud_without_summaries_is_listed_in_rounds() -> None:
    many = ManyFacts(100)

    def none(*_project_ids: str) -> None:
        return None

    many.cloud.network_summaries = none  # type: ignore[method-assign]
    many.run(60)
    many.boot(many.names[3])
    changed, _ = many.run(40)
    assert changed == {many.names[3]}


def test_change_that_could_not_be_listed_is_not_lost() -> None:
    many = ManyFacts(100)
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
    many = ManyFacts(1)
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


@pytest.mark.parametrize("others", [1, 12])
def test_requests_for_one_added_expansion_do_not_depend_on_the_others(others: int) -> None:
    assert requests_for_added_expansion(others) == 15


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
    many = ManyFacts(1)
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


def test_ports_that_are_as_they_were_stay_the_same_objects() -> None:
    ports = [Port(str(number), "", "n", "p", "fa:16:3e:00:00:01", (), "", "ACTIVE", "") for number in range(3)]
    fetched = NetworkFacts("own", ports=(replace(ports[0]), replace(ports[1], mac=""), replace(ports[2], id="3")))
    kept = keeping_ports(fetched, NetworkFacts("own", ports=tuple(ports)))
    assert kept == fetched
    assert kept.ports[0] is ports[0]
    assert keeping_ports(fetched, None) == fetched
