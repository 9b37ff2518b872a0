"""Security groups by name: a remote port is in the groups of this cloud that have the names of the machine's groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from isthmus.controller.groupfeed import GroupFeed
from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.networkexpansion import DefaultGroup, NetworkExpansion, SecurityGroups
from isthmus.model.api.v1alpha1.portslice import PortSlice
from isthmus.model.errors import Forbidden
from isthmus.model.facts.openstack import Network, Port, SecurityGroup
from tests.fakes.federation import FakeCloud, FakeFederation, reason
from tests.fakes.manyfacts import ManyFacts
from tests.fakes.networkcloud import FakeNetworkCloud


class Groups:
    """A network of A that is stretched to others with remote ports; each cloud has a group `web` and `default`."""

    def __init__(
        self, groups: SecurityGroups = "ByName", default: DefaultGroup = "Separate", clouds: str = "ab"
    ) -> None:
        self.federation = FakeFederation(*clouds)
        self.a, self.b, *_ = self.federation.clouds
        for cloud in self.federation.clouds:
            cloud.settings = cloud.settings.model_copy(update={"remote_ports_per_network": 100})
            cloud.restart()
        self.federation.agree()
        _, self.network, _ = self.a.tenant()
        self.settle()
        self.untouched = [cloud.neutron.contents() for cloud in self.federation.clouds]
        self.a.expand(self.network.id, *(cloud.cloud_id for cloud in self.federation.clouds[1:]))
        self.settle()
        self.web = {cloud: self.group(cloud, "web") for cloud in self.federation.clouds}
        self.default = {cloud: self.group(cloud, "default") for cloud in self.federation.clouds}
        self.choose(groups, default)

    def settle(self) -> None:
        self.federation.settle()

    def network_at(self, cloud: FakeCloud) -> str:
        """ID of the network, or of its replica."""
        return self.network.id if cloud is self.a else next(iter(cloud.neutron.networks))

    def project_at(self, cloud: FakeCloud) -> str:
        """ID of the project of the network, or of its replica."""
        return cloud.neutron.networks[self.network_at(cloud)].project_id

    def group(self, cloud: FakeCloud, name: str, *, stateful: bool = True) -> SecurityGroup:
        """Create a group in that project."""
        return cloud.neutron.create_group(self.project_at(cloud), name, stateful=stateful)

    def choose(self, groups: SecurityGroups, default: DefaultGroup = "Separate") -> None:
        """Change the NetworkExpansion, and let all clouds learn of it."""
        expansion = self.a.expansion()
        assert expansion is not None
        spec = expansion.spec.model_copy(update={"security_groups": groups, "default_group": default})
        self.a.kubectl.apply(NetworkExpansion(metadata=ObjectMeta(name="web", namespace="shop"), spec=spec))
        self.settle()
        assert reason(self.a.expansion()) == "Ready"

    def boot(self, cloud: FakeCloud, *groups: SecurityGroup) -> Port:
        """Create a tenant's machine in these groups."""
        port = cloud.neutron.boot(self.network_at(cloud), "tenant")
        cloud.neutron.join(port.id, *groups)
        self.settle()
        return port

    def remote(self, cloud: FakeCloud, machine: Port) -> Port:
        """The port that stands for the machine."""
        owner = names.REMOTE_DEVICE_OWNER
        (found,) = [p for p in cloud.neutron.ports.values() if p.mac == machine.mac and p.device_owner == owner]
        return found

    def names_at(self, cloud: FakeCloud, machine: Port) -> list[str]:
        """Names of the groups that the remote port of the machine is in; port security only with a group."""
        port = self.remote(cloud, machine)
        assert port.port_security_enabled == bool(port.groups)
        return [cloud.neutron.security_groups[id_].name for id_ in port.groups]

    def published(self) -> set[str]:
        """All names that any cloud publishes."""
        slices = (s for cloud in self.federation.clouds for s in cloud.kubectl.list_objects(PortSlice))
        return {name for each in slices for port in each.spec.ports for name in port.groups or ()}


@pytest.fixture
def ready() -> Groups:
    return Groups()


def test_every_member_counts_the_machines_of_all_others_while_they_are_in_the_group() -> None:
    ready = Groups(clouds="abc")
    a, b, c = ready.federation.clouds
    for cloud in ready.federation.clouds:
        member, other = ready.boot(cloud, ready.web[cloud]), ready.boot(cloud)
        for elsewhere in ready.federation.clouds:
            if elsewhere is not cloud:
                assert ready.remote(elsewhere, member).groups == (ready.web[elsewhere].id,)
                assert ready.remote(elsewhere, other).groups == ()
    machine = ready.boot(b, ready.web[b])
    for group in (ready.group(b, "db"), ready.web[b], None):
        for cloud in (a, c) if group and group.name == "db" else ():
            ready.group(cloud, "db")
        b.neutron.join(machine.id, *([group] if group else []))
        ready.settle()
        expected = [group.name] if group else []
        assert [ready.names_at(cloud, machine) for cloud in (a, c)] == [expected, expected]
    b.neutron.join(machine.id, ready.default[b])
    ready.settle()
    assert [ready.names_at(cloud, machine) for cloud in (a, c)] == [[], []]
    ready.choose("ByName", "Joined")
    assert [ready.names_at(cloud, machine) for cloud in (a, c)] == [["default"], ["default"]]
    ready.choose("Separate")
    assert [ready.names_at(cloud, machine) for cloud in (a, c)] == [[], []]
    assert ready.published() == set()


def test_separate_publishes_nothing_and_is_in_no_group() -> None:
    ready = Groups("Separate")
    machine = ready.boot(ready.b, ready.web[ready.b])
    assert ready.names_at(ready.a, machine) == []
    assert ready.published() == set()


def test_separate_again_ends_all_memberships(ready: Groups) -> None:
    machine, ours = ready.boot(ready.b, ready.web[ready.b]), ready.boot(ready.a, ready.web[ready.a])
    assert ready.names_at(ready.a, machine) == ready.names_at(ready.b, ours) == ["web"]
    ready.choose("Separate")
    assert ready.names_at(ready.a, machine) == ready.names_at(ready.b, ours) == []
    assert ready.published() == set()


def test_separate_takes_effect_here_while_a_peer_is_silent(ready: Groups) -> None:
    machine = ready.boot(ready.b, ready.web[ready.b])
    ready.a.restart()
    ready.a.peers.not_read_yet = True
    ready.choose("Separate")
    assert ready.names_at(ready.a, machine) == []


def test_memberships_stay_while_a_peer_is_silent(ready: Groups) -> None:
    machine = ready.boot(ready.b, ready.web[ready.b])
    ready.a.restart()
    ready.a.peers.not_read_yet = True
    ready.boot(ready.a)
    assert ready.names_at(ready.a, machine) == ["web"]


@pytest.mark.parametrize(("default", "expected"), [("Separate", []), ("Joined", ["default"])])
def test_default_group_counts_only_if_asked_for(default: DefaultGroup, expected: list[str]) -> None:
    ready = Groups("ByName", default)
    machine = ready.boot(ready.b, ready.default[ready.b])
    assert ready.names_at(ready.a, machine) == expected
    assert ready.published() == set(expected)


def test_group_that_is_not_there_is_ignored_and_not_made(ready: Groups) -> None:
    machine = ready.boot(ready.b, ready.group(ready.b, "elsewhere"), ready.web[ready.b])
    assert ready.names_at(ready.a, machine) == ["web"]
    assert len(ready.a.neutron.security_groups) == 2
    made = ready.group(ready.a, "elsewhere")
    ready.settle()
    assert made.id in ready.remote(ready.a, machine).groups, "as soon as the tenant makes it"


def test_name_of_two_groups_is_no_name(ready: Groups) -> None:
    """Neither of the cloud that publishes it, nor of the one that reads it."""
    machine, ours = ready.boot(ready.b, ready.web[ready.b]), ready.boot(ready.a, ready.web[ready.a])
    second = ready.group(ready.a, "web")
    ready.settle()
    assert ready.names_at(ready.a, machine) == []
    assert ready.names_at(ready.b, ours) == []
    ready.a.neutron.security_groups[second.id] = replace(second, name="other")
    ready.settle()
    assert ready.names_at(ready.a, machine) == ready.names_at(ready.b, ours) == ["web"]


def test_groups_of_other_projects_are_of_no_interest(ready: Groups) -> None:
    foreign = ready.b.neutron.create_group("another-project", "web")
    machine = ready.boot(ready.b, foreign)
    assert ready.names_at(ready.a, machine) == []
    ready.a.neutron.create_group("another-project", "web")
    member = ready.boot(ready.b, ready.web[ready.b])
    assert ready.remote(ready.a, member).groups == (ready.web[ready.a].id,)


def test_name_that_cannot_be_published_is_ignored(ready: Groups) -> None:
    odd = ["", "x" * 65, "we\u202eb", "we\tb"]
    machine = ready.boot(ready.b, *(ready.group(ready.b, name) for name in odd), ready.web[ready.b])
    for name in odd:
        ready.group(ready.a, name)
    ready.settle()
    assert ready.names_at(ready.a, machine) == ["web"]
    assert ready.published() == {"web"}


def test_names_are_compared_exactly(ready: Groups) -> None:
    machine = ready.boot(ready.b, ready.group(ready.b, "Web"), ready.group(ready.b, "web "))
    assert ready.names_at(ready.a, machine) == []


def test_more_groups_than_can_be_published(ready: Groups) -> None:
    made = [ready.group(ready.b, f"g{number}") for number in range(10)]
    for number in range(10):
        ready.group(ready.a, f"g{number}")
    machine = ready.boot(ready.b, *made)
    assert sorted(ready.names_at(ready.a, machine)) == [f"g{number}" for number in range(8)]


def test_stateful_groups_win_over_stateless_ones(ready: Groups) -> None:
    """Neutron refuses both on one port."""
    machine = ready.boot(ready.b, ready.web[ready.b], ready.group(ready.b, "fast"))
    ready.group(ready.a, "fast", stateful=False)
    ready.settle()
    assert ready.names_at(ready.a, machine) == ["web"]


def test_peer_speaks_for_its_own_addresses_alone(ready: Groups) -> None:
    """Neither for addresses that others have nor for those that its machines may use besides their own."""
    machine, other = ready.boot(ready.b, ready.web[ready.b]), ready.boot(ready.a)
    first, _, last = machine.addresses[0].rpartition(".")
    pair = f"{first}.{int(last) + 3}"
    ready.b.neutron.ports[machine.id] = replace(
        ready.b.neutron.ports[machine.id], addresses=(*machine.addresses, *other.addresses), allowed_addresses=(pair,)
    )
    ready.settle()
    members = [port for port in ready.a.neutron.ports.values() if port.groups]
    assert [port.addresses for port in members] == [machine.addresses]
    assert [port.allowed_addresses for port in members] == [()]


def test_membership_that_somebody_changes_is_set_back(ready: Groups) -> None:
    machine = ready.boot(ready.b, ready.web[ready.b])
    for groups in ([], [ready.web[ready.a].id, ready.default[ready.a].id]):
        ready.a.neutron.set_remote_port_groups(ready.remote(ready.a, machine).id, groups)
        ready.settle()
        assert ready.names_at(ready.a, machine) == ["web"]


def test_settled_clouds_write_nothing(ready: Groups) -> None:
    for cloud in ready.federation.clouds:
        ready.boot(cloud, ready.web[cloud])
    before = ready.federation.writes()
    for cloud in ready.federation.clouds:
        assert [cloud.cycle(resync=resync).actions for resync in (True, False)] == [0, 0]
    assert ready.federation.writes() == before


def test_change_of_groups_is_noticed_within_seconds_and_costs_little(ready: Groups) -> None:
    """No summary of the network shows it: a short list every four seconds does."""
    machine = ready.boot(ready.b, ready.web[ready.b])
    follow(ready, seconds=6)
    quiet = ready.b.neutron.requests
    follow(ready, seconds=4)
    assert ready.b.neutron.requests - quiet <= 3, "a summary, ports, groups"
    ready.b.neutron.join(machine.id)
    follow(ready, seconds=6)
    assert ready.names_at(ready.a, machine) == []
    ready.a.neutron.security_groups.pop(ready.web[ready.a].id)
    made = ready.group(ready.a, "web")
    ready.b.neutron.join(machine.id, ready.web[ready.b])
    follow(ready, seconds=6)
    assert ready.remote(ready.a, machine).groups == (made.id,)


def follow(ready: Groups, *, seconds: int) -> None:
    """Let time pass without a resync; the reader of B goes first."""
    for _ in range(seconds):
        ready.federation.clock.move(1)
        for cloud in reversed(ready.federation.clouds):
            cloud.controller.engine.follow_openstack()
            cloud.cycle(resync=False)


def test_without_remote_ports_nobody_is_admitted_and_the_tenant_learns_why(ready: Groups) -> None:
    machine = ready.boot(ready.b, ready.web[ready.b])
    for cloud in ready.federation.clouds:
        cloud.settings = cloud.settings.model_copy(update={"remote_ports_per_network": 0})
        cloud.restart()
    ready.settle()
    assert machine.mac not in {port.mac for port in ready.a.neutron.ports.values()}
    assert reason(ready.a.expansion(), "GroupsIgnored") == "RemotePortsOff"
    for cloud in ready.federation.clouds:
        (attachment,) = cloud.attachments()
        assert reason(attachment, "GroupsIgnored") == "RemotePortsOff"
    ready.choose("Separate")
    assert reason(ready.a.expansion(), "GroupsIgnored") is None


def test_older_peer_neither_gets_nor_sends_names(ready: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, ours = ready.boot(ready.b, ready.web[ready.b]), ready.boot(ready.a, ready.web[ready.a])
    assert ready.names_at(ready.a, machine) == ready.names_at(ready.b, ours) == ["web"]
    assert reason(ready.a.expansion(), "GroupsIgnored") is None
    monkeypatch.setattr("isthmus.core.federation.peer.PROTOCOL_VERSIONS", (1, 2))
    ready.settle()
    assert ready.published() == set()
    remote = [p for p in ready.a.neutron.ports.values() if p.device_owner == names.REMOTE_DEVICE_OWNER]
    assert not any(port.groups for port in remote)
    offers = [link.spec.offer for link in ready.a.links()]
    assert [offer.group_matching for offer in offers if offer is not None] == [None]
    assert reason(ready.a.expansion(), "GroupsIgnored") == "PeerTooOld"


def test_nothing_more_is_asked_of_clouds_with_separate_groups() -> None:
    ready = Groups("Separate")
    ready.boot(ready.a, ready.web[ready.a])
    follow(ready, seconds=6)
    quiet = ready.a.neutron.requests
    follow(ready, seconds=4)
    assert ready.a.neutron.requests - quiet <= 1, "a summary"


def test_groups_that_are_not_listed_hold_up_no_other_network(monkeypatch: pytest.MonkeyPatch) -> None:
    many = ManyFacts(100)
    many.run(60)
    matched = many.names[0]
    for place in ("groupfeed", "bulk", "facts"):
        monkeypatch.setattr(f"isthmus.controller.{place}.may_match_groups", lambda _snapshot, name: name == matched)
    asked = []

    def refused(*project_ids: str, with_rules: bool = False) -> list[SecurityGroup]:
        assert not (project_ids and with_rules)
        if project_ids:
            asked.append(project_ids)
            raise Forbidden("no")
        return []

    many.cloud.security_groups_of = refused  # type: ignore[method-assign]
    many.run(5)
    booted = [many.boot(name) for name in many.names[1:9]]
    changed, _ = many.run(70)
    assert {*many.names[1:9], matched} <= changed
    assert not many.cache.is_fresh(matched), "fetched when it is needed, which reports what is wrong"
    for name, port in zip(many.names[1:9], booted, strict=True):
        found = many.cache.cached(name)
        assert found is not None
        assert port in found.ports
    assert len(asked) <= 75 / 4 + 5


@pytest.mark.parametrize(("ports", "seconds"), [(0, 4.0), (1000, 4.0), (2500, 10.0)])
def test_pace_follows_the_number_of_ports(monkeypatch: pytest.MonkeyPatch, ports: int, seconds: float) -> None:
    class ManyPorts(FakeNetworkCloud):
        def port_groups_of(self, *network_ids: str) -> Mapping[str, frozenset[tuple[str, tuple[str, ...]]]]:
            return {network_ids[0]: frozenset((str(number), ()) for number in range(ports))}

    monkeypatch.setattr("isthmus.controller.groupfeed.may_match_groups", lambda _snapshot, name: name == "matched")
    feed, networks = GroupFeed(ManyPorts()), {name: Network(name, name, "p", 1450) for name in ("matched", "separate")}
    snapshot = FakeFederation().clouds[0].controller.engine.state.snapshot()
    assert feed.changed(snapshot, networks) == {"matched"}, "seen for the first time"
    assert feed.changed(snapshot, networks) == set()
    assert feed.pause_seconds == seconds


def test_everything_goes_with_the_expansion(ready: Groups) -> None:
    for cloud in ready.federation.clouds:
        machine = ready.boot(cloud, ready.web[cloud])
        cloud.neutron.delete_port(machine.id)
    del ready.b.neutron.security_groups[ready.web[ready.b].id]  # its user's, for which the project would be kept
    ready.a.kubectl.delete(NetworkExpansion, "web", "shop")
    ready.settle()
    assert [cloud.neutron.contents() for cloud in ready.federation.clouds] == ready.untouched
