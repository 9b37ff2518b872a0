"""A port of ours stands for each machine of other members: Neutron assigns neither its address nor its MAC again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from isthmus.core.network.attachment import published_ports
from isthmus.core.network.conflicts import conflicts
from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta, condition_of
from isthmus.model.api.v1alpha1.expansionlink import PublishedPort
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion, Topology
from isthmus.model.api.v1alpha1.portslice import PortSlice
from isthmus.model.errors import Conflict
from isthmus.model.facts.openstack import NetworkFacts, NetworkQuota, Port, RequestedPort
from isthmus.ports.openstack import SPARE_PORTS
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Scenario
from tests.unit.test_members import set_topology

LIMIT = 1000


class Members(Scenario):
    """A network of A that is stretched to B and C; all have remote ports."""

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__()
        for cloud in self.federation.clouds:
            allow(cloud, limit)
        self.a.expand(self.network.id, "cloud-b", "cloud-c")
        self.settle()
        assert reason(self.a.expansion()) == "Ready"

    def network_at(self, cloud: FakeCloud) -> str:
        """ID of the network, or of its replica."""
        return self.network.id if cloud is self.a else next(iter(cloud.neutron.networks))

    def boot(self, cloud: FakeCloud) -> Port:
        """Create a tenant's machine, and let all clouds learn of it."""
        port = cloud.neutron.boot(self.network_at(cloud), "tenant")
        self.settle()
        return port


def allow(cloud: FakeCloud, limit: int) -> None:
    """Restart the controller with this setting."""
    cloud.settings = cloud.settings.model_copy(update={"remote_ports_per_network": limit})
    cloud.restart()


def remote(cloud: FakeCloud) -> dict[str, tuple[str, ...]]:
    """Addresses of the remote ports by MAC address."""
    return {p.mac: p.addresses for p in cloud.neutron.ports.values() if p.device_owner == names.REMOTE_DEVICE_OWNER}


def machines(cloud: FakeCloud) -> dict[str, tuple[str, ...]]:
    """Addresses of all other ports by MAC address, but ours."""
    found = [p for p in cloud.neutron.ports.values() if not p.device_owner.startswith("isthmus:")]
    return {port.mac: port.addresses for port in found}


def lacking(cloud: FakeCloud) -> tuple[str, str] | None:
    """Reason and message of RemotePortsIncomplete on the Attachment."""
    (attachment,) = cloud.attachments()
    found = condition_of(attachment.status.conditions, "RemotePortsIncomplete")
    return (found.reason, found.message) if found is not None else None


@pytest.fixture
def ready() -> Members:
    return Members()


def test_every_member_has_a_port_for_each_machine_of_the_others(ready: Members) -> None:
    for cloud in ready.federation.clouds:
        ready.boot(cloud)
    everywhere = {mac: found for cloud in ready.federation.clouds for mac, found in machines(cloud).items()}
    for cloud in ready.federation.clouds:
        assert remote(cloud) == {mac: found for mac, found in everywhere.items() if mac not in machines(cloud)}
        assert lacking(cloud) is None
    expected = {
        "cloud-a": {"cloud-b", "cloud-c"},
        "cloud-b": {"cloud-a", "cloud-a/3"},
        "cloud-c": {"cloud-a", "cloud-a/2"},
    }
    for cloud in ready.federation.clouds:
        ports = [p for p in cloud.neutron.ports.values() if p.device_owner == names.REMOTE_DEVICE_OWNER]
        assert {p.name for p in ports} == {f"isthmus-remote-{member}" for member in expected[cloud.cloud_id]}
        assert {(p.project_id, p.host, p.port_security_enabled) for p in ports} == {
            (cloud.neutron.own_project_id(), "", False)
        }


def test_neutron_refuses_what_a_remote_machine_has(ready: Members) -> None:
    machine = ready.boot(ready.c)
    for cloud in (ready.a, ready.b):
        with pytest.raises(Conflict):
            cloud.neutron.boot(ready.network_at(cloud), "tenant", machine.addresses[0])
        subnet = next(iter(cloud.neutron.subnets))
        with pytest.raises(Conflict):
            cloud.neutron.create_remote_ports(
                ready.network_at(cloud), [RequestedPort("", machine.mac, ((subnet, "10.20.0.99"),))], ""
            )


def test_port_goes_with_its_machine(ready: Members) -> None:
    machine = ready.boot(ready.b)
    assert machine.mac in remote(ready.a)
    assert machine.mac in remote(ready.c)
    ready.b.neutron.delete_port(machine.id)
    ready.settle()
    assert machine.mac not in {**remote(ready.a), **remote(ready.c)}


def test_machine_with_another_address_has_another_port(ready: Members) -> None:
    machine = ready.boot(ready.b)
    first, _, last = machine.addresses[0].rpartition(".")
    moved = (f"{first}.{int(last) + 3}",)
    ready.b.neutron.ports[machine.id] = replace(machine, addresses=moved)
    ready.settle()
    assert remote(ready.a)[machine.mac] == remote(ready.c)[machine.mac] == moved


@pytest.mark.parametrize("mode", ["slaac", "dhcpv6-stateful", None])
def test_ports_have_the_ipv6_addresses_of_machines(ready: Members, mode: str | None) -> None:
    """Those of slices are asked for; those that are formed from the MAC address Neutron gives by itself."""
    where = ready.network.id, ready.project, "web-v6", "fd00:20::/64", "fd00:20::1"
    ready.a.neutron.create_subnet(*where, [], True, [], [], "", mode)
    ready.settle()
    booted = [ready.boot(cloud) for cloud in ready.federation.clouds]
    for cloud in ready.federation.clouds:
        others = {port.mac: {*port.addresses} for port in booted if port.mac not in machines(cloud)}
        assert {mac: {*found} for mac, found in remote(cloud).items() if mac in others} == others
        assert all(len(found) == 2 for found in others.values())
        assert lacking(cloud) is None
    before = [sorted(cloud.neutron.ports) for cloud in ready.federation.clouds]
    ready.settle()
    assert [sorted(cloud.neutron.ports) for cloud in ready.federation.clouds] == before


def test_nothing_is_published_of_remote_ports(ready: Members) -> None:
    machine = ready.boot(ready.b)
    for cloud in ready.federation.clouds:
        of_others = [p for s in cloud.kubectl.list_objects(PortSlice) for p in s.spec.ports if p.mac == machine.mac]
        assert {(port.id, port.member) for port in of_others} <= {(machine.id, None), (machine.id, 2)}
        (attachment,) = cloud.attachments()
        assert reason(attachment, "AddressConflict") == "NoConflict"


def test_addresses_of_address_pairs_are_not_reserved(ready: Members) -> None:
    """Several machines may use them."""
    machine = ready.boot(ready.b)
    first, _, last = machine.addresses[0].rpartition(".")
    shared = f"{first}.{int(last) + 3}"
    ready.b.neutron.ports[machine.id] = replace(machine, allowed_addresses=(shared, *machine.addresses))
    ready.settle()
    assert remote(ready.a)[machine.mac] == remote(ready.c)[machine.mac] == machine.addresses
    (published,) = [p for s in ready.b.kubectl.list_objects(PortSlice) for p in s.spec.ports if p.id == machine.id]
    assert (published.addresses, published.pair_addresses) == ((*machine.addresses, shared), (shared,))


def test_nothing_is_deleted_while_a_peer_is_silent(ready: Members) -> None:
    machine = ready.boot(ready.b)
    before = remote(ready.a), remote(ready.b), remote(ready.c)
    ready.a.peers.unreachable = ready.c.peers.unreachable = True
    ready.b.neutron.delete_port(machine.id)
    ready.settle()
    for cloud in (ready.a, ready.c):
        cloud.restart()
        cloud.peers.not_read_yet = True
    ready.settle()
    assert (remote(ready.a), remote(ready.b), remote(ready.c)) == before
    for cloud in (ready.a, ready.c):
        cloud.peers.unreachable = cloud.peers.not_read_yet = False
    ready.settle()
    assert machine.mac not in {**remote(ready.a), **remote(ready.c)}


def test_origin_that_has_not_read_one_peer_tells_the_others_nothing_new(ready: Members) -> None:
    machine = ready.boot(ready.c)
    ready.a.restart()
    ready.a.peers.not_read_yet = True
    ready.boot(ready.a)
    assert machine.mac in remote(ready.b)


@pytest.mark.parametrize("topology", ["Decentralized", "Centralized"])
def test_nothing_is_told_of_a_member_that_cannot_be_reached(ready: Members, topology: Topology) -> None:
    """B is kept back from C by A's administrator: only a path through A leads to its machines."""
    machine = ready.boot(ready.b)
    ready.a.kubectl.apply(ready.a.cloud_peer(ready.b, agreement={"disclose": False}))
    set_topology(ready, topology)
    ready.settle()
    assert (machine.mac in remote(ready.c)) == (topology == "Centralized")
    published = [port.mac for slice_ in ready.a.kubectl.list_objects(PortSlice) for port in slice_.spec.ports]
    assert (machine.mac in published) == (topology == "Centralized")


def test_only_so_many_addresses_of_a_machine_count(ready: Members) -> None:
    """Neutron refuses a port with more, and with it all others of one request."""
    machine, other = ready.boot(ready.b), ready.boot(ready.b)
    first, _, last = machine.addresses[0].rpartition(".")
    many = tuple(f"{first}.{int(last) + number}" for number in (0, *range(10, 15)))
    ready.b.neutron.ports[machine.id] = replace(machine, addresses=many)
    ready.settle()
    for cloud in (ready.a, ready.c):
        assert len(remote(cloud)[machine.mac]) == 5
        assert other.mac in remote(cloud)
    assert lacking(ready.a) == ("TooManyAddresses", f"only 5 addresses count of port {machine.id} of cloud-b")


def test_pools_are_restored_before_the_ports_go(ready: Members) -> None:
    """The tenant need not wait for each of a thousand ports."""
    ready.boot(ready.b)
    pools = {subnet.id: subnet.pools for subnet in ready.a.neutron.subnets.values()}
    done: list[str] = []
    delete, update = ready.a.neutron.delete_port, ready.a.neutron.update_subnet

    def delete_port(port_id: str) -> None:
        if ready.a.neutron.ports[port_id].device_owner == names.REMOTE_DEVICE_OWNER:
            done.append("port")
        delete(port_id)

    def update_subnet(subnet_id: str, **values: Any) -> None:
        done.append("pools")
        update(subnet_id, **values)

    ready.a.neutron.delete_port = delete_port  # type: ignore[method-assign]
    ready.a.neutron.update_subnet = update_subnet  # type: ignore[method-assign]
    ready.a.kubectl.delete(NetworkExpansion, "web", "shop")
    ready.settle()
    assert {subnet.id: subnet.pools for subnet in ready.a.neutron.subnets.values()} != pools
    assert done[0] == "pools"
    assert "port" in done


def test_everything_goes_with_the_expansion(ready: Members) -> None:
    for cloud in ready.federation.clouds:
        machine = ready.boot(cloud)
        cloud.neutron.delete_port(machine.id)
    stays = ready.boot(ready.b)
    ready.a.kubectl.delete(NetworkExpansion, "web", "shop")
    ready.settle()
    assert remote(ready.a) == remote(ready.b) == {}
    assert ready.c.neutron.networks == {}
    ready.b.neutron.delete_port(stays.id)
    ready.settle()
    assert ready.nothing_made()


def test_ports_for_one_peer_go_with_it(ready: Members) -> None:
    at_b, at_c = ready.boot(ready.b), ready.boot(ready.c)
    expansion = ready.a.expansion()
    assert expansion is not None
    spec = expansion.spec.model_copy(update={"peers": expansion.spec.peers[:1]})
    ready.a.kubectl.apply(NetworkExpansion(metadata=ObjectMeta(name="web", namespace="shop"), spec=spec))
    ready.settle()
    assert at_b.mac in remote(ready.a)
    assert at_c.mac not in {**remote(ready.a), **remote(ready.b)}


def test_switched_off_all_go(ready: Members) -> None:
    ready.boot(ready.b)
    allow(ready.a, 0)
    ready.settle()
    assert remote(ready.a) == {}
    assert remote(ready.c)
    assert lacking(ready.a) is None


def test_without_the_setting_there_are_none() -> None:
    ready = Members(limit=0)
    ready.boot(ready.b)
    assert [remote(cloud) for cloud in ready.federation.clouds] == [{}, {}, {}]


def test_more_machines_than_allowed_are_reported() -> None:
    ready = Members(limit=3)
    for _ in range(3):
        ready.boot(ready.b)
    assert len(remote(ready.a)) == len(remote(ready.c)) == 3
    assert lacking(ready.a) == (
        "TooManyRemotePorts",
        "2 machines of other clouds have no port here: remote_ports_per_network is 3",
    )
    assert set(remote(ready.a).values()) >= set(machines(ready.c).values()), "each member has its share"
    expansion = ready.a.expansion()
    assert reason(expansion, "RemotePortsIncomplete") == "TooManyRemotePorts"
    assert reason(expansion) == "Ready"


@pytest.mark.parametrize("topology", ["Centralized", "Hybrid"])
def test_machines_that_the_other_peers_do_not_learn_of_are_counted(
    ready: Members, monkeypatch: pytest.MonkeyPatch, topology: Topology
) -> None:
    monkeypatch.setattr("isthmus.core.network.origin.remote_ports._PORTS_OF_ONE_MEMBER", 3)  # one is Neutron's DHCP
    set_topology(ready, topology)
    found = [ready.boot(ready.b) for _ in range(2)]
    assert lacking(ready.a) is None
    found += [ready.boot(ready.b) for _ in range(3)]
    assert remote(ready.a).items() >= machines(ready.b).items()
    assert len(remote(ready.c).keys() & machines(ready.b).keys()) == 3
    assert lacking(ready.a) == (
        "PortsNotPassedOn",
        "the other peers learn of 3 machines of each peer, and not of 3 of cloud-b: these have no port at the other "
        "peers, where rules with a remote group do not admit them",
    )
    expansion = ready.a.expansion()
    assert (reason(expansion, "RemotePortsIncomplete"), reason(expansion)) == ("PortsNotPassedOn", "Ready")
    for port in found[2:]:
        ready.b.neutron.delete_port(port.id)
    ready.settle()
    assert lacking(ready.a) is None


def test_a_single_peer_has_nobody_to_be_told_of(ready: Members, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.core.network.origin.remote_ports._PORTS_OF_ONE_MEMBER", 2)
    expansion = ready.a.expansion()
    assert expansion is not None
    spec = expansion.spec.model_copy(update={"peers": expansion.spec.peers[:1]})
    ready.a.kubectl.apply(NetworkExpansion(metadata=ObjectMeta(name="web", namespace="shop"), spec=spec))
    for _ in range(3):
        ready.boot(ready.b)
    assert len(remote(ready.a)) == len(machines(ready.b)) == 4
    assert lacking(ready.a) is None


@pytest.mark.parametrize("same", ["address", "MAC address"])
def test_conflict_is_named_with_both_ports(ready: Members, same: str) -> None:
    machine = ready.boot(ready.b)
    rival = ready.a.neutron.boot(ready.network.id, "tenant")
    (ours,) = [p for p in ready.a.neutron.ports.values() if p.mac == machine.mac]
    del ready.a.neutron.ports[ours.id]
    changes = {"addresses": machine.addresses} if same == "address" else {"mac": machine.mac}
    ready.a.neutron.ports[rival.id] = replace(rival, **changes)
    ready.settle()
    value = machine.addresses[0] if same == "address" else machine.mac
    expected = f"port {machine.id} of cloud-b has the {same} {value} of port {rival.id} of this cloud"
    assert lacking(ready.a) == ("PortsCollide", expected)
    assert reason(ready.a.expansion()) == "Ready"
    ready.a.neutron.delete_port(rival.id)
    ready.settle()
    assert lacking(ready.a) is None
    assert machine.mac in remote(ready.a)


def test_quota_keeps_ports_for_attachments(ready: Members) -> None:
    own = ready.a.neutron.own_project_id()
    held = sum(port.project_id == own for port in ready.a.neutron.ports.values())
    ready.a.neutron.quotas[own] = NetworkQuota(10, 10, held + SPARE_PORTS)
    machine = ready.boot(ready.b)
    assert machine.mac not in remote(ready.a)
    (attachment,) = ready.a.attachments()
    assert reason(attachment, "Degraded") == "QuotaExceeded"
    assert reason(ready.a.expansion()) == "Ready"
    del ready.a.neutron.quotas[own]
    ready.settle()
    assert machine.mac in remote(ready.a)
    assert reason(ready.a.attachments()[0], "Degraded") == "AsExpected"


def test_peer_reserves_nothing_that_others_have_and_that_no_machine_can_have(ready: Members) -> None:
    """A hostile peer publishes machines of others, and a group address."""
    machine = ready.boot(ready.b)
    own = ready.boot(ready.c).addresses[0].rpartition(".")
    hostile = [
        ("10.20.0.9", machine.mac),
        ("192.0.2.1", "fa:16:3e:00:00:77"),
        (f"{own[0]}.{int(own[2]) + 3}", "01:00:5e:00:00:01"),
        (f"{own[0]}.{int(own[2]) + 4}", machine.mac),
    ]
    for number, (address, mac) in enumerate(hostile):
        port = replace(machine, id=f"00000000-0000-0000-0000-{number:012}", addresses=(address,), mac=mac)
        ready.c.neutron.ports[port.id] = replace(port, network_id=ready.network_at(ready.c))
    ready.settle()
    for cloud in (ready.a, ready.b):
        assert not {"10.20.0.9", "192.0.2.1"} & {a for found in remote(cloud).values() for a in found}
        assert "01:00:5e:00:00:01" not in remote(cloud)
    assert remote(ready.a)[machine.mac] == machine.addresses
    rivals = ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000003")
    has = f"of cloud-c has the MAC address {machine.mac} of port {machine.id} of cloud-b"
    assert lacking(ready.a) == ("PortsCollide", "; ".join(f"port {rival} {has}" for rival in rivals))


def test_remote_ports_are_not_taken_for_machines(ready: Members) -> None:
    machine = ready.boot(ready.b)
    ports = tuple(ready.a.neutron.ports.values())
    facts = NetworkFacts(ready.a.neutron.own_project_id(), ready.network, ports=ports)
    assert machine.mac in {port.mac for port in ports}
    published = published_ports(facts)
    assert machine.mac not in {port.mac for port in published}
    offer = next(link.spec.offer for link in ready.a.links() if link.spec.peer_cloud_id == "cloud-b")
    assert offer is not None
    theirs = [PublishedPort(id=machine.id, mac=machine.mac, addresses=machine.addresses)]
    assert conflicts(offer, published, tuple(theirs), "cloud-b", at_origin=True) == ()
