"""A network with IPv6 subnets of both kinds stretched from A to B: OVN's router advertises itself to machines at B."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition
from tests.testbed.workload.machine import Machine
from tests.testbed.workload.tenant import Stretch, Tenant, reachable_stretch

CIDR = "10.28.0.0/24"
SLAAC, STATEFUL = "fd00:28::/64", "fd00:29::/64"
MODES = {SLAAC: "slaac", STATEFUL: "dhcpv6-stateful"}


@pytest.fixture(scope="module")
def stretch(peers: Federation) -> Iterator[Stretch]:
    """A stretched network with machines that reach each other, to which IPv6 subnets are added with a router."""
    with peers.unchanged_inventory(), reachable_stretch(peers, "dual", CIDR) as stretch, ExitStack() as undo:
        network: Any = stretch.tenant.project.connection.network
        router = network.create_router(name="dual")
        undo.callback(network.delete_router, router)
        for cidr, mode in MODES.items():
            modes = {"ipv6_address_mode": mode, "ipv6_ra_mode": mode}
            subnet = network.create_subnet(network_id=stretch.tenant.network_id, ip_version=6, cidr=cidr, **modes)
            network.add_interface_to_router(router, subnet=subnet.id)
            undo.callback(network.remove_interface_from_router, router, subnet=subnet.id)
            for tenant in (stretch.tenant, stretch.remote):
                tenant.project.allow_ingress(cidr)
        yield stretch


def subnet_of(tenant: Tenant, cidr: str) -> Any:
    """The subnet of that CIDR in the tenant's cloud; None if there is none."""
    found = tenant.cloud.openstack().network.subnets(network_id=tenant.network_id)
    return next((subnet for subnet in found if subnet.cidr == cidr), None)


def addresses(machine: Machine, cidr: str) -> list[str]:
    """What the machine has of that subnet and has found no duplicate of."""
    listed = json.loads(machine.place.run(["ip", "-6", "-j", "address", "show", "dev", "eth0"]).stdout or "[]")
    usable = (found for link in listed for found in link.get("addr_info", []) if not found.get("tentative"))
    return [found["local"] for found in usable if ip_address(found["local"]) in ip_network(cidr)]


def answered(source: Machine, address: str) -> bool:
    return source.ping(address, count=1).all_answered


def reach_each_other(stretch: Stretch, here: str, there: str) -> None:
    for source, address in ((stretch.local, there), (stretch.remotes[0], here)):
        wait_until(partial(answered, source, address), 60, f"a reply of {address}")


def test_machines_form_addresses_by_the_router_of_the_origin(stretch: Stretch) -> None:
    wait_until(lambda: subnet_of(stretch.remote, SLAAC), 60, "the replica's subnet")
    replica, machine = subnet_of(stretch.remote, SLAAC), stretch.remotes[0]
    assert (replica.ipv6_address_mode, replica.ipv6_ra_mode) == ("slaac", None)
    for each in (machine, stretch.local):
        wait_until(lambda: addresses(each, SLAAC), 120, f"an advertisement at {each.name}")  # noqa: B023
    routes = machine.place.run(["ip", "-6", "route", "show", "default"]).stdout
    assert " via fe80::" in routes, "the router of the origin"
    (here,), (there,) = addresses(stretch.local, SLAAC), addresses(machine, SLAAC)
    reach_each_other(stretch, here, there)
    router = str(subnet_of(stretch.tenant, SLAAC).gateway_ip)
    wait_until(partial(answered, machine, router), 60, "a reply of the router")


def test_addresses_of_slices_reach_each_other(stretch: Stretch) -> None:
    wait_until(lambda: subnet_of(stretch.remote, STATEFUL), 60, "the replica's subnet")
    configured = []
    for tenant, machine in ((stretch.tenant, stretch.local), (stretch.remote, stretch.remotes[0])):
        network, subnet = tenant.cloud.openstack().network, subnet_of(tenant, STATEFUL)
        kept = [dict(fixed) for fixed in network.get_port(machine.port_id).fixed_ips]
        port = network.update_port(machine.port_id, fixed_ips=[*kept, {"subnet_id": subnet.id}])
        (address,) = (fixed["ip_address"] for fixed in port.fixed_ips if fixed["subnet_id"] == subnet.id)
        machine.place.run(["ip", "address", "add", f"{address}/64", "dev", "eth0", "nodad"])
        configured.append(address)
    reach_each_other(stretch, *configured)
    (first, last) = (ip_address(subnet_of(stretch.remote, STATEFUL).allocation_pools[0][e]) for e in ("start", "end"))
    assert int(first) <= int(ip_address(configured[1])) <= int(last)
    assert int(last) - int(first) + 1 == 65_536


def test_nothing_is_reported(stretch: Stretch) -> None:
    name, cloud = stretch.tenant.name, stretch.tenant.cloud
    wait_until(lambda: condition(cloud, "networkexpansion", name, name)["status"] == "True", 60, "Ready")
