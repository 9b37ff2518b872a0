"""Security groups by name: rules with a remote group admit members in the other cloud, on OVN's and Open vSwitch's."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition
from tests.testbed.workload.club import CHOSEN_SECONDS, WITHIN_SECONDS, Club, gathered
from tests.testbed.workload.tenant import Tenant, populated_stretch

NAME, CIDR = "clubs", "10.30.0.0/24"


@pytest.fixture(scope="module")
def club(peers: Federation) -> Iterator[Club]:
    """Machines that no rule of a CIDR admits; everything is removed and compared."""
    with peers.unchanged_inventory(), populated_stretch(peers, NAME, CIDR) as stretch:
        members = (stretch.tenant, stretch.local), (stretch.remote, stretch.remotes[0])
        with gathered(peers.both, *members) as club:
            yield club


def groups_elsewhere(club: Club, member: Tenant) -> list[str]:
    """The groups of the other cloud that a cloud's machine counts as a member of."""
    (other,) = (tenant for tenant in club.sides if tenant is not member)
    found: list[str] = other.remote_ports()[club.machine_at(member).mac_address].security_group_ids
    return found


def test_separate_groups_admit_nobody_from_elsewhere(club: Club) -> None:
    assert club.open_from(*club.sides) == set()
    assert [groups_elsewhere(club, tenant) for tenant in club.sides] == [[], []]


def test_members_elsewhere_are_admitted(club: Club) -> None:
    club.choose("ByName")
    club.await_admission(*club.sides, admitted=True, within_seconds=CHOSEN_SECONDS)
    here, there = club.sides
    assert groups_elsewhere(club, here) == [club.groups[there.cloud.name].id]
    assert groups_elsewhere(club, there) == [club.groups[here.cloud.name].id]


@pytest.mark.parametrize("left", [0, 1], ids=["at the origin", "at the receiver"])
def test_who_leaves_the_group_is_admitted_no_more_and_who_enters_is(
    club: Club, left: int, record_property: Callable[[str, object], None]
) -> None:
    """Nor is the other machine, by who is no member: the default groups do not count."""
    leaver = club.sides[left]
    club.put(leaver, "default")
    out = club.await_admission(*club.sides, admitted=False)
    # Replies may also be missing since they were late.
    wait_until(lambda: not groups_elsewhere(club, leaver), 30, "no group, not the default one either")
    club.put(leaver, "web")
    entered = club.await_admission(*club.sides, admitted=True)
    record_property(f"machine of {leaver.cloud.name}", f"out after {out:.1f} s, in after {entered:.1f} s")


@pytest.mark.parametrize("booted", [0, 1], ids=["at the origin", "at the receiver"])
def test_machine_that_boots_in_the_group_is_admitted(
    club: Club, booted: int, record_property: Callable[[str, object], None]
) -> None:
    """By the machine of the other side; measured from the creation of its port, and it is deleted in the end."""
    home, other = club.sides[booted], club.sides[1 - booted]
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
        club.put(tenant, "default")
    club.await_admission(*club.sides, admitted=False)
    club.choose("ByName", "Joined")
    club.await_admission(*club.sides, admitted=True, within_seconds=CHOSEN_SECONDS)
    club.choose("Separate")
    club.await_admission(*club.sides, admitted=False, within_seconds=CHOSEN_SECONDS)
    wait_until(lambda: not any(groups_elsewhere(club, tenant) for tenant in club.sides), 30, "no group")


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


INGRESS = {"direction": "ingress", "ethertype": "IPv4"}


def test_carried_group_admits_in_the_other_cloud_what_it_admits_here(club: Club) -> None:
    """Made there with its rules, it follows them within ten seconds; its user there changes nothing of it."""
    tenant, replica = club.sides
    network, name = tenant.cloud.openstack().network, "carried"
    group = network.create_security_group(name=name, project_id=tenant.project.id)
    ping = {"protocol": "icmp", "remote_group_id": group.id}
    rule = network.create_security_group_rule(security_group_id=group.id, **INGRESS, **ping)
    club.put(tenant, name)
    club.choose("Carried")
    wait_until(lambda: rules_of(replica, name) == rules_of(tenant, name), 60, "the group with its rules")
    club.put(replica, name)
    club.await_admission(*club.sides, admitted=True)
    theirs = replica.cloud.openstack().network
    (made,) = theirs.security_groups(project_id=replica.project.id, name=name)
    theirs.create_security_group_rule(security_group_id=made.id, **INGRESS)
    wait_until(lambda: rules_of(replica, name) == rules_of(tenant, name), 30, "the rules to be set back")
    network.delete_security_group_rule(rule.id)
    club.await_admission(*club.sides, admitted=False)
    wait_until(lambda: rules_of(replica, name) == rules_of(tenant, name), WITHIN_SECONDS, "the rule to go there, too")


def rules_left_out(tenant: Tenant) -> str:
    """What GroupsIncomplete of the NetworkExpansion says."""
    return str(condition(tenant.cloud, "networkexpansion", NAME, NAME, "GroupsIncomplete").get("message", ""))


def test_rule_with_an_address_group_opens_nothing_in_the_other_cloud(club: Club) -> None:
    """It is named; who is in the address group is admitted there by a plain rule, and by nothing without that."""
    tenant, replica = club.sides
    network, name = tenant.cloud.openstack().network, "addressed"
    listed = f"{club.machine_at(tenant).address}/32"
    with ExitStack() as undo:
        group = network.create_security_group(name=name, project_id=tenant.project.id)
        egress = rules_of(tenant, name)
        plain = network.create_security_group_rule(security_group_id=group.id, **INGRESS, remote_ip_prefix=listed)
        sayable = rules_of(tenant, name)
        addresses = network.create_address_group(name=name, project_id=tenant.project.id, addresses=[listed])
        undo.callback(network.delete_address_group, addresses.id)
        remote = {"remote_address_group_id": addresses.id}
        rule = network.create_security_group_rule(security_group_id=group.id, **INGRESS, **remote)
        undo.callback(network.delete_security_group_rule, rule.id)
        club.put(tenant, name)
        club.choose("Carried")
        wait_until(lambda: rule.id in rules_left_out(tenant), 60, "the rule to be named")
        wait_until(lambda: rules_of(replica, name) == sayable, 60, "the group with the plain rule only")
        club.put(replica, name)
        club.await_admission(tenant, admitted=True)
        network.delete_security_group_rule(plain.id)
        club.await_admission(tenant, admitted=False)
        assert club.machine_at(tenant).ping(str(club.machine_at(replica).address), count=30).received == 0
        assert rules_of(replica, name) == egress
        assert rule.id in rules_left_out(tenant)
