"""Ports travel in slices between clouds that both know them: one port's change rewrites one slice."""

from __future__ import annotations

import uuid
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.network.port_slices import bucket_count, bucket_of, divided, remote_ports, slice_updates
from isthmus.model import names
from isthmus.model.actions import ApplyObject
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, PublishedPort
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.api.v1alpha1.portslice import MAX_BUCKETS, MAX_PORTS_PER_SLICE, PortSlice
from tests.fakes.cluster import FakeCluster
from tests.fakes.federation import FakeCloud
from tests.fakes.scenario import Stretched


def published(count: int) -> list[PublishedPort]:
    return [PublishedPort(id=_id(number), mac="fa:16:3e:00:00:01") for number in range(count)]


def _id(number: int) -> str:
    return str(uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128))


@given(st.uuids().map(str), st.sampled_from([2**n for n in range(9)]))
def test_bucket_is_the_leading_bits_of_the_digest(port_id: str, buckets: int) -> None:
    assert 0 <= bucket_of(port_id, buckets) < buckets
    if buckets > 1:
        assert bucket_of(port_id, buckets) // 2 == bucket_of(port_id, buckets // 2), "division splits each bucket"


@given(st.integers(0, 3000), st.sampled_from([None, 1, 2, 16, 256]))
def test_every_port_is_in_a_slice_that_is_not_too_large(count: int, current: int | None) -> None:
    ports = published(count)
    buckets = bucket_count(ports, current)
    slices = divided(ports, buckets)
    assert sorted(port.id for each in slices for port in each) == sorted(port.id for port in ports)
    assert max(map(len, slices)) <= MAX_PORTS_PER_SLICE
    assert bucket_count(ports, buckets) == buckets


def test_number_of_slices_does_not_follow_single_ports() -> None:
    numbers, buckets = [], None
    for count in [*range(240, 270), *reversed(range(240, 270))] * 3:
        buckets = bucket_count(published(count), buckets)
        numbers.append(buckets)
    assert sum(before != after for before, after in pairwise(numbers)) == 1


def test_number_of_slices_is_limited() -> None:
    same = [PublishedPort(id=_id(1), mac="fa:16:3e:00:00:01")] * 1000
    assert bucket_count(same, None) == MAX_BUCKETS


def test_no_member_takes_the_room_of_another_one_in_a_slice(monkeypatch: pytest.MonkeyPatch, ready: Stretched) -> None:
    """A publisher chooses the IDs of its ports, and so their buckets."""
    monkeypatch.setattr("isthmus.core.network.port_slices.bucket_of", lambda _id, _buckets: 0)
    (link,) = ready.a.links()
    own = published(3)
    hostile = [replace_member(port, 2) for port in published(2000)[1000:]]
    honest = [replace_member(port, 3) for port in published(2010)[2000:]]
    (written, *_) = slice_updates(ready.a.controller.engine.state.snapshot(), link.spec, (*own, *hostile, *honest))
    assert isinstance(written, ApplyObject)
    assert isinstance(written.obj, PortSlice)
    held = written.obj.spec.ports
    assert len(held) == MAX_PORTS_PER_SLICE
    assert {*own, *honest} <= {*held}


def replace_member(port: PublishedPort, member: int) -> PublishedPort:
    return port.model_copy(update={"member": member})


@pytest.fixture
def ready() -> Stretched:
    return Stretched()


def slices(cloud: FakeCloud) -> list[PortSlice]:
    return cloud.kubectl.list_objects(PortSlice)


def link(cloud: FakeCloud) -> ExpansionLink:
    (found,) = cloud.links()
    return found


def conflict(cloud: FakeCloud) -> tuple[str, str]:
    (attachment,) = cloud.attachments()
    found = condition_of(attachment.status.conditions, "AddressConflict")
    assert found is not None
    return found.status, found.message


def machines(cloud: FakeCloud, network_id: str, addresses: list[str], first: int = 0) -> list[str]:
    """Boot machines with these addresses; returns the IDs of their ports."""
    model = next(iter(cloud.neutron.ports.values()))
    ids = [_id(first + number) for number in range(len(addresses))]
    for port_id, address in zip(ids, addresses, strict=True):
        cloud.neutron.ports[port_id] = replace(
            model, id=port_id, network_id=network_id, addresses=(address,), device_owner="compute:nova", project_id="t"
        )
    return ids


def _origins_addresses(count: int) -> list[str]:
    return [f"10.20.0.{number % 180 + 2}" for number in range(count)]


def test_ports_leave_the_links_of_clouds_that_read_slices(ready: Stretched) -> None:
    ids = machines(ready.a, ready.network.id, _origins_addresses(600))
    ready.federation.settle()
    ours = link(ready.a)
    assert (ours.spec.ports, ours.spec.port_buckets) == ((), 4)
    assert sorted(port.id for each in slices(ready.a) for port in each.spec.ports) == sorted(
        p.id for p in ready.a.neutron.ports.values() if p.id in ids or not p.device_owner.startswith("isthmus:")
    )
    assert link(ready.b).status.peer is not None
    assert link(ready.b).status.peer.spec.ports == ()  # type: ignore[union-attr]
    assert len(str(ours.to_wire())) < 4000


def test_one_port_rewrites_one_slice(ready: Stretched) -> None:
    machines(ready.a, ready.network.id, _origins_addresses(600))
    ready.federation.settle()
    before = {each.metadata.name: each.metadata.generation for each in slices(ready.a)}
    generation, writes = link(ready.a).metadata.generation, ready.a.store.writes
    machines(ready.a, ready.network.id, ["10.20.0.9"], first=7777)
    ready.a.cycle()
    after = {each.metadata.name: each.metadata.generation for each in slices(ready.a)}
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {names.port_slice(link(ready.a).metadata.name, bucket_of(_id(7777), 4))}
    assert link(ready.a).metadata.generation == generation
    assert ready.a.store.writes == writes + 1


@pytest.mark.parametrize("position", [0, 599])
def test_conflict_is_found_beyond_the_first_500_ports(ready: Stretched, position: int) -> None:
    addresses = _origins_addresses(600)
    offer = link(ready.a).spec.offer
    assert offer is not None
    stolen = offer.subnets[0].ranges[0].first
    ids = sorted(_id(number) for number in range(600))
    machines(ready.a, ready.network.id, addresses)
    thief = ids[position]
    ready.a.neutron.ports[thief] = replace(ready.a.neutron.ports[thief], addresses=(stolen,))
    ready.federation.settle()
    for cloud in (ready.a, ready.b):
        status, message = conflict(cloud)
        assert status == "True"
        assert f"{thief}" in message
        assert stolen in message


def _lose(cloud: FakeCloud, reader: FakeCloud, bucket: int) -> None:
    held = next(each for each in slices(cloud) if each.spec.bucket == bucket)
    FakeCluster(cloud.store).delete(PortSlice, held.metadata.name, names.peer_namespace(reader.cloud_id))


def test_missing_slice_is_unknown_and_resolves_no_conflict(ready: Stretched) -> None:
    offer = link(ready.a).spec.offer
    assert offer is not None
    machines(ready.a, ready.network.id, [offer.subnets[0].ranges[0].first])
    ready.federation.settle()
    assert conflict(ready.b)[0] == "True"
    bucket = bucket_of(_id(0), link(ready.a).spec.port_buckets or 1)
    _lose(ready.a, ready.b, bucket)
    ready.b.cycle()
    assert conflict(ready.b)[0] == "True"
    del ready.a.neutron.ports[_id(0)]
    ready.federation.settle()
    assert conflict(ready.b)[0] == "False"


def test_without_an_earlier_result_a_missing_slice_is_unknown(ready: Stretched) -> None:
    _lose(ready.a, ready.b, 0)
    view = ready.b.peers.views()["cloud-a"]
    remote = remote_ports(view, link(ready.a).spec)
    assert (remote.ports, remote.complete) == ((), False)


def test_slice_of_another_division_does_not_count(ready: Stretched) -> None:
    view = ready.b.peers.views()["cloud-a"]
    spec = link(ready.a).spec
    assert remote_ports(view, spec).complete
    assert not remote_ports(view, spec.model_copy(update={"port_buckets": 2})).complete


def _speaks(cloud: FakeCloud, reader: FakeCloud, *versions: int) -> None:
    held = cloud.kubectl.get(PeerLink, cloud.cloud_id, names.peer_namespace(reader.cloud_id))
    assert held is not None
    spec = held.spec.model_copy(update={"protocol_versions": versions})
    FakeCluster(cloud.store).apply(held.model_copy(update={"spec": spec}))


def test_for_a_peer_of_version_1_the_first_500_ports_stay_in_the_link(ready: Stretched) -> None:
    machines(ready.a, ready.network.id, _origins_addresses(600))
    ready.federation.settle()
    _speaks(ready.b, ready.a, 1)
    ready.a.cycle()
    ours = link(ready.a)
    assert (len(ours.spec.ports), ours.spec.port_buckets) == (500, None)
    assert slices(ready.a) == []
    ready.b.cycle()
    assert conflict(ready.b)[0] == "False"
    ready.federation.settle()  # B's controller publishes version 2 again
    assert (link(ready.a).spec.ports, len(slices(ready.a))) == ((), 4)


def test_no_slice_is_left_of_a_withdrawn_network(ready: Stretched) -> None:
    assert slices(ready.a)
    assert slices(ready.b)
    ready.withdraw()
    ready.federation.settle()
    assert [*ready.a.links(), *ready.b.links(), *slices(ready.a), *slices(ready.b)] == []


def test_division_follows_the_number_of_ports(ready: Stretched) -> None:
    ids = machines(ready.a, ready.network.id, _origins_addresses(600))
    ready.federation.settle()
    assert len(slices(ready.a)) == 4
    for port_id in ids[100:]:
        del ready.a.neutron.ports[port_id]
    ready.federation.settle()
    assert [each.spec.buckets for each in slices(ready.a)] == [1]
    assert remote_ports(ready.b.peers.views()["cloud-a"], link(ready.a).spec).complete
