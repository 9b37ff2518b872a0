"""What somebody changes of what Isthmus made or changed in Neutron: repaired at once, and never fought over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from isthmus.core.network.drift import MAX_REPAIRS, PAUSE_SECONDS, WINDOW_SECONDS
from isthmus.model import names
from isthmus.model.api.objects import condition_of
from isthmus.model.facts.openstack import Network, NetworkQuota, Range, Subnet
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Scenario, Stretched

Change = Callable[["Stretched"], None]


@pytest.fixture
def stretched() -> Stretched:
    """Stretched long ago: its creation does not count."""
    stretched = Stretched()
    stretched.federation.clock.move(WINDOW_SECONDS)
    return stretched


def network_of(cloud: FakeCloud) -> Network:
    (network,) = cloud.neutron.networks.values()
    return network


def subnet_of(cloud: FakeCloud) -> Subnet:
    (subnet,) = cloud.neutron.subnets.values()
    return subnet


def change_network(cloud: FakeCloud, **fields: object) -> None:
    network = network_of(cloud)
    cloud.neutron.networks[network.id] = replace(network, **fields)  # type: ignore[arg-type]


def change_subnet(cloud: FakeCloud, **fields: object) -> None:
    subnet = subnet_of(cloud)
    cloud.neutron.subnets[subnet.id] = replace(subnet, **fields)  # type: ignore[arg-type]


def delete_attachment_port(stretched: Stretched) -> None:
    for port_id in stretched.attachment_ports(stretched.b):
        stretched.b.neutron.delete_port(port_id)


def change_ports(cloud: FakeCloud, device_owner: str, **fields: object) -> None:
    for port in list(cloud.neutron.ports.values()):
        if port.device_owner == device_owner:
            cloud.neutron.ports[port.id] = replace(port, **fields)  # type: ignore[arg-type]


def delete_subnet(stretched: Stretched) -> None:
    b = stretched.b
    for port in list(b.neutron.ports.values()):
        if port.device_owner == names.GATEWAY_DEVICE_OWNER:
            b.neutron.delete_port(port.id)
    b.neutron.delete_subnet(subnet_of(b).id)


def change_quotas(stretched: Stretched) -> None:
    stretched.b.neutron.quotas[network_of(stretched.b).project_id] = NetworkQuota(1, 1, 1)


def offered_by(cloud: FakeCloud) -> set[str | None]:
    """The first addresses of the slices that are published."""
    offers = (link.spec.offer for link in cloud.links())
    return {subnet.first for offer in offers if offer is not None for subnet in offer.subnets}


WHOLE = (Range("10.20.0.2", "10.20.0.254"),)
CHANGES: dict[str, tuple[str, Change]] = {
    "mtu": ("mtu", lambda s: change_network(s.b, mtu=1300)),
    "mtu at the origin": ("mtu", lambda s: change_network(s.a, mtu=1450)),
    "tags": ("tags", lambda s: change_network(s.b, tags=frozenset())),
    "quotas": ("quotas", change_quotas),
    "pools": ("allocation_pools", lambda s: change_subnet(s.b, pools=WHOLE)),
    "pools at the origin": ("allocation_pools", lambda s: change_subnet(s.a, pools=WHOLE)),
    "dhcp": ("enable_dhcp", lambda s: change_subnet(s.b, enable_dhcp=False)),
    "gateway": ("gateway_ip", lambda s: change_subnet(s.b, gateway_ip=None)),
    "name servers": ("dns_nameservers", lambda s: change_subnet(s.b, dns_nameservers=("10.20.0.53",))),
    "host routes": ("host_routes", lambda s: change_subnet(s.b, host_routes=(("192.0.2.0/24", "10.20.0.9"),))),
    "subnet": ("(deleted)", delete_subnet),
    "attachment port": ("(deleted)", delete_attachment_port),
    "description": ("description", lambda s: change_ports(s.b, names.ATTACHMENT_DEVICE_OWNER, description="ours")),
}


def state(stretched: Stretched) -> list[object]:
    """What matters of both clouds: without IDs, which differ for what is made again."""
    found: list[object] = []
    for cloud in (stretched.a, stretched.b):
        found += [(n.mtu, n.tags) for n in cloud.neutron.networks.values()]
        found += [replace(s, id="", revision=None) for s in cloud.neutron.subnets.values()]
        ports = [cloud.neutron.ports[port_id] for port_id in stretched.attachment_ports(cloud)]
        found += [[port.description for port in ports], *cloud.neutron.quotas.values()]
    return found


def contested(stretched: Stretched) -> list[str]:
    """What is reported as contested in either cloud."""
    conditions = [condition_of(c.attachments()[0].status.conditions, "Degraded") for c in stretched.federation.clouds]
    return [c.message for c in conditions if c is not None and c.reason == "DriftContested"]


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_repaired_at_once_but_not_for_ever(stretched: Stretched, what: str) -> None:
    field, change = CHANGES[what]
    before = state(stretched)
    for _ in range(MAX_REPAIRS):
        change(stretched)
        assert state(stretched) != before
        stretched.federation.settle()
        assert state(stretched) == before
        assert not contested(stretched)
    change(stretched)
    stretched.federation.settle()
    left = state(stretched)
    assert left != before
    (message,) = contested(stretched)
    assert field in message
    stretched.federation.clock.move(PAUSE_SECONDS - 1)
    stretched.federation.settle()
    assert state(stretched) == left
    stretched.federation.clock.move(1)
    stretched.federation.settle()
    assert state(stretched) == before
    assert not contested(stretched)


def keep_changing(stretched: Stretched, change: Change) -> None:
    """Until it is left so."""
    for _ in range(MAX_REPAIRS + 1):
        change(stretched)
        stretched.federation.settle()
    assert contested(stretched)


def test_what_is_of_a_project_is_repaired_three_times_for_all_its_networks() -> None:
    """As if it had one network."""
    two = Scenario()
    b, others = two.b, two.second_network("10.30.0.0/24")
    for name, network_id in (("web", two.network.id), ("db", others)):
        two.a.expand(network_id, "cloud-b", name=name)
    two.settle()
    two.federation.clock.move(WINDOW_SECONDS)
    (project_id,) = {network.project_id for network in b.neutron.networks.values()}
    agreed = b.neutron.quotas[project_id]
    for number in range(2 * MAX_REPAIRS):
        b.neutron.quotas[project_id] = NetworkQuota(1, 1, 1)
        two.settle()
        assert (b.neutron.quotas[project_id] == agreed) == (number < MAX_REPAIRS)
    assert {reason(attachment, "Degraded") for attachment in b.attachments()} == {"DriftContested"}
    two.federation.clock.move(PAUSE_SECONDS)
    two.settle()
    assert b.neutron.quotas[project_id] == agreed
    assert {reason(attachment, "Degraded") for attachment in b.attachments()} == {"AsExpected"}


def test_whoever_gives_in_ends_the_report(stretched: Stretched) -> None:
    before = network_of(stretched.b)
    keep_changing(stretched, CHANGES["mtu"][1])
    assert reason(stretched.b.attachments()[0]) == "DriftContested"
    change_network(stretched.b, mtu=before.mtu)
    stretched.federation.settle()
    assert not contested(stretched)
    assert reason(stretched.b.attachments()[0]) == "Ready"


def test_tenant_reads_what_is_contested_and_goes_on(stretched: Stretched) -> None:
    """What does not stop the traffic leaves the network ready."""
    a = stretched.a
    keep_changing(stretched, CHANGES["pools at the origin"][1])
    assert reason(a.expansion()) == "Ready"
    assert reason(a.expansion(), "Degraded") == "DriftContested"
    expansion = a.expansion()
    assert expansion is not None
    degraded = condition_of(expansion.status.conditions, "Degraded")
    assert degraded is not None
    assert subnet_of(a).id in degraded.message


def test_peer_reads_no_details(stretched: Stretched) -> None:
    keep_changing(stretched, CHANGES["attachment port"][1])
    (link,) = stretched.b.links()
    assert reason(link) == "DriftContested"
    assert network_of(stretched.b).id not in str(link.to_wire()["status"]["conditions"])


def test_one_contested_field_does_not_keep_others_from_being_repaired(stretched: Stretched) -> None:
    before = subnet_of(stretched.b)
    keep_changing(stretched, CHANGES["host routes"][1])
    left = subnet_of(stretched.b).host_routes
    change_subnet(stretched.b, enable_dhcp=False, pools=WHOLE)
    stretched.federation.settle()
    assert subnet_of(stretched.b) == replace(before, host_routes=left, id=subnet_of(stretched.b).id)


def test_what_is_contested_does_not_delay_what_is_wanted_now(stretched: Stretched) -> None:
    """Another value is written at once, and a withdrawal restores what was there."""
    keep_changing(stretched, CHANGES["host routes"][1])
    routes = (("198.51.100.0/24", "10.20.0.8"),)
    change_subnet(stretched.a, host_routes=routes)
    stretched.federation.settle()
    assert subnet_of(stretched.b).host_routes == routes
    assert not contested(stretched)
    keep_changing(stretched, CHANGES["pools at the origin"][1])
    keep_changing(stretched, CHANGES["mtu at the origin"][1])
    stretched.withdraw()
    stretched.federation.settle()
    assert subnet_of(stretched.a).pools == stretched.subnet.pools
    assert network_of(stretched.a).mtu == stretched.network.mtu
    assert not stretched.b.neutron.networks


def test_slice_that_somebody_keeps_in_the_pools_is_not_published(stretched: Stretched) -> None:
    """Neutron here could assign its addresses a moment before the peer does."""
    a = stretched.a
    published = offered_by(a)
    second = a.neutron.create_subnet(
        stretched.network.id, stretched.project, "more", "10.30.0.0/24", None, [], True, [], [], ""
    )
    update = a.neutron.update_subnet

    def undone(subnet_id: str, **fields: object) -> None:
        update(subnet_id, **fields)  # type: ignore[arg-type]
        if subnet_id == second.id:
            a.neutron.subnets[subnet_id] = replace(a.neutron.subnets[subnet_id], pools=second.pools)

    a.neutron.update_subnet = undone  # type: ignore[method-assign]
    stretched.federation.settle()
    assert any(second.id in text for text in contested(stretched))
    assert offered_by(a) == published
    a.neutron.update_subnet = update  # type: ignore[method-assign]
    stretched.federation.clock.move(PAUSE_SECONDS)
    stretched.federation.settle()
    assert published < offered_by(a)


@pytest.mark.parametrize("change", [{"port_security_enabled": True}, {"admin_state_up": False}], ids=str)
def test_attachment_port_is_always_restored(stretched: Stretched, change: dict[str, bool]) -> None:
    ports = stretched.b.neutron.ports
    (port_id,) = stretched.attachment_ports(stretched.b)
    before = ports[port_id]
    for _ in range(2 * MAX_REPAIRS):
        ports[port_id] = replace(before, **change)  # type: ignore[arg-type]
        stretched.federation.settle()
        assert ports[port_id] == before


def test_contested_description_changes_nothing_else(stretched: Stretched) -> None:
    """The port is ours all the same: it stays in use, is restored, and goes with the network."""
    keep_changing(stretched, CHANGES["description"][1])
    b = stretched.b
    assert reason(b.attachments()[0]) == "Ready"
    (port_id,) = stretched.attachment_ports(b)
    change_ports(b, names.ATTACHMENT_DEVICE_OWNER, admin_state_up=False)
    stretched.federation.settle()
    assert stretched.attachment_ports(b) == [port_id]
    assert b.neutron.ports[port_id].admin_state_up
    stretched.withdraw()
    stretched.federation.settle()
    assert not b.neutron.networks


def test_edited_reservation_of_a_gateway_still_reserves_it(stretched: Stretched) -> None:
    before = [port.id for port in stretched.b.neutron.ports.values()]
    change_ports(stretched.b, names.GATEWAY_DEVICE_OWNER, description="ours")
    stretched.federation.settle()
    assert [port.id for port in stretched.b.neutron.ports.values()] == before
    assert reason(stretched.a.expansion()) == "Ready"
    assert reason(stretched.b.attachments()[0], "Degraded") != "Conflict"
    stretched.withdraw()
    stretched.federation.settle()
    assert not stretched.b.neutron.ports


def test_reserved_gateway_is_always_reserved_again(stretched: Stretched) -> None:
    neutron = stretched.b.neutron
    for _ in range(2 * MAX_REPAIRS):
        (port,) = (p for p in neutron.ports.values() if p.device_owner == names.GATEWAY_DEVICE_OWNER)
        neutron.delete_port(port.id)
        stretched.federation.settle()
    assert [p.addresses for p in neutron.ports.values() if p.device_owner == names.GATEWAY_DEVICE_OWNER] == [
        port.addresses
    ]


def delete_gateway_port(stretched: Stretched) -> None:
    (port,) = (p for p in stretched.b.neutron.ports.values() if p.device_owner == names.GATEWAY_DEVICE_OWNER)
    stretched.b.neutron.delete_port(port.id)


def delete_replica(stretched: Stretched) -> None:
    for port_id in list(stretched.b.neutron.ports):
        stretched.b.neutron.delete_port(port_id)
    stretched.b.neutron.delete_network(network_of(stretched.b).id)


DELETIONS: dict[str, Change] = {
    "the attachment port of network": delete_attachment_port,
    "the port that reserves 10.20.0.1": delete_gateway_port,
    "subnet 10.20.0.0/24": delete_subnet,
    "replica network": delete_replica,
}


def repaired(cloud: FakeCloud) -> list[tuple[str, str]]:
    """Name of the object and message of each Event."""
    return [(name, message) for name, _, reason_, message in cloud.store.events if reason_ == "Repaired"]


@pytest.mark.parametrize("what", DELETIONS)
def test_each_repair_is_one_event(stretched: Stretched, what: str) -> None:
    (attachment,) = stretched.b.attachments()
    assert repaired(stretched.a) == repaired(stretched.b) == []
    for number in range(1, MAX_REPAIRS):
        DELETIONS[what](stretched)
        stretched.federation.settle()
        assert reason(stretched.b.attachments()[0]) == "Ready"
        found = repaired(stretched.b)
        assert [name for name, _ in found] == number * [attachment.metadata.name]
        assert found[-1][1].startswith(what)
    assert repaired(stretched.a) == []


def test_tenant_at_the_origin_is_told_of_a_repair(stretched: Stretched) -> None:
    for port_id in stretched.attachment_ports(stretched.a):
        stretched.a.neutron.delete_port(port_id)
    stretched.federation.settle()
    text = f"the attachment port of network {stretched.network.id} was deleted in Neutron, and has been made again"
    assert repaired(stretched.a) == [("web", text)]


def test_what_is_made_again_after_a_withdrawal_is_no_repair(stretched: Stretched) -> None:
    stretched.withdraw()
    stretched.federation.settle()
    stretched.a.expand(stretched.network.id, "cloud-b")
    stretched.federation.settle()
    assert reason(stretched.a.expansion()) == "Ready"
    assert repaired(stretched.a) == repaired(stretched.b) == []


def test_restart_begins_to_count_anew(stretched: Stretched) -> None:
    before = state(stretched)
    keep_changing(stretched, CHANGES["mtu"][1])
    stretched.b.restart()
    stretched.federation.settle()
    assert state(stretched) == before


def test_stretching_again_and_again_is_no_drift(stretched: Stretched) -> None:
    for _ in range(MAX_REPAIRS + 2):
        stretched.withdraw()
        stretched.federation.settle()
        stretched.a.expand(stretched.network.id, "cloud-b")
        stretched.federation.settle()
        assert reason(stretched.a.expansion()) == "Ready"
