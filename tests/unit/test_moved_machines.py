"""A machine that is made again in another cloud keeps its addresses, which its former cloud reserves for it."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from isthmus.core.network.publishers import MAX_MOVED_ADDRESSES
from isthmus.model.api.objects import condition_of
from isthmus.model.errors import Conflict
from isthmus.model.facts.openstack import Port
from tests.fakes.federation import FakeCloud, reason
from tests.unit.test_remote_ports import Members, allow, lacking, remote


@pytest.fixture
def ready() -> Members:
    return Members()


def move(members: Members, machine: Port, source: FakeCloud, target: FakeCloud) -> Port:
    """Delete a machine, and make it again in another cloud with its addresses and its MAC address."""
    source.neutron.delete_port(machine.id)
    members.settle()
    made = target.neutron.boot(members.network_at(target), "tenant", machine.addresses[0])
    target.neutron.ports[made.id] = replace(made, mac=machine.mac)
    members.settle()
    return target.neutron.ports[made.id]


def conflict(cloud: FakeCloud) -> tuple[str, str]:
    (attachment,) = cloud.attachments()
    found = condition_of(attachment.status.conditions, "AddressConflict")
    assert found is not None
    return found.reason, found.message


@pytest.mark.parametrize(("source", "target"), list(permutations("abc", 2)))
def test_it_keeps_its_addresses_and_nobody_is_given_them(ready: Members, source: str, target: str) -> None:
    clouds = {"a": ready.a, "b": ready.b, "c": ready.c}
    machine = ready.boot(clouds[source])
    moved = move(ready, machine, clouds[source], clouds[target])
    assert moved.addresses == machine.addresses
    for name, cloud in clouds.items():
        assert conflict(cloud)[0] == "NoConflict", name
        assert lacking(cloud) is None
        if name != target:
            assert remote(cloud)[machine.mac] == machine.addresses
            with pytest.raises(Conflict):
                cloud.neutron.boot(ready.network_at(cloud), "tenant", machine.addresses[0])
    assert reason(ready.a.expansion(), "AddressConflict") == "NoConflict"
    back = move(ready, moved, clouds[target], clouds[source])
    assert back.addresses == machine.addresses
    clouds[source].neutron.delete_port(back.id)
    ready.settle()
    for cloud in clouds.values():
        assert machine.mac not in remote(cloud)
        assert all(link.spec.reserved_addresses is None for link in cloud.links())


@pytest.mark.parametrize(("source", "target"), list(permutations("abc", 2)))
def test_where_nothing_reserves_them_it_is_a_conflict(ready: Members, source: str, target: str) -> None:
    """Neutron of the former cloud may assign them again."""
    clouds = {"a": ready.a, "b": ready.b, "c": ready.c}
    allow(clouds[source], 0)
    ready.settle()
    machine = ready.boot(clouds[source])
    moved = move(ready, machine, clouds[source], clouds[target])
    assert conflict(clouds[target])[0] == "AddressOutsideSlice"
    assert moved.id in conflict(clouds[target])[1]
    allow(clouds[source], 1000)
    ready.settle()
    assert [conflict(cloud)[0] for cloud in clouds.values()] == ["NoConflict"] * 3


def test_an_address_that_another_machine_has_is_a_conflict(ready: Members) -> None:
    """Neither is given up: the machine that has moved came second."""
    machine = ready.boot(ready.b)
    ready.b.neutron.delete_port(machine.id)
    ready.settle()
    heir = ready.b.neutron.boot(ready.network_at(ready.b), "tenant", machine.addresses[0])
    moved = ready.c.neutron.boot(ready.network_at(ready.c), "tenant", machine.addresses[0])
    ready.settle()
    assert remote(ready.a)[heir.mac] == heir.addresses
    assert moved.mac not in {**remote(ready.a), **remote(ready.b)}
    for cloud in (ready.a, ready.c):
        assert conflict(cloud)[0] == "AddressOutsideSlice"


def test_a_peer_takes_no_gateway_and_only_so_many_free_addresses(ready: Members) -> None:
    template, at = ready.boot(ready.c), ready.network_at(ready.c)
    gateway = ready.a.neutron.subnets[next(iter(ready.a.neutron.subnets))].gateway_ip
    assert gateway is not None
    free = [f"10.20.0.{number}" for number in range(30, 30 + MAX_MOVED_ADDRESSES + 6)]
    for number, address in enumerate((gateway, *free)):
        port = replace(template, id=f"00000000-0000-0000-0000-{number:012}", addresses=(address,))
        ready.c.neutron.ports[port.id] = replace(port, network_id=at, mac=f"06:00:00:00:00:{number:02x}")
    ready.settle()
    taken = {a for found in remote(ready.a).values() for a in found}
    assert taken & {gateway, *free} == {*free[:MAX_MOVED_ADDRESSES]}
    assert conflict(ready.a)[0] == "AddressOutsideSlice"
    assert gateway in conflict(ready.a)[1]


def test_reservations_stay_while_a_peer_is_silent(ready: Members) -> None:
    machine = ready.boot(ready.b)
    move(ready, machine, ready.b, ready.c)
    before = remote(ready.a), remote(ready.b)
    for cloud in (ready.a, ready.b):
        cloud.restart()
        cloud.peers.not_read_yet = True
    ready.settle()
    assert (remote(ready.a), remote(ready.b)) == before
