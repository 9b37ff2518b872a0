"""A network of B stretched to A whose machines in A leave by a router of their own: OVN's, which needs no agent."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.testbed.cloud import external
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, wait_reason
from tests.testbed.workload.tenant import Stretch, reachable_stretch

CIDR, GATEWAY = "10.26.0.0/24", "10.26.0.1"


@pytest.fixture(scope="module")
def reverse(peers: Federation) -> Federation:
    """Both clouds, with B as the origin."""
    return peers.reversed()


@pytest.fixture(scope="module")
def stretch(reverse: Federation) -> Iterator[Stretch]:
    """A stretched network with machines that reach each other; everything is removed and compared."""
    with reverse.unchanged_inventory(), reachable_stretch(reverse, "egress", CIDR) as stretch:
        yield stretch


def choose(stretch: Stretch, gateway: str) -> None:
    patch = [{"op": "add", "path": "/spec/peers/0/gateway", "value": gateway}]
    name = stretch.tenant.name
    arguments = ("networkexpansion", name, "-n", name, "--type=json", "-p", json.dumps(patch))
    stretch.tenant.cloud.kubectl("patch", *arguments)


def gateway_of_replica(stretch: Stretch) -> str | None:
    (subnet,) = stretch.remote.cloud.openstack().network.subnets(network_id=stretch.remote.network_id)
    return str(subnet.gateway_ip) if subnet.gateway_ip else None


def test_local_egress_and_back(reverse: Federation, stretch: Stretch) -> None:
    machine, name = stretch.remotes[0], stretch.tenant.name
    choose(stretch, "Local")
    wait_until(lambda: gateway_of_replica(stretch) not in (None, GATEWAY), 60, "a gateway of the receiver's own")
    gateway = gateway_of_replica(stretch) or ""
    assert stretch.is_of_slice(gateway)
    lease = machine.request_lease()
    assert lease.router == gateway
    network: Any = stretch.remote.project.connection.network
    with ExitStack() as undo:
        elsewhere = stretch.remote.cloud.create_network(stretch.remote.project, "elsewhere", "10.27.0.0/24")
        undo.callback(network.delete_network, elsewhere)
        router = network.create_router(name="egress")
        undo.callback(network.delete_router, router)
        subnets = [*network.subnets(network_id=stretch.remote.network_id), *network.subnets(network_id=elsewhere.id)]
        for subnet in subnets:
            network.add_interface_to_router(router, subnet=subnet.id)
        interfaces = undo.enter_context(ExitStack())
        for subnet in subnets:
            interfaces.callback(network.remove_interface_from_router, router, subnet=subnet.id)
        beyond = stretch.remote.cloud.boot(elsewhere, "egress-beyond", project=stretch.remote.project, addressed=False)
        undo.callback(beyond.delete)
        beyond.request_lease()
        for address in (gateway, str(beyond.address)):
            wait_until(lambda: machine.ping(address, count=1).all_answered, 30, f"a reply of {address}")  # noqa: B023
        assert stretch.local.ping(str(machine.address), count=3).all_answered, "the link is as before"
        choose(stretch, "Origin")
        attachment = reverse.link_name(stretch.tenant.network_id)
        wait_reason(stretch.remote.cloud, "attachment", attachment, "GatewayInUse", "isthmus-system")
        wait_reason(stretch.tenant.cloud, "networkexpansion", name, "GatewayInUse", name)
        assert gateway_of_replica(stretch) == gateway
        interfaces.close()
        wait_until(lambda: gateway_of_replica(stretch) == GATEWAY, 60, "the origin's gateway")
    wait_until(lambda: condition(stretch.tenant.cloud, "networkexpansion", name, name)["status"] == "True", 60, "Ready")


def test_floating_ip_and_source_nat(stretch: Stretch) -> None:
    """The receiver's own router leads outside. What the tenant chose remains until the network is withdrawn."""
    machine, project = stretch.remotes[0], stretch.remote.project
    network: Any = project.connection.network
    choose(stretch, "Local")
    wait_until(lambda: gateway_of_replica(stretch) not in (None, GATEWAY), 60, "a gateway of the receiver's own")
    assert machine.request_lease().router == gateway_of_replica(stretch)
    with ExitStack() as undo:
        outside = undo.enter_context(external.external_network(stretch.remote.cloud))
        router = network.create_router(name="outwards", external_gateway_info={"network_id": outside.network_id})
        undo.callback(network.delete_router, router)
        (subnet,) = network.subnets(network_id=stretch.remote.network_id)
        network.add_interface_to_router(router, subnet=subnet.id)
        undo.callback(network.remove_interface_from_router, router, subnet=subnet.id)
        reply = "a reply from outside, where nobody knows the way to the machine's own address"
        wait_until(lambda: machine.ping(outside.host_address, count=1).all_answered, 60, reply)
        floating = network.create_ip(floating_network_id=outside.network_id, port_id=machine.port_id)
        undo.callback(network.delete_ip, floating)
        address = floating.floating_ip_address
        project.allow_ingress(external.CIDR)
        wait_until(lambda: outside.ping(address, count=1).all_answered, 60, "a reply of the floating IP")
        assert outside.ping(address, count=5).all_answered
        assert stretch.local.ping(str(machine.address), count=3).all_answered, "the link is as before"
