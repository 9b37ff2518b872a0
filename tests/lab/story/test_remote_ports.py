"""A port of ours stands for each machine of the other cloud, at both: OVN's and Open vSwitch's."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address

import pytest
from openstack.exceptions import ConflictException

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, patch_spec
from tests.testbed.install.installation import SYSTEM
from tests.testbed.workload.machine import Machine
from tests.testbed.workload.tenant import Stretch, Tenant, reachable_stretch

CIDR = "10.28.0.0/24"
VIRTUAL = "10.28.0.100"  # of the origin's addresses, in the middle of its pool


@pytest.fixture(scope="module")
def stretch(peers: Federation) -> Iterator[Stretch]:
    """A stretched network with machines that reach each other; everything is removed and compared."""
    with ExitStack() as undo:
        undo.enter_context(peers.unchanged_inventory())
        for side in peers.both:
            undo.enter_context(side.controller_settings(remote_ports_per_network=1000))
        stretch = undo.enter_context(reachable_stretch(peers, "shadow", CIDR))
        yield stretch


def ends(stretch: Stretch) -> tuple[tuple[Tenant, Machine], tuple[Tenant, Machine]]:
    """Each tenant, with the machine of the other cloud."""
    return (stretch.tenant, stretch.remotes[0]), (stretch.remote, stretch.local)


def test_every_machine_has_a_port_in_the_other_cloud(stretch: Stretch) -> None:
    for tenant, machine in ends(stretch):
        wait_until(lambda: machine.mac_address in tenant.remote_ports(), 60, f"a port of {machine.name}")  # noqa: B023
        port = tenant.remote_ports()[machine.mac_address]
        assert [fixed["ip_address"] for fixed in port.fixed_ips] == [str(machine.address)]
        assert (port.binding_vnic_type, port.binding_host_id) == ("baremetal", "")
    assert stretch.wait_for_ping().all_answered, "traffic is as before"


def test_neutron_refuses_address_and_mac_of_a_remote_machine(stretch: Stretch) -> None:
    for tenant, machine in ends(stretch):
        network = tenant.cloud.openstack().network
        wanted = {"network_id": tenant.network_id, "project_id": tenant.project.id}
        with pytest.raises(ConflictException):
            network.create_port(**wanted, fixed_ips=[{"ip_address": str(machine.address)}])
        with pytest.raises(ConflictException):
            network.create_port(**wanted, mac_address=machine.mac_address)


def test_neighbours_are_the_machines_themselves(stretch: Stretch) -> None:
    """Neither back end answers for a remote port with another address, or swallows frames to it."""
    remote, local = stretch.remotes[0], stretch.local
    for source, target in ((local, remote), (remote, local)):
        wait_until(lambda: source.ping(str(target.address), count=3).all_answered, 30, "a reply")  # noqa: B023
        assert source.neighbours()[str(target.address)] == target.mac_address


def test_router_of_the_origin_reaches_a_remote_machine(stretch: Stretch) -> None:
    remote, network, cloud = stretch.remotes[0], stretch.tenant.project.connection.network, stretch.tenant.cloud
    remote.request_lease()
    with ExitStack() as undo:
        elsewhere = cloud.create_network(stretch.tenant.project, "beyond", "10.29.0.0/24")
        undo.callback(network.delete_network, elsewhere)
        router = network.create_router(name="shadow")
        undo.callback(network.delete_router, router)
        for subnet in network.subnets():
            network.add_interface_to_router(router, subnet=subnet.id)
            undo.callback(network.remove_interface_from_router, router, subnet=subnet.id)
        beyond = cloud.boot(elsewhere, "shadow-beyond", project=stretch.tenant.project, addressed=False)
        undo.callback(beyond.delete)
        beyond.request_lease()
        stretch.remote.project.allow_ingress("10.29.0.0/24")
        address = str(remote.address)
        wait_until(lambda: beyond.ping(address, count=1).all_answered, 30, f"a reply of {address}")


def move_virtual_address(stretch: Stretch) -> None:
    """As keepalived does it: machines of both clouds have it as an allowed address pair, and announce it in turn."""
    local, remote = stretch.local, stretch.remotes[0]
    with ExitStack() as undo:
        for tenant, machine in ((stretch.tenant, local), (stretch.remote, remote)):
            network = tenant.project.connection.network
            network.update_port(machine.port_id, allowed_address_pairs=[{"ip_address": VIRTUAL}])
            undo.callback(network.update_port, machine.port_id, allowed_address_pairs=[])
        beside_local = stretch.tenant.boot("shadow-beside")
        undo.callback(beside_local.delete)
        beside_remote = stretch.boot_remote("shadow-beside-remote")
        undo.callback(beside_remote.delete)
        undo.callback(stretch.remotes.remove, beside_remote)
        for holder in (local, remote, local):
            holder.place.run(["ip", "address", "add", f"{VIRTUAL}/32", "dev", "eth0"])
            holder.place.run(["busybox", "arping", "-U", "-c", "3", "-I", "eth0", VIRTUAL], check=False)
            for machine in (beside_local, beside_remote):
                wait_until(lambda: machine.ping(VIRTUAL, count=3).all_answered, 30, f"a reply of {holder.name}")  # noqa: B023
                assert machine.neighbours()[VIRTUAL] == holder.mac_address
            holder.place.run(["ip", "address", "del", f"{VIRTUAL}/32", "dev", "eth0"])
    name = stretch.tenant.name
    assert condition(stretch.tenant.cloud, "networkexpansion", name, name, "AddressConflict").get("status") != "True"


@pytest.mark.parametrize("side", ["origin", "receiver"])
def test_machine_does_not_get_what_is_for_a_machine_of_the_other_cloud(stretch: Stretch, side: str) -> None:
    """Although its own cloud lets it claim the address, by an allowed address pair."""
    here, there = (stretch.tenant, stretch.local), (stretch.remote, stretch.remotes[0])
    (claiming, claimant), (wronged, victim) = (here, there) if side == "origin" else (there, here)
    address, network = str(victim.address), claiming.project.connection.network
    with ExitStack() as undo:
        network.update_port(claimant.port_id, allowed_address_pairs=[{"ip_address": address}])
        undo.callback(network.update_port, claimant.port_id, allowed_address_pairs=[])
        beside = stretch.tenant.boot("shadow-asking") if side == "receiver" else stretch.boot_remote("shadow-asking")
        undo.callback(beside.delete)
        if side == "origin":
            undo.callback(stretch.remotes.remove, beside)
        wait_until(lambda: beside.ping(address, count=1).all_answered, 30, f"a reply of {victim.name}")
        claimant.place.run(["ip", "address", "add", f"{address}/32", "dev", "eth0"])
        undo.callback(claimant.place.run, ["ip", "address", "del", f"{address}/32", "dev", "eth0"])
        claimant.place.run(["busybox", "arping", "-U", "-c", "5", "-I", "eth0", address], check=False)
        assert beside.ping(address, count=3).all_answered
        assert beside.neighbours()[address] == victim.mac_address
        name = stretch.federation.link_name(stretch.tenant.network_id)
        wait_until(lambda: ("ownership", None) in dropping(claiming.cloud, name), 30, "the reason to be reported")
    assert ("ownership", claiming.cloud.cloud_id) not in dropping(wronged.cloud, name), "nothing has crossed"


def dropping(cloud: Cloud, name: str) -> set[tuple[str, str | None]]:
    """Why frames of that network are dropped, and the peer that they come from; None: this cloud."""
    found = json.loads(cloud.kubectl("get", "attachment", name, "-n", SYSTEM, "-o", "json"))
    nodes = found["status"].get("nodes", [])
    return {(each["reason"], each.get("cloudID")) for node in nodes for each in node.get("dropping", [])}


def gives(tenant: Tenant) -> bool:
    """Whether Neutron may give the virtual address to a port."""
    (subnet,) = tenant.cloud.openstack().network.subnets(network_id=tenant.network_id)
    pools = [(IPv4Address(pool["start"]), IPv4Address(pool["end"])) for pool in subnet.allocation_pools]
    return any(first <= IPv4Address(VIRTUAL) <= last for first, last in pools)


def test_virtual_address_moves_to_a_machine_of_the_other_cloud_and_back(stretch: Stretch) -> None:
    """Also if a port without a machine reserves it."""
    tenant = stretch.tenant
    assert gives(tenant)
    network = tenant.project.connection.network
    reserving = network.create_port(network_id=tenant.network_id, fixed_ips=[{"ip_address": VIRTUAL}])
    move_virtual_address(stretch)
    network.delete_port(reserving)


def test_shared_address_is_given_to_nobody_and_moves_between_the_clouds(stretch: Stretch) -> None:
    tenant, name = stretch.tenant, stretch.tenant.name
    patch_spec(tenant.cloud, "networkexpansion", name, {"addressing": {"shared": [VIRTUAL]}}, "-n", name)
    wait_until(lambda: not gives(tenant), 60, "pools without it")
    assert not gives(stretch.remote)
    move_virtual_address(stretch)
    assert condition(tenant.cloud, "networkexpansion", name, name, "SharedAddressesIgnored") == {}
    network = tenant.project.connection.network
    reserving = network.create_port(network_id=tenant.network_id, fixed_ips=[{"ip_address": VIRTUAL}])

    def conflict() -> str:
        found = condition(tenant.cloud, "networkexpansion", name, name, "AddressConflict")
        return str(found["message"]) if found.get("status") == "True" else ""

    assert reserving.id in wait_until(conflict, 60, "the port to be named")
    assert reserving.mac_address not in stretch.remote.remote_ports()
    network.delete_port(reserving)
    wait_until(lambda: not conflict(), 60, "the conflict to be over")
    patch_spec(tenant.cloud, "networkexpansion", name, {"addressing": {"shared": []}}, "-n", name)
    wait_until(lambda: gives(tenant), 60, "the pools to have it again")


@pytest.mark.parametrize("source", ["origin", "receiver"])
def test_machine_that_is_made_again_in_the_other_cloud_keeps_its_addresses(stretch: Stretch, source: str) -> None:
    """Its former cloud reserves them, refuses them to others, and nobody reports a conflict."""
    former, latter = (stretch.tenant, stretch.remote) if source == "origin" else (stretch.remote, stretch.tenant)
    machine = former.boot("shadow-moving")
    mac, address = machine.mac_address, str(machine.address)
    wait_until(lambda: mac in latter.remote_ports(), 60, "its port in the other cloud")
    machine.delete()
    wait_until(lambda: mac not in latter.remote_ports(), 60, "the other cloud to give up its addresses")
    network = latter.project.connection.network
    wanted = {"mac_address": mac, "fixed_ips": [{"ip_address": address}]}
    port = network.create_port(network_id=latter.network_id, name="shadow-moved", **wanted)
    moved = latter.boot("shadow-moved", port=port)
    try:
        assert (moved.mac_address, str(moved.address)) == (mac, address)
        wait_until(lambda: mac in former.remote_ports(), 60, "its port in its former cloud")
        with pytest.raises(ConflictException):
            former.project.connection.network.create_port(
                network_id=former.network_id, fixed_ips=[{"ip_address": address}]
            )
        for beside in (stretch.local, stretch.remotes[0]):
            wait_until(lambda: beside.ping(address, count=3).all_answered, 30, f"a reply to {beside.name}")  # noqa: B023
        name = stretch.federation.link_name(stretch.tenant.network_id)
        for cloud in (former.cloud, latter.cloud):
            where = (cloud, "attachment", name, SYSTEM, "AddressConflict")
            wait_until(lambda: condition(*where).get("reason") == "NoConflict", 30, f"no conflict at {cloud.name}")  # noqa: B023
    finally:
        moved.delete()


def test_ports_go_with_the_machine(peers: Federation, stretch: Stretch) -> None:
    extra = stretch.boot_remote("shadow-extra")
    wait_until(lambda: extra.mac_address in stretch.tenant.remote_ports(), 60, "its port")
    stretch.remotes.remove(extra)
    extra.delete()
    wait_until(lambda: extra.mac_address not in stretch.tenant.remote_ports(), 60, "its port to go")
    found = condition(peers.a.cloud, "networkexpansion", stretch.tenant.name, stretch.tenant.name)
    assert found["status"] == "True"
