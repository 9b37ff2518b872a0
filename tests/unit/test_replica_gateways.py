"""The gateways of a replica follow what is offered; a router of the receiver that has one keeps them until it goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.model import names
from isthmus.model.api.objects import condition_of
from isthmus.model.facts.openstack import Port, Subnet
from tests.fakes.federation import reason
from tests.fakes.scenario import Stretched

SLICE = ("10.20.0.192", "10.20.0.254")


@pytest.fixture
def ready() -> Stretched:
    return Stretched()


def replica(ready: Stretched) -> Subnet:
    (subnet,) = ready.b.neutron.subnets.values()
    return subnet


def reserved(ready: Stretched) -> list[tuple[str, ...]]:
    return [p.addresses for p in ready.b.neutron.ports.values() if p.device_owner == names.GATEWAY_DEVICE_OWNER]


def move_gateway(ready: Stretched, address: str | None) -> None:
    subnet = ready.a.neutron.subnets[ready.subnet.id]
    ready.a.neutron.subnets[subnet.id] = replace(subnet, gateway_ip=address)


def own_gateway_of_a_tenant(ready: Stretched) -> Port:
    """A member of the replica's project makes an address of the slice the gateway, and attaches a router."""
    subnet = replica(ready)
    pools = (replace(subnet.pools[0], first="10.20.0.200"),)
    ready.b.neutron.subnets[subnet.id] = replace(subnet, gateway_ip="10.20.0.195", pools=pools)
    return ready.b.neutron.attach_router(ready.replica_id, subnet.project_id, "10.20.0.195")


@pytest.mark.parametrize("address", ["10.20.0.9", None])
def test_a_change_of_the_origins_gateway_reaches_the_replica(ready: Stretched, address: str | None) -> None:
    move_gateway(ready, address)
    ready.federation.settle()
    assert replica(ready).gateway_ip == address
    assert reserved(ready) == ([(address,)] if address else [])
    (attachment,) = ready.b.attachments()
    assert attachment.spec.gateway_addresses == ((address,) if address else ())
    assert reason(ready.a.expansion()) == reason(attachment) == "Ready"


def test_a_gateway_that_a_tenant_changed_is_set_back(ready: Stretched) -> None:
    port = own_gateway_of_a_tenant(ready)
    del ready.b.neutron.ports[port.id]
    ready.federation.settle()
    subnet = replica(ready)
    assert (subnet.gateway_ip, [(p.first, p.last) for p in subnet.pools]) == ("10.20.0.1", [SLICE])


def test_a_router_that_has_the_gateway_keeps_it_and_everything_else_is_applied(ready: Stretched) -> None:
    port = own_gateway_of_a_tenant(ready)
    subnet = ready.a.neutron.subnets[ready.subnet.id]
    ready.a.neutron.subnets[subnet.id] = replace(subnet, dns_nameservers=("203.0.113.53",))
    ready.federation.settle()
    found = replica(ready)
    assert (found.gateway_ip, found.dns_nameservers) == ("10.20.0.195", ("203.0.113.53",))
    assert [(p.first, p.last) for p in found.pools] == [(SLICE[0], "10.20.0.194"), ("10.20.0.196", SLICE[1])]
    (attachment,) = ready.b.attachments()
    condition = condition_of(attachment.status.conditions, "Ready")
    assert condition is not None
    assert (condition.reason, port.id in condition.message) == ("GatewayInUse", True)
    assert reason(attachment, "Degraded") == "AsExpected", "nothing that Neutron refuses was tried"
    assert attachment.spec.links, "still connected"


def test_the_origin_and_its_tenant_read_why_and_nothing_local(ready: Stretched) -> None:
    port = own_gateway_of_a_tenant(ready)
    ready.federation.settle()
    expansion = ready.a.expansion()
    assert reason(expansion) == "GatewayInUse"
    links = [link for cloud in (ready.a, ready.b) for link in cloud.links()]
    assert {reason(link) for link in links} == {"GatewayInUse"}
    assert not [link for link in links if port.id in str(link.to_wire())]
    (answer,) = [link.spec.answer for link in ready.b.links() if link.spec.answer]
    assert (answer.verdict, answer.reason) == ("Accepted", "GatewayInUse")
    assert port.id not in answer.message


def test_what_prevents_all_traffic_is_reported_first(ready: Stretched) -> None:
    own_gateway_of_a_tenant(ready)
    ready.federation.settle()
    for cloud in (ready.a, ready.b):
        for port_id in ready.attachment_ports(cloud):
            cloud.neutron.ports[port_id] = replace(cloud.neutron.ports[port_id], status="DOWN")
        cloud.cycle()
    (attachment,) = ready.b.attachments()
    assert reason(ready.a.expansion()) == reason(attachment) == "PortDown"


def test_it_heals_when_the_router_goes(ready: Stretched) -> None:
    port = own_gateway_of_a_tenant(ready)
    ready.federation.settle()
    ready.b.neutron.delete_port(port.id)
    ready.federation.settle()
    assert replica(ready).gateway_ip == "10.20.0.1"
    assert reason(ready.a.expansion()) == "Ready"


def test_gateways_of_no_subnet_change_while_one_cannot(ready: Stretched) -> None:
    ready.a.neutron.create_subnet(
        ready.network.id, ready.project, "second", "10.21.0.0/24", "10.21.0.1", [], True, [], [], ""
    )
    ready.federation.settle()
    second = next(s for s in ready.b.neutron.subnets.values() if s.cidr == "10.21.0.0/24")
    first = next(s for s in ready.b.neutron.subnets.values() if s.cidr == "10.20.0.0/24")
    ready.b.neutron.subnets[first.id] = replace(
        first, gateway_ip="10.20.0.195", pools=(replace(first.pools[0], first="10.20.0.196"),)
    )
    port = ready.b.neutron.attach_router(ready.replica_id, first.project_id, "10.20.0.195")
    origin = next(s for s in ready.a.neutron.subnets.values() if s.cidr == "10.21.0.0/24")
    ready.a.neutron.subnets[origin.id] = replace(origin, gateway_ip=None)
    ready.federation.settle()
    assert ready.b.neutron.subnets[second.id].gateway_ip == "10.21.0.1"
    ready.b.neutron.delete_port(port.id)
    ready.federation.settle()
    gateways = {s.cidr: s.gateway_ip for s in ready.b.neutron.subnets.values()}
    assert gateways == {"10.20.0.0/24": "10.20.0.1", "10.21.0.0/24": None}
