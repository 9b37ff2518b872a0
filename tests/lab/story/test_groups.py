"""Security groups by name: rules with a remote group admit members in the other cloud, on OVN's and Open vSwitch's."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from isthmus.model.names import is_carried_group
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, patch_spec
from tests.testbed.workload.machine import Machine
from tests.testbed.workload.tenant import REMOTE_PORT_OWNER, Stretch, Tenant, populated_stretch

NAME, CIDR = "clubs", "10.30.0.0/24"
WITHIN_SECONDS = 10


class Club:
    """A stretched network with a machine in group `web` of each cloud, which admits its members and nobody else."""

    def __init__(self, stretch: Stretch) -> None:
        self.stretch = stretch
        self.sides = (stretch.tenant, stretch.remote)
        self.groups = {tenant.cloud.name: make_group(tenant) for tenant in self.sides}
        self.machines = {stretch.tenant.cloud.name: stretch.local, stretch.remote.cloud.name: stretch.remotes[0]}
        for tenant in self.sides:
            self.put(tenant, self.machine_at(tenant), "web")

    def machine_at(self, tenant: Tenant) -> Machine:
        return self.machines[tenant.cloud.name]

    def put(self, tenant: Tenant, machine: Machine, *names: str) -> None:
        """Put a machine's port into the groups of these names, of the tenant's project, and into no others."""
        network = tenant.cloud.openstack().network
        found = {group.name: group.id for group in network.security_groups(project_id=tenant.project.id)}
        (port,) = network.ports(network_id=tenant.network_id, mac_address=machine.mac_address)
        network.update_port(port, security_group_ids=[found[name] for name in names])

    def ends(self) -> tuple[tuple[Tenant, Tenant], tuple[Tenant, Tenant]]:
        """Each side with the other one."""
        first, second = self.sides
        return (first, second), (second, first)

    def is_admitted(self, source: Tenant, target: Tenant) -> bool:
        """Whether the machine of one side reaches that of the other side."""
        address = str(self.machine_at(target).address)
        return self.machine_at(source).ping(address, count=1).all_answered


def make_group(tenant: Tenant) -> Any:
    """Create group `web`, which admits its own members by IPv4, and lets its machines send everything."""
    network = tenant.cloud.openstack().network
    group = network.create_security_group(name="web", project_id=tenant.project.id)
    network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", ethertype="IPv4", remote_group_id=group.id
    )
    return group


def choose(stretch: Stretch, groups: str, default: str = "Separate") -> None:
    """Change the tenant's NetworkExpansion."""
    chosen = {"securityGroups": groups, "defaultGroup": default}
    patch_spec(stretch.tenant.cloud, "networkexpansion", NAME, chosen, "-n", NAME)


@pytest.fixture(scope="module")
def club(peers: Federation) -> Iterator[Club]:
    """Machines that no rule of a CIDR admits; everything is removed and compared."""
    with ExitStack() as undo:
        undo.enter_context(peers.unchanged_inventory())
        for side in peers.both:
            undo.enter_context(side.controller_settings(remote_ports_per_network=1000))
        stretch = undo.enter_context(populated_stretch(peers, NAME, CIDR))
        club = Club(stretch)
        undo.callback(delete_groups, stretch.remote)
        undo.callback(choose, stretch, "Separate")
        for tenant, other in club.ends():
            mac = club.machine_at(other).mac_address
            wait_until(lambda: mac in tenant.remote_ports(), 60, f"a port of {mac}")  # noqa: B023
        yield club


def delete_groups(replica: Tenant) -> None:
    """Delete what a user made in the project of the replica; machines leave it first, remote ports by themselves."""
    network = replica.cloud.openstack().network

    def members(group: Any) -> list[Any]:
        return [p for p in network.ports(network_id=replica.network_id) if group.id in p.security_group_ids]

    for group in network.security_groups(project_id=replica.project.id):
        if group.name != "default" and not is_carried_group(group.description):
            for port in members(group):
                if port.device_owner != REMOTE_PORT_OWNER:
                    network.update_port(port, security_group_ids=[])
            wait_until(lambda: not members(group), 30, "the group to be empty")  # noqa: B023
            network.delete_security_group(group.id)


def groups_of_remote_ports(tenant: Tenant) -> list[list[str]]:
    """For each machine of the other cloud the groups that it counts as a member of."""
    return [port.security_group_ids for port in tenant.remote_ports().values()]


def await_admission(club: Club, *, admitted: bool) -> None:
    """Both directions become what is expected, each within ten seconds."""
    for source, target in club.ends():
        what = f"{source.cloud.name} {'reaches' if admitted else 'does not reach'} {target.cloud.name}"
        wait_until(lambda: club.is_admitted(source, target) == admitted, WITHIN_SECONDS, what)  # noqa: B023


def test_separate_groups_admit_nobody_from_elsewhere(club: Club) -> None:
    for source, target in club.ends():
        assert not club.is_admitted(source, target)
        assert all(port.security_group_ids == [] for port in target.remote_ports().values())


def test_members_elsewhere_are_admitted(club: Club) -> None:
    choose(club.stretch, "ByName")
    for tenant, other in club.ends():
        mac, group = club.machine_at(other).mac_address, club.groups[tenant.cloud.name].id
        wait_until(lambda: tenant.remote_ports()[mac].security_group_ids == [group], 30, "membership")  # noqa: B023
    await_admission(club, admitted=True)


@pytest.mark.parametrize("left", [0, 1], ids=["at the origin", "at the receiver"])
def test_who_leaves_the_group_is_admitted_no_more_and_who_enters_is(club: Club, left: int) -> None:
    """Within ten seconds; the machine of the other side stays a member, and admits members only."""
    leaver, stayer = club.ends()[left]
    club.put(leaver, club.machine_at(leaver), "default")
    wait_until(lambda: not club.is_admitted(leaver, stayer), WITHIN_SECONDS, "no reply")
    # A single reply may also be missing since it was late.
    mac = club.machine_at(leaver).mac_address
    wait_until(lambda: not stayer.remote_ports()[mac].security_group_ids, 30, "no group, not the default one either")
    club.put(leaver, club.machine_at(leaver), "web")
    wait_until(lambda: club.is_admitted(leaver, stayer), WITHIN_SECONDS, "a reply")


@pytest.mark.parametrize("booted", [0, 1], ids=["at the origin", "at the receiver"])
def test_machine_that_boots_in_the_group_is_admitted(
    club: Club, booted: int, record_property: Callable[[str, object], None]
) -> None:
    """By the machine of the other side; measured from the creation of its port, and it is deleted in the end."""
    home, other = club.ends()[booted]
    with ExitStack() as undo:
        began = time.monotonic()
        group = club.groups[home.cloud.name].id
        network = home.project.connection.network
        port = network.create_port(network_id=home.network_id, name="clubs-late", security_group_ids=[group])
        machine = home.boot("clubs-late", port=port, wait=False)
        undo.callback(machine.delete)
        address = str(club.machine_at(other).address)
        wait_until(lambda: machine.ping(address, count=1).all_answered, 60, "a reply")
        seconds = time.monotonic() - began
    record_property(f"machine booted at {home.cloud.name} is admitted by group", f"after {seconds:.1f} s")


def test_default_group_counts_only_when_joined(club: Club) -> None:
    for tenant in club.sides:
        club.put(tenant, club.machine_at(tenant), "default")
    await_admission(club, admitted=False)
    choose(club.stretch, "ByName", "Joined")
    for source, target in club.ends():
        wait_until(lambda: club.is_admitted(source, target), 30, "a reply")  # noqa: B023
    choose(club.stretch, "Separate")
    for source, target in club.ends():
        wait_until(lambda: not club.is_admitted(source, target), 30, "no reply")  # noqa: B023
        wait_until(lambda: not any(groups_of_remote_ports(target)), 30, "no group")  # noqa: B023


def rules_of(tenant: Tenant, name: str) -> set[tuple[object, ...]] | None:
    """What a group of the tenant's project allows; None if there is none of that name."""
    network = tenant.cloud.openstack().network
    found = [group for group in network.security_groups(project_id=tenant.project.id) if group.name == name]
    if not found:
        return None
    (group,) = found
    rules = network.security_group_rules(security_group_id=group.id)
    fields = ("direction", "ether_type", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix")
    return {(*(rule[field] for field in fields), rule.remote_group_id == group.id) for rule in rules}


def test_carried_group_admits_in_the_other_cloud_what_it_admits_here(club: Club) -> None:
    """Made there with its rules, it follows them within ten seconds; its user there changes nothing of it."""
    tenant, replica = club.sides
    network, name = tenant.cloud.openstack().network, "carried"
    group = network.create_security_group(name=name, project_id=tenant.project.id)
    ping = {"protocol": "icmp", "remote_group_id": group.id}
    rule = network.create_security_group_rule(security_group_id=group.id, direction="ingress", ethertype="IPv4", **ping)
    club.put(tenant, club.machine_at(tenant), name)
    choose(club.stretch, "Carried")
    wait_until(lambda: rules_of(replica, name) == rules_of(tenant, name), 60, "the group with its rules")
    club.put(replica, club.machine_at(replica), name)
    for source, target in club.ends():
        wait_until(lambda: club.is_admitted(source, target), 30, "a reply")  # noqa: B023
    theirs = replica.cloud.openstack().network
    (made,) = theirs.security_groups(project_id=replica.project.id, name=name)
    theirs.create_security_group_rule(security_group_id=made.id, direction="ingress", ethertype="IPv4")
    wait_until(lambda: rules_of(replica, name) == rules_of(tenant, name), 30, "the rules to be set back")
    network.delete_security_group_rule(rule.id)
    wait_until(lambda: rules_of(replica, name) == rules_of(tenant, name), WITHIN_SECONDS, "the rule to go there, too")
    for source, target in club.ends():
        wait_until(lambda: not club.is_admitted(source, target), 30, "no reply")  # noqa: B023
