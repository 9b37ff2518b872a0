"""The gateway nodes know the addresses that a peer publishes and that belong to it."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from isthmus.core.network.known_addresses import addresses_of_origin, addresses_of_receiver
from isthmus.core.network.port_slices import bucket_of
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import MAX_KNOWN_ADDRESSES
from isthmus.model.api.v1alpha1.expansionlink import Offer
from isthmus.model.api.v1alpha1.portslice import PortSlice
from tests.fakes.cluster import FakeCluster
from tests.fakes.federation import FakeCloud
from tests.fakes.scenario import Stretched

MAC = "fa:16:3e:00:00:77"


@pytest.fixture
def ready() -> Stretched:
    return Stretched()


def known(cloud: FakeCloud) -> dict[str, str]:
    """MAC addresses by address."""
    (attachment,) = cloud.attachments()
    return {entry.address: entry.mac for link in attachment.spec.links for entry in link.known_addresses}


def offer(ready: Stretched) -> Offer:
    (link,) = ready.a.links()
    assert link.spec.offer is not None
    return link.spec.offer


def machine(cloud: FakeCloud, network_id: str, address: str, number: int = 1, mac: str = MAC) -> str:
    """Boot a machine with this address; returns the ID of its port."""
    model, id_ = next(iter(cloud.neutron.ports.values())), str(UUID(int=number))
    cloud.neutron.ports[id_] = replace(
        model,
        id=id_,
        network_id=network_id,
        mac=mac,
        addresses=(address,),
        allowed_addresses=(),
        device_owner="compute:nova",
        project_id="t",
        host="host",
    )
    return id_


def sliced(ready: Stretched, at: int = 0) -> str:
    """An address of the receiver's slice."""
    first, rest = offer(ready).subnets[0].ranges[0].first.rsplit(".", 1)
    return f"{first}.{int(rest) + 10 + at}"


def test_each_cloud_knows_what_the_other_one_has_of_its_own(ready: Stretched) -> None:
    there = sliced(ready)
    machine(ready.b, ready.replica_id, there, 1, "fa:16:3e:00:00:b1")
    machine(ready.a, ready.network.id, "10.20.0.9", 2, "FA:16:3E:00:00:A1")
    ready.federation.settle()
    assert known(ready.a)[there] == "fa:16:3e:00:00:b1"
    assert known(ready.b)["10.20.0.9"] == "fa:16:3e:00:00:a1"
    assert "10.20.0.9" not in known(ready.a)
    assert there not in known(ready.b)


def test_deleted_machine_is_forgotten(ready: Stretched) -> None:
    port = machine(ready.b, ready.replica_id, sliced(ready))
    ready.federation.settle()
    assert sliced(ready) in known(ready.a)
    del ready.b.neutron.ports[port]
    ready.federation.settle()
    assert sliced(ready) not in known(ready.a)


def test_one_machine_changes_no_path_and_nothing_that_is_published(ready: Stretched) -> None:
    (before,) = ready.a.attachments()
    machine(ready.b, ready.replica_id, sliced(ready))
    ready.federation.settle()
    (after,) = ready.a.attachments()
    (old,), (new,) = before.spec.links, after.spec.links
    assert new.model_copy(update={"known_addresses": old.known_addresses}) == old
    assert after.spec.model_copy(update={"links": before.spec.links, "owners": before.spec.owners}) == before.spec


@pytest.mark.parametrize("at_receiver", [True, False])
def test_one_machine_of_a_peer_costs_two_writes_and_no_request_to_openstack(
    ready: Stretched, at_receiver: bool
) -> None:
    if at_receiver:
        here, there, network_id, address = ready.a, ready.b, ready.replica_id, sliced(ready)
    else:
        here, there, network_id, address = ready.b, ready.a, ready.network.id, "10.20.0.9"
    machine(there, network_id, address)
    there.cycle()
    requests, writes = here.neutron.requests, here.store.writes
    here.cycle(resync=False)
    assert address in known(here)
    assert (here.neutron.requests - requests, here.store.writes - writes) == (0, 2), "the addresses, and the status"
    here.cycle(resync=False)
    assert (here.neutron.requests - requests, here.store.writes - writes) == (0, 2)


@pytest.mark.parametrize("at_receiver", [True, False])
def test_address_that_belongs_to_the_other_cloud_is_not_known(ready: Stretched, at_receiver: bool) -> None:
    """It is a conflict: its owner's machine must be able to answer. Both clouds say so."""
    stolen = "10.20.0.9" if at_receiver else sliced(ready)
    cloud, network_id = (ready.b, ready.replica_id) if at_receiver else (ready.a, ready.network.id)
    machine(cloud, network_id, stolen)
    ready.federation.settle()
    assert stolen not in {**known(ready.a), **known(ready.b)}


def test_gateway_address_is_known_at_the_receiver_only(ready: Stretched) -> None:
    machine(ready.a, ready.network.id, "10.20.0.1", mac="fa:16:3e:00:00:01")
    for number in range(MAX_KNOWN_ADDRESSES + 10):
        machine(ready.a, ready.network.id, f"10.20.0.{number + 2}", number + 10)
    machine(ready.b, ready.replica_id, "10.20.0.1", 2, "fa:16:3e:00:00:02")
    del ready.b.neutron.ports[str(UUID(int=2))]
    ready.federation.settle()
    assert next(iter(known(ready.b).items())) == ("10.20.0.1", "fa:16:3e:00:00:01")
    assert len(known(ready.b)) == MAX_KNOWN_ADDRESSES
    assert "10.20.0.1" not in known(ready.a)


def test_receiver_that_publishes_the_gateway_address_is_not_believed(ready: Stretched) -> None:
    machine(ready.b, ready.replica_id, "10.20.0.1", mac="fa:16:3e:00:00:66")
    ready.federation.settle()
    assert "10.20.0.1" not in known(ready.a)


def test_address_of_several_machines_is_not_known(ready: Stretched) -> None:
    """It moves between them, and only the machine that has it may answer."""
    address, pair = sliced(ready), sliced(ready, 1)
    port = machine(ready.b, ready.replica_id, pair, 2, "fa:16:3e:00:00:02")
    machine(ready.b, ready.replica_id, address, 1)
    ready.federation.settle()
    assert {address, pair} <= known(ready.a).keys()
    ready.b.neutron.ports[port] = replace(ready.b.neutron.ports[port], allowed_addresses=(address,))
    ready.federation.settle()
    assert address not in known(ready.a)
    assert pair in known(ready.a)


def test_address_that_a_machine_here_may_use_is_not_known(ready: Stretched) -> None:
    """Such as a virtual one of machines in both clouds."""
    address = sliced(ready)
    machine(ready.b, ready.replica_id, address)
    port = machine(ready.a, ready.network.id, "10.20.0.9", 2, "fa:16:3e:00:00:02")
    ready.federation.settle()
    assert address in known(ready.a)
    ready.a.neutron.ports[port] = replace(ready.a.neutron.ports[port], allowed_addresses=(address,))
    ready.federation.settle()
    assert address not in known(ready.a)


@pytest.mark.parametrize("mac", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00"])
def test_mac_address_of_no_machine_is_not_known(ready: Stretched, mac: str) -> None:
    machine(ready.b, ready.replica_id, sliced(ready), mac=mac)
    machine(ready.b, ready.replica_id, sliced(ready, 1), 2)
    ready.federation.settle()
    assert known(ready.a).keys() & {sliced(ready), sliced(ready, 1)} == {sliced(ready, 1)}


def test_missing_slice_of_ports_makes_nothing_unknown(ready: Stretched) -> None:
    """The peer's ports are read again after a restart, and slices are written one after the other."""
    machine(ready.b, ready.replica_id, sliced(ready))
    ready.federation.settle()
    before = known(ready.a)
    assert sliced(ready) in before
    (link,) = ready.b.links()
    bucket = bucket_of(str(UUID(int=1)), link.spec.port_buckets or 1)
    held = next(each for each in ready.b.kubectl.list_objects(PortSlice) if each.spec.bucket == bucket)
    FakeCluster(ready.b.store).delete(PortSlice, held.metadata.name, names.peer_namespace("cloud-a"))
    ready.a.cycle()
    assert known(ready.a) == before


def test_addresses_of_both_clouds_are_the_subnets(ready: Stretched) -> None:
    ((first, last),) = addresses_of_receiver(offer(ready))
    origin = addresses_of_origin(offer(ready))
    assert sum(b - a + 1 for a, b in origin) + last - first + 1 == 256
    assert all(last < a or b < first for a, b in origin)
