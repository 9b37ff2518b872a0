"""The tenant chooses the gateway of each peer's machines: the origin's, one of the peer's own, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.model import names
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.networkexpansion import Addressing, GatewayChoice, NetworkExpansion, RequestedSlice
from isthmus.model.facts.openstack import Range, Subnet
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Scenario, Stretched

FIRST, LAST = "10.20.0.192", "10.20.0.254"
Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture
def ready() -> Stretched:
    return Stretched()


def choose(ready: Stretched, gateway: GatewayChoice) -> None:
    ready.a.expand(ready.network.id, "cloud-b", gateway=gateway)
    ready.federation.settle()


def replica(cloud: FakeCloud) -> Subnet:
    (subnet,) = cloud.neutron.subnets.values()
    return subnet


def attachment(cloud: FakeCloud) -> Attachment:
    (found,) = cloud.attachments()
    return found


def reserved(cloud: FakeCloud) -> list[tuple[str, ...]]:
    return [p.addresses for p in cloud.neutron.ports.values() if p.device_owner == names.GATEWAY_DEVICE_OWNER]


def edit(cloud: FakeCloud, reader: FakeCloud, kind: str, change: Edit) -> None:
    """Change what a cloud publishes, past our own controller."""
    namespace = names.peer_namespace(reader.cloud_id)
    (key,) = (k for k in cloud.store.entries if (k.kind, k.namespace) == (kind, namespace))
    entry = cloud.store.entries[key].copy()
    change(entry.manifest["spec"])
    cloud.store.put(key, entry, spec_changed=True)


def ignored(ready: Stretched) -> tuple[str, str] | None:
    expansion = ready.a.expansion()
    assert expansion is not None
    found = condition_of(expansion.status.conditions, "GatewayIgnored")
    return (found.reason, found.message) if found else None


def test_by_default_the_gateway_is_the_origins(ready: Stretched) -> None:
    assert (replica(ready.b).gateway_ip, reserved(ready.b)) == ("10.20.0.1", [("10.20.0.1",)])
    assert attachment(ready.b).spec.local_gateway_addresses == ()
    assert [link.gateway_addresses for link in attachment(ready.a).spec.links] == [()]
    assert ignored(ready) is None


def test_local_gateway_from_the_beginning_is_the_first_address_of_the_slice() -> None:
    scenario = Scenario()
    scenario.a.expand(scenario.network.id, "cloud-b", gateway="Local")
    assert scenario.outcome() == "Ready"
    subnet = replica(scenario.b)
    assert (subnet.gateway_ip, subnet.pools) == (FIRST, (Range("10.20.0.193", LAST),))
    router = scenario.b.neutron.attach_router(subnet.network_id, subnet.project_id, FIRST)
    assert scenario.outcome() == "Ready", "nothing of ours prevents a router, and it is no conflict"
    assert router.id in scenario.b.neutron.ports
    assert reserved(scenario.b) == [("10.20.0.1",)], "the origin's stays unused here"
    expansion = scenario.a.expansion()
    assert expansion is not None
    assert [peer.gateway_addresses for peer in expansion.status.peers] == [(FIRST,)]
    assert reason(expansion, "AddressConflict") == "NoConflict"


def test_each_clouds_guard_knows_whose_gateway_is_whose() -> None:
    scenario = Scenario()
    scenario.a.expand(scenario.network.id, "cloud-b", "cloud-c", gateway="Local")
    assert scenario.outcome() == "Ready"
    at_origin = attachment(scenario.a).spec
    of_peers = {link.cloud_id: link.gateway_addresses for link in at_origin.links}
    first = {cloud.cloud_id: replica(cloud).gateway_ip for cloud in (scenario.b, scenario.c)}
    assert of_peers == {cloud_id: (address,) for cloud_id, address in first.items()}
    assert (at_origin.gateway_addresses, at_origin.local_gateway_addresses) == (("10.20.0.1",), ())
    for cloud in (scenario.b, scenario.c):
        spec = attachment(cloud).spec
        assert spec.gateway_addresses == ("10.20.0.1",)
        assert spec.local_gateway_addresses == (first[cloud.cloud_id],)
        assert [link.gateway_addresses for link in spec.links] == [()]


def test_without_a_gateway(ready: Stretched) -> None:
    choose(ready, "None")
    assert (replica(ready.b).gateway_ip, reserved(ready.b)) == (None, [("10.20.0.1",)])
    assert attachment(ready.b).spec.gateway_addresses == ("10.20.0.1",)
    assert reason(ready.a.expansion()) == "Ready"


def test_a_choice_can_be_changed_while_stretched(ready: Stretched) -> None:
    before = replica(ready.b)
    machine = ready.b.neutron.boot(ready.replica_id, before.project_id)
    used = {a for p in ready.b.neutron.ports.values() for a in p.addresses}
    choose(ready, "Local")
    assert {FIRST, *machine.addresses} <= used, "DHCP's and the machine's, which they keep"
    assert replica(ready.b).gateway_ip == min({f"10.20.0.{n}" for n in range(192, 255)} - used)
    assert reason(ready.a.expansion()) == "Ready"
    for choice in ("None", "Local", "Origin"):
        choose(ready, choice)
        assert reason(ready.a.expansion()) == "Ready"
    assert replica(ready.b) == before
    assert machine.id in ready.b.neutron.ports
    assert [link.gateway_addresses for link in attachment(ready.a).spec.links] == [()]


def test_a_local_gateway_stays_the_same(ready: Stretched) -> None:
    machine = ready.b.neutron.boot(ready.replica_id, replica(ready.b).project_id)
    choose(ready, "Local")
    gateway = replica(ready.b).gateway_ip
    ready.b.neutron.delete_port(machine.id)
    ready.federation.settle()
    assert replica(ready.b).gateway_ip == gateway == "10.20.0.194"


def test_a_router_with_the_local_gateway_keeps_it_until_it_is_detached(ready: Stretched) -> None:
    choose(ready, "Local")
    subnet = replica(ready.b)
    router = ready.b.neutron.attach_router(ready.replica_id, subnet.project_id, subnet.gateway_ip or "")
    choose(ready, "Origin")
    assert replica(ready.b) == subnet
    assert reason(ready.a.expansion()) == reason(attachment(ready.b)) == "GatewayInUse"
    assert attachment(ready.b).spec.local_gateway_addresses == (subnet.gateway_ip,), "still guarded"
    ready.b.neutron.delete_port(router.id)
    ready.federation.settle()
    assert replica(ready.b).gateway_ip == "10.20.0.1"
    assert reason(ready.a.expansion()) == "Ready"


def test_full_slice_has_no_local_gateway_until_an_address_is_free() -> None:
    scenario = Scenario()
    scenario.a.expand(scenario.network.id, "cloud-b")
    expansion = scenario.a.expansion()
    assert expansion is not None
    addressing = expansion.spec.model_copy(update={"addressing": Addressing(slice_size=4, growth="None")})
    scenario.a.kubectl.apply(expansion.model_copy(update={"spec": addressing}))
    assert scenario.outcome() == "Ready"
    subnet = replica(scenario.b)
    machines = [scenario.b.neutron.boot(subnet.network_id, subnet.project_id) for _ in range(3)]
    changed = addressing.model_copy(
        update={"peers": tuple(p.model_copy(update={"gateway": "Local"}) for p in addressing.peers)}
    )
    scenario.a.kubectl.apply(expansion.model_copy(update={"spec": changed}))
    assert scenario.outcome() == "GatewayInUse"
    assert replica(scenario.b) == subnet
    scenario.b.neutron.delete_port(machines[1].id)
    assert scenario.outcome() == "Ready"
    assert replica(scenario.b).gateway_ip == machines[1].addresses[0]


@pytest.mark.parametrize(("size", "outcome"), [(3, "NoFreeSlice"), (4, "Ready")])
def test_slice_has_room_for_the_gateway(size: int, outcome: str) -> None:
    """Besides it three addresses, for a machine, a router and DHCP."""
    scenario = Scenario()
    scenario.a.expand(scenario.network.id, "cloud-b", gateway="Local")
    expansion = scenario.a.expansion()
    assert expansion is not None
    spec = expansion.spec.model_copy(update={"addressing": Addressing(slice_size=size)})
    scenario.a.kubectl.apply(expansion.model_copy(update={"spec": spec}))
    assert scenario.outcome() == outcome
    assert scenario.nothing_made() == (outcome == "NoFreeSlice")


def test_chosen_slice_has_room_for_the_gateway() -> None:
    scenario = Scenario()
    scenario.a.expand(scenario.network.id, "cloud-b", gateway="Local")
    expansion = scenario.a.expansion()
    assert expansion is not None
    wanted = RequestedSlice(peer="cloud-b", cidr="10.20.0.0/24", first="10.20.0.100", last="10.20.0.102")
    spec = expansion.spec.model_copy(update={"addressing": Addressing(slices=(wanted,))})
    scenario.a.kubectl.apply(expansion.model_copy(update={"spec": spec}))
    assert scenario.outcome() == "NoFreeSlice"


def test_small_slice_that_is_published_keeps_the_origins_gateway() -> None:
    scenario = Scenario()
    scenario.a.expand(scenario.network.id, "cloud-b")
    expansion = scenario.a.expansion()
    assert expansion is not None
    spec = expansion.spec.model_copy(update={"addressing": Addressing(slice_size=3)})
    scenario.a.kubectl.apply(expansion.model_copy(update={"spec": spec}))
    assert scenario.outcome() == "Ready"
    local = spec.model_copy(update={"peers": tuple(p.model_copy(update={"gateway": "Local"}) for p in spec.peers)})
    scenario.a.kubectl.apply(expansion.model_copy(update={"spec": local}))
    assert scenario.outcome() == "Ready"
    assert reason(scenario.a.expansion(), "GatewayIgnored") == "SliceTooSmall"
    assert replica(scenario.b).gateway_ip == "10.20.0.1"


def test_older_peer_keeps_the_origins_gateway_and_the_tenant_learns_it(ready: Stretched) -> None:
    edit(ready.b, ready.a, "PeerLink", lambda spec: spec.update(protocolVersions=[1, 2]))
    ready.a.cycle()
    ready.a.expand(ready.network.id, "cloud-b", gateway="Local")
    ready.a.cycle()
    found = ignored(ready)
    assert found is not None
    assert found[0] == "PeerTooOld"
    assert found[1].startswith("cloud-b does not know Local yet")
    (link,) = ready.a.links()
    assert link.spec.offer is not None
    assert link.spec.offer.gateway_choice == "Origin"
    ready.federation.settle()
    assert ignored(ready) is None, "the peer has been upgraded"
    assert replica(ready.b).gateway_ip == "10.20.0.193"


def test_choice_that_only_a_newer_release_knows_is_the_origins(ready: Stretched) -> None:
    edit(ready.a, ready.b, "ExpansionLink", lambda spec: spec["offer"].update(gatewayChoice="Anycast"))
    ready.b.cycle()
    assert replica(ready.b).gateway_ip == "10.20.0.1"
    assert reason(attachment(ready.b)) == "Ready"


def test_peer_cannot_speak_for_gateways_outside_of_its_slices(ready: Stretched) -> None:
    choose(ready, "Local")
    claimed = ["10.20.0.1", "10.20.0.77", "198.51.100.1", FIRST]
    edit(ready.b, ready.a, "ExpansionLink", lambda spec: spec["answer"].update(gatewayAddresses=claimed))
    ready.a.cycle()
    assert [link.gateway_addresses for link in attachment(ready.a).spec.links] == [(FIRST,)]


def test_slice_of_one_address_cannot_have_a_gateway(ready: Stretched) -> None:
    """Neutron would take pools without an address for the whole subnet."""
    ready.withdraw()
    ready.federation.settle()
    ready.a.expand(ready.network.id, "cloud-b", gateway="Local")
    ready.a.cycle()
    edit(ready.a, ready.b, "ExpansionLink", lambda spec: spec["offer"]["subnets"][0].update(first=LAST))
    ready.b.cycle()
    (answer,) = [link.spec.answer for link in ready.b.links() if link.spec.answer]
    assert (answer.verdict, answer.reason) == ("Refused", "InvalidOffer")
    assert ready.b.neutron.networks == {}


def test_everything_is_taken_back(ready: Stretched) -> None:
    choose(ready, "Local")
    ready.a.kubectl.delete(NetworkExpansion, "web", "shop")
    ready.federation.settle()
    assert (ready.b.neutron.networks, ready.b.neutron.ports, ready.b.links()) == ({}, {}, [])
    assert ready.a.neutron.subnets[ready.subnet.id] == ready.subnet
