"""Remote ports: whatever peers publish and whatever is there, the plan is applied once, and deletes nothing unread.

Their security groups are exactly what the tenant's choice and the names allow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.network.addressing import spans_of
from isthmus.core.network.attachment import remote_ports
from isthmus.core.network.port_slices import RemotePorts
from isthmus.core.network.publishers import Publisher, with_moved
from isthmus.core.network.remote_ports import RemotePortPlan, plan_remote_ports, remote_port_actions
from isthmus.core.network.security_groups import groups_by_name, joined_groups
from isthmus.model import names
from isthmus.model.actions import CreateRemotePorts, DeletePort, SetRemotePortGroups
from isthmus.model.api.v1alpha1.expansionlink import GroupMatching, PublishedPort
from isthmus.model.facts.openstack import Network, NetworkFacts, Port, Range, SecurityGroup, Subnet
from tests.fakes.addresses import formed_addresses

OWN = "operator"
FORMED = "fd00:2::ffff:ffff:ffff:ffff"  # the last address that a machine can form
NETWORK = Network("n", "web", "tenant", 1400)
SUBNETS = (
    Subnet("s1", "", "n", "tenant", 4, "10.0.0.0/27", None, (), True),
    Subnet("s2", "", "n", "tenant", 4, "10.0.1.0/28", None, (), True),
    Subnet("s3", "", "n", "tenant", 6, "fd00:1::/125", None, (), True, address_mode="dhcpv6-stateful"),
    Subnet("s4", "", "n", "tenant", 6, "fd00:2::/64", None, (), True, address_mode="slaac"),
)
BELONGING = {
    "cloud-b": spans_of((Range("10.0.0.0", "10.0.0.15"), Range("fd00:1::4", "fd00:1::7"), Range("fd00:2::", FORMED))),
    "cloud-c": spans_of(
        (Range("10.0.0.16", "10.0.0.31"), Range("10.0.1.0", "10.0.1.15"), Range("fd00:1::", "fd00:1::3"))
    ),
}
MACS = [*(f"fa:16:3e:00:00:{number:02x}" for number in range(12)), "01:00:5e:00:00:01", "00:00:00:00:00:00"]
ADDRESSES = [
    *(f"10.0.0.{number}" for number in range(32)),
    *(f"10.0.1.{number}" for number in range(16)),
    *(f"fd00:1::{number}" if number else "fd00:1::" for number in range(8)),
    "192.0.2.1",
]
GROUP_NAMES = ("default", "web", "db", "fast")
some_names = st.lists(st.sampled_from([*GROUP_NAMES, "elsewhere"]), max_size=3, unique=True).map(tuple)
matchings: st.SearchStrategy[GroupMatching | None] = st.sampled_from(["ByName", "ByNameAndDefault", None])
some_addresses = st.lists(st.sampled_from(ADDRESSES), max_size=3, unique=True).map(tuple)


@st.composite
def published(draw: st.DrawFn) -> PublishedPort:
    mac, addresses = draw(st.sampled_from(MACS)), draw(some_addresses)
    addresses += formed_addresses(SUBNETS, mac) if draw(st.booleans()) else ()
    pairs = draw(st.lists(st.sampled_from(addresses), unique=True).map(tuple)) if addresses else ()
    return PublishedPort(
        id=f"00000000-0000-0000-0000-{draw(st.integers(0, 30)):012}",
        mac=mac,
        addresses=addresses,
        pair_addresses=pairs or None,
        member=draw(st.sampled_from([None, None, 3, 4])),
        groups=draw(some_names) or None,
    )


def publishers() -> st.SearchStrategy[tuple[Publisher, ...]]:
    ports = st.builds(RemotePorts, st.lists(published(), max_size=8).map(tuple), st.booleans())
    return st.tuples(*(st.builds(Publisher, st.just(c), ports, st.just(BELONGING[c])) for c in sorted(BELONGING)))


@st.composite
def facts(draw: st.DrawFn) -> NetworkFacts:
    """A network with machines and remote ports; no address and no MAC address twice, as Neutron ensures."""
    ports: list[Port] = []
    macs = draw(st.lists(st.sampled_from(MACS[:12]), max_size=8, unique=True))
    free = draw(st.permutations(ADDRESSES[:-1]))
    for number, mac in enumerate(macs):
        count = draw(st.integers(0, 2))
        addresses, free = (*free[:count], *formed_addresses(SUBNETS, mac)), free[count:]
        owner = draw(st.sampled_from([names.REMOTE_DEVICE_OWNER, "compute:nova", names.GATEWAY_DEVICE_OWNER]))
        project = "tenant" if owner == "compute:nova" else OWN
        pairs = draw(some_addresses) if owner == "compute:nova" else ()
        made = Port(f"p{number}", "", "n", project, mac, addresses, owner, "DOWN", "", allowed_addresses=pairs)
        ports.append(replace(made, groups=draw(st.lists(st.sampled_from(["g1", "g2"]), unique=True).map(sorted_ids))))
    return NetworkFacts(OWN, NETWORK, SUBNETS, tuple(ports), groups=draw(security_groups()))


def sorted_ids(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(ids))


@st.composite
def security_groups(draw: st.DrawFn) -> tuple[SecurityGroup, ...]:
    """Some names are there twice, some not at all; of all projects but the network's, Neutron lists none."""
    found = draw(st.lists(st.tuples(st.sampled_from(GROUP_NAMES), st.booleans()), max_size=6))
    return tuple(SecurityGroup(f"g{n}", name, "tenant", stateful) for n, (name, stateful) in enumerate(found))


def applied(before: NetworkFacts, plan: RemotePortPlan) -> NetworkFacts:
    """What Neutron has after the actions of one round; it refuses what is there twice."""
    ports = {port.id: port for port in before.ports}
    for action in remote_port_actions("cloud-a.n", before, plan):
        if isinstance(action, DeletePort):
            assert ports[action.id].device_owner == names.REMOTE_DEVICE_OWNER
            del ports[action.id]
            continue
        if isinstance(action, SetRemotePortGroups):
            assert ports[action.id].device_owner == names.REMOTE_DEVICE_OWNER
            assert ports[action.id].groups != action.groups
            ports[action.id] = replace(ports[action.id], groups=action.groups)
            continue
        assert isinstance(action, CreateRemotePorts)
        for wanted in action.ports:
            addresses = tuple(address for _, address in wanted.addresses)
            assert addresses
            assert wanted.mac not in {port.mac for port in ports.values()}, "409"
            assert not {*addresses} & {a for port in ports.values() for a in port.addresses}, "409"
            assert not any(address.startswith("fd00:2::") for address in addresses), "400"
            addresses += formed_addresses(SUBNETS, wanted.mac)
            id_ = f"new-{len(ports)}-{wanted.mac}"
            ports[id_] = Port(id_, wanted.name, "n", OWN, wanted.mac, addresses, names.REMOTE_DEVICE_OWNER, "DOWN", "")
            ports[id_] = replace(ports[id_], groups=wanted.groups)
    return replace(before, ports=tuple(ports.values()))


def settled(
    before: NetworkFacts, found: tuple[Publisher, ...], limit: int, matching: GroupMatching | None = None
) -> tuple[NetworkFacts, RemotePortPlan]:
    """After deletions and creations there is nothing left to do."""
    for _ in range(3):
        plan = plan_remote_ports(before, with_moved(found, before), limit, groups_by_name(before, matching))
        if not remote_port_actions("cloud-a.n", before, plan):
            return before, plan
        before = applied(before, plan)
    raise AssertionError("not settled")


@given(facts(), publishers(), st.integers(0, 12))
def test_plan_is_applied_once_and_neutron_refuses_nothing(
    before: NetworkFacts, found: tuple[Publisher, ...], limit: int
) -> None:
    after, plan = settled(before, found, limit)
    assert not plan.to_create
    assert not plan.to_delete
    others = [port for port in before.ports if port.device_owner != names.REMOTE_DEVICE_OWNER]
    assert [port for port in after.ports if port.device_owner != names.REMOTE_DEVICE_OWNER] == others
    if all(publisher.ports.complete for publisher in found):
        assert len(remote_ports(after)) <= limit


@given(facts(), publishers())
def test_complete_reading_leaves_exactly_what_is_published(before: NetworkFacts, found: tuple[Publisher, ...]) -> None:
    found = tuple(replace(each, ports=replace(each.ports, complete=True)) for each in found)
    after, plan = settled(before, found, 100)
    assert plan.left_out == 0
    theirs = {(c.cloud_id, port.mac, a) for c in found for port in c.ports.ports for a in port.fixed_addresses}
    for port in remote_ports(after):
        assigned = {*port.addresses}.difference(formed_addresses(SUBNETS, port.mac))
        assert any(all((cloud_id, port.mac, a) in theirs for a in assigned) for cloud_id in BELONGING)
    held = {port.mac for port in after.ports}
    taken = {address for port in after.ports for address in (*port.addresses, *port.allowed_addresses)}
    for publisher in found:
        for machine in publisher.ports.ports:
            usable = {a for a in machine.fixed_addresses if _is_in(publisher, a)}
            if usable - taken and machine.mac not in MACS[12:]:
                assert machine.mac in held, "each machine that can have a port has one"


def _is_in(publisher: Publisher, address: str) -> bool:
    unusable = {"10.0.0.0", "10.0.0.31", "10.0.1.0", "10.0.1.15", "fd00:1::"}
    return address not in unusable and not address.startswith("fd00:2::") and _belongs(publisher, address)


@given(facts(), publishers(), st.integers(0, 12))
def test_nothing_unread_is_deleted(before: NetworkFacts, found: tuple[Publisher, ...], limit: int) -> None:
    after, _ = settled(before, found, limit)
    gone = {port.id: port for port in remote_ports(before)}.keys() - {port.id for port in remote_ports(after)}
    unread = [publisher for publisher in found if not publisher.ports.complete]
    created = [port for port in remote_ports(after) if port not in before.ports]
    for port in remote_ports(before):
        assigned = {*port.addresses}.difference(formed_addresses(SUBNETS, port.mac))
        if port.id in gone and any(_belongs(publisher, a) for publisher in unread for a in assigned):
            assert any(c.mac == port.mac or {*c.addresses} & {*port.addresses} for c in created), "only if replaced"


def _belongs(publisher: Publisher, address: str) -> bool:
    value = int(ip_address(address))
    return any(first <= value <= last for first, last in publisher.belonging)


@given(facts(), publishers(), st.integers(0, 12), matchings)
def test_no_port_is_in_a_group_that_was_not_named(
    before: NetworkFacts, found: tuple[Publisher, ...], limit: int, matching: GroupMatching | None
) -> None:
    """Whatever it was in before, and whatever was not read: never wider than the tenant's choice and the names say."""
    after, plan = settled(before, found, limit, matching)
    assert not plan.to_update
    by_id = {group.id: group for group in after.groups or ()}
    names_held = [group.name for group in by_id.values()]
    unread = any(not publisher.ports.complete for publisher in found)
    for port in remote_ports(after):
        held = [by_id[id_].name for id_ in port.groups]
        assert matching is not None or not held
        assert matching == "ByNameAndDefault" or "default" not in held
        assert all(names_held.count(name) == 1 for name in held)
        machines = [machine for publisher in found for machine in publisher.ports.ports if machine.mac == port.mac]
        if not unread and len(machines) == 1:
            assert {*held} <= {*(machines[0].groups or ())}
    local = [port for port in before.ports if port.device_owner != names.REMOTE_DEVICE_OWNER]
    assert [port for port in after.ports if port in local] == local, "nobody else's groups are changed"


@given(facts(), published(), matchings)
def test_machine_is_in_every_group_that_it_names_and_that_is_one(
    before: NetworkFacts, machine: PublishedPort, matching: GroupMatching | None
) -> None:
    groups = groups_by_name(before, matching)
    joined = {group.name: group for group in (before.groups or ()) if group.id in joined_groups(machine, groups)}
    wanted = [groups[name] for name in machine.groups or () if name in groups]
    assert {*joined} <= {*(machine.groups or ())}
    assert len({group.stateful for group in joined.values()}) <= 1, "409"
    assert {g.id for g in wanted if g.stateful} <= {g.id for g in joined.values()}
    assert bool(joined) == bool(wanted)
