"""IP addresses that only one member of a network may claim: whose they are, and which are nobody's."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import pytest

from isthmus.core.network.addressing import Spans, spans_of_addresses
from isthmus.core.network.ownership import Addresses, owners
from isthmus.core.network.port_slices import RemotePorts
from isthmus.core.network.publishers import Publisher
from isthmus.core.network.router_addresses import interface_identifier
from isthmus.model.api.v1alpha1.expansionlink import PublishedPort
from isthmus.model.api.v1alpha1.networkexpansion import Addressing
from tests.fakes.federation import FakeCloud
from tests.fakes.scenario import Stretched
from tests.unit.test_known_addresses import machine, sliced

OF_A, OF_B, OF_C = "10.20.0.9", "10.20.0.130", "10.20.0.200"
MAC = "fa:16:3e:00:00:b1"
PREFIX = int(ip_address("fd00::"))


def port(*addresses: str, number: int = 1, exclusive: bool | None = True, member: int | None = None) -> PublishedPort:
    """A machine's port as a peer publishes it."""
    id_ = str(UUID(int=number))
    return PublishedPort(id=id_, mac=MAC, addresses=addresses, exclusive=exclusive, member=member)


def peer(name: str, *ports: PublishedPort, of: tuple[str, ...] = (), complete: bool = True) -> Publisher:
    """A peer to which these addresses belong."""
    return Publisher(f"cloud-{name}", RemotePorts(ports, complete), spans_of_addresses(of))


def owned(ours: set[str], *peers: Publisher, formed: Spans = (), **keywords: Any) -> dict[str, tuple[str | None, Any]]:
    """The owner of each address."""
    found = owners(Addresses(exclusive=frozenset(ours)), peers, (), keywords.get("before", ()), formed)
    return {address: (owner.cloud_id, owner.number) for owner in found for address in owner.addresses}


def test_addresses_of_a_peer_are_its_own_if_it_says_so_of_their_port() -> None:
    exclusive, other = port(OF_B), port(OF_C, number=2, exclusive=None)
    assert owned({OF_A}, peer("b", exclusive, other, of=(OF_B, OF_C))) == {
        OF_A: (None, None),
        OF_B: ("cloud-b", None),
    }, "the other one may be a virtual address"


def test_peer_owns_no_address_that_belongs_to_others() -> None:
    """It would keep the others from using it, such as a virtual address that nobody has at the moment."""
    assert owned(set(), peer("b", port(OF_A), of=(OF_B,))) == {}


def test_address_of_this_cloud_is_its_own_whatever_others_publish() -> None:
    assert owned({OF_B}, peer("b", port(OF_B), of=(OF_B,))) == {OF_B: (None, None)}


def test_address_that_several_publish_is_nobodys() -> None:
    both = peer("b", port(OF_B), of=(OF_B,)), peer("c", port(OF_B), of=(OF_B,))
    assert owned(set(), *both) == {}


def test_member_behind_the_origin_is_an_owner() -> None:
    origin = peer("a", port(OF_A), port(OF_C, number=2, member=3), of=(OF_A, OF_C))
    assert owned(set(), origin) == {OF_A: ("cloud-a", None), OF_C: ("cloud-a", 3)}


def test_virtual_address_of_a_machine_is_not_its_own() -> None:
    paired = port(OF_B, OF_C).model_copy(update={"pair_addresses": (OF_C,)})
    assert owned(set(), peer("b", paired, of=(OF_B, OF_C))) == {OF_B: ("cloud-b", None)}


def test_formed_address_is_believed_of_whom_it_is_formed_by() -> None:
    formed, spans = str(ip_address(PREFIX | interface_identifier(MAC))), ((PREFIX, PREFIX | (1 << 64) - 1),)
    assert owned(set(), peer("b", port(formed, "fd00::1")), formed=spans) == {formed: ("cloud-b", None)}


def test_what_is_missing_from_an_incomplete_reading_remains() -> None:
    before = owners(Addresses(), (peer("b", port(OF_B), of=(OF_B,)),), (), ())
    assert owned(set(), peer("b", complete=False), before=before) == {OF_B: ("cloud-b", None)}
    assert owned(set(), peer("b"), before=before) == {}


def _owned_by(cloud: FakeCloud) -> dict[str, tuple[str | None, int | None]]:
    (attachment,) = cloud.attachments()
    return {address: (owner.cloud_id, owner.number) for owner in attachment.spec.owners for address in owner.addresses}


@pytest.fixture
def ready() -> Stretched:
    return Stretched()


def _change(cloud: FakeCloud, port_id: str, **fields: object) -> None:
    cloud.neutron.ports[port_id] = replace(cloud.neutron.ports[port_id], **fields)  # type: ignore[arg-type]


def test_both_clouds_know_whose_the_address_of_a_machine_is(ready: Stretched) -> None:
    there = sliced(ready)
    machine(ready.b, ready.replica_id, there, 1, MAC)
    machine(ready.a, ready.network.id, OF_A, 2)
    ready.federation.settle()
    assert (_owned_by(ready.a)[OF_A], _owned_by(ready.a)[there]) == ((None, None), ("cloud-b", None))
    assert (_owned_by(ready.b)[OF_A], _owned_by(ready.b)[there]) == (("cloud-a", None), (None, None))


@pytest.mark.parametrize("device_owner", ["", "Octavia", "network:dhcp"])
def test_port_without_a_machine_leaves_its_address_to_everybody(ready: Stretched, device_owner: str) -> None:
    reserved = machine(ready.a, ready.network.id, OF_A, 2)
    _change(ready.a, reserved, device_owner=device_owner)
    ready.federation.settle()
    assert OF_A not in _owned_by(ready.a) | _owned_by(ready.b)


@pytest.mark.parametrize("device_owner", ["network:router_interface", "trunk:subport", "baremetal:none"])
def test_routers_subports_and_bare_metal_have_their_addresses_alone(ready: Stretched, device_owner: str) -> None:
    held = machine(ready.a, ready.network.id, OF_A, 2)
    _change(ready.a, held, device_owner=device_owner)
    ready.federation.settle()
    assert _owned_by(ready.b)[OF_A] == ("cloud-a", None)


def test_address_of_a_pair_may_be_taken_over(ready: Stretched) -> None:
    """As that of a machine that other machines stand by for."""
    machine(ready.a, ready.network.id, OF_A, 2)
    second = machine(ready.a, ready.network.id, "10.20.0.10", 3, MAC)
    _change(ready.a, second, allowed_addresses=(OF_A, "10.20.0.0/24"))
    ready.federation.settle()
    assert OF_A not in _owned_by(ready.a) | _owned_by(ready.b)
    assert _owned_by(ready.b)["10.20.0.10"] == ("cloud-a", None), "pairs of many addresses name none"


def test_shared_address_is_nobodys_although_a_machine_has_it(ready: Stretched) -> None:
    machine(ready.a, ready.network.id, OF_A, 2)
    expansion = ready.a.expansion()
    assert expansion is not None
    spec = expansion.spec.model_copy(update={"addressing": Addressing(shared=(OF_A,))})
    ready.a.kubectl.apply(expansion.model_copy(update={"spec": spec}))
    ready.federation.settle()
    assert OF_A not in _owned_by(ready.a) | _owned_by(ready.b)
