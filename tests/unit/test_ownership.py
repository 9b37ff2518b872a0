"""Whose the MAC addresses on a network are, and what happens while several clouds publish one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

import pytest

from isthmus.core.network import ownership
from isthmus.core.network.ownership import Addresses, owners
from isthmus.core.network.port_slices import RemotePorts
from isthmus.core.network.publishers import Publisher
from isthmus.model.api.v1alpha1.attachment import AddressOwner
from isthmus.model.api.v1alpha1.expansionlink import PublishedPort
from tests.fakes.federation import FakeCloud
from tests.fakes.scenario import Stretched
from tests.unit.test_known_addresses import machine, sliced

A1, A2, B1, B2, C1 = (f"fa:16:3e:00:00:{name}" for name in ("a1", "a2", "b1", "b2", "c1"))
B, C = "cloud-b", "cloud-c"


def ports(*macs: str, member: int | None = None, complete: bool = True) -> RemotePorts:
    """What a peer publishes, of ports with these MAC addresses."""
    return RemotePorts(tuple(port(index, mac, member) for index, mac in enumerate(macs)), complete)


def port(index: int, mac: str, member: int | None = None) -> PublishedPort:
    """A published port with an address of its own."""
    return PublishedPort(id=str(UUID(int=index)), mac=mac, addresses=(f"10.20.0.{index + 10}",), member=member)


def _owners(
    ours: Collection[str],
    theirs: Mapping[str, RemotePorts],
    gateway_addresses: Collection[str] = (),
    before: tuple[AddressOwner, ...] = (),
) -> tuple[AddressOwner, ...]:
    """Peers are given by the last letters of their cloud IDs."""
    publishers = tuple(Publisher(f"cloud-{name}", found, ()) for name, found in theirs.items())
    return owners(Addresses(frozenset(ours)), publishers, tuple(gateway_addresses), before)


def owned(
    ours: Collection[str],
    gateway_addresses: Collection[str] = (),
    before: tuple[AddressOwner, ...] = (),
    **theirs: RemotePorts,
) -> dict[tuple[str | None, int | None], set[str]]:
    """The MAC addresses of each owner."""
    found = _owners(ours, theirs, gateway_addresses, before)
    assert all(list(owner.macs) == sorted({*owner.macs}) for owner in found)
    return {(owner.cloud_id, owner.number): {*owner.macs} for owner in found}


def test_each_member_owns_what_it_alone_publishes() -> None:
    assert owned({A1}, b=ports(B1, B2), c=ports(C1)) == {(None, None): {A1}, (B, None): {B1, B2}, (C, None): {C1}}


def test_members_behind_the_origin_are_owners_of_their_own() -> None:
    both = RemotePorts((port(1, A1), port(2, C1, 3)))
    assert owned({B1}, a=both) == {(None, None): {B1}, ("cloud-a", None): {A1}, ("cloud-a", 3): {C1}}


def test_address_that_several_peers_publish_has_no_owner() -> None:
    """It moves from one to the other, or one of them is wrong: it passes from everybody."""
    assert owned({A1}, b=ports(B1, C1), c=ports(C1)) == {(None, None): {A1}, (B, None): {B1}}


def test_address_of_this_cloud_is_its_own_whatever_others_publish() -> None:
    assert owned({A1}, b=ports(A1, B1), c=ports(A1)) == {(None, None): {A1}, (B, None): {B1}}


@pytest.mark.parametrize(
    "mac", ["00:00:5e:00:01:07", "00:00:5e:00:02:07", "33:33:00:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"]
)
def test_address_that_is_not_in_one_place_by_its_kind_has_no_owner(mac: str) -> None:
    assert owned({A1, mac}, b=ports(B1, mac)) == {(None, None): {A1}, (B, None): {B1}}


def test_what_is_missing_from_an_incomplete_reading_remains() -> None:
    before = _owners({A1}, {"b": ports(B1, B2), "c": ports(C1)})
    assert owned({A1}, before=before, b=ports(B2, complete=False)) == {(None, None): {A1}, (B, None): {B1, B2}}
    assert owned({A1}, before=before, b=ports(complete=False), c=ports(C1, B1)) == {
        (None, None): {A1},
        (B, None): {B2},
        (C, None): {C1},
    }, "the machine may have moved"
    assert owned({A1, B1}, before=before, b=ports(complete=False)) == {(None, None): {A1, B1}, (B, None): {B2}}


def test_each_member_has_an_equal_share_of_too_many_and_gateways_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "_MAX_ADDRESSES_OF_NETWORK", 4)
    assert owned({A1, A2, B2}, ["10.20.0.12"], b=ports("fa:16:3e:00:00:01", "fa:16:3e:00:00:02", B1)) == {
        (None, None): {A1, A2},
        (B, None): {"fa:16:3e:00:00:01", B1},
    }


@pytest.mark.parametrize("first", ["created", "deleted"])
def test_moved_machine_has_the_same_owner_in_the_end_in_whatever_order_its_ports_change(first: str) -> None:
    """In between it has none for others: they hear it at both places."""
    states = {"created": (ports(B1), ports(C1, B1)), "deleted": (ports(), ports(C1))}
    assert owned({A1}, b=ports(B1), c=ports(C1))[B, None] == {B1}
    of_b, of_c = states[first]
    assert all(B1 not in macs for macs in owned({A1}, b=of_b, c=of_c).values())
    assert owned({A1}, b=ports(), c=ports(C1, B1))[C, None] == {B1, C1}


def _owned_by(cloud: FakeCloud) -> dict[str, tuple[str | None, int | None]]:
    (attachment,) = cloud.attachments()
    return {mac: (owner.cloud_id, owner.number) for owner in attachment.spec.owners for mac in owner.macs}


@pytest.fixture
def ready() -> Stretched:
    return Stretched()


def test_both_clouds_know_whose_a_machine_is(ready: Stretched) -> None:
    machine(ready.b, ready.replica_id, sliced(ready), 1, B1)
    machine(ready.a, ready.network.id, "10.20.0.9", 2, A1.upper())
    ready.federation.settle()
    assert _owned_by(ready.a).items() >= {(A1, (None, None)), (B1, ("cloud-b", None))}
    assert _owned_by(ready.b).items() >= {(B1, (None, None)), (A1, ("cloud-a", None))}


def test_machine_that_is_made_again_in_the_other_cloud_changes_its_owner(ready: Stretched) -> None:
    old = machine(ready.b, ready.replica_id, sliced(ready), 1, B1)
    ready.federation.settle()
    machine(ready.a, ready.network.id, "10.20.0.9", 2, B1)
    ready.federation.settle()
    assert (_owned_by(ready.a)[B1], _owned_by(ready.b)[B1]) == ((None, None), (None, None)), "both have it"
    del ready.b.neutron.ports[old]
    ready.federation.settle()
    assert (_owned_by(ready.a)[B1], _owned_by(ready.b)[B1]) == ((None, None), ("cloud-a", None))


def test_own_machine_costs_one_write_of_the_attachment(ready: Stretched) -> None:
    (before,) = ready.a.attachments()
    machine(ready.a, ready.network.id, "10.20.0.9", 2, A1)
    ready.federation.settle()
    (after,) = ready.a.attachments()
    assert after.spec.model_copy(update={"owners": before.spec.owners}) == before.spec
    assert (before.metadata.generation, after.metadata.generation) == (4, 5)
