"""Networks with IPv6 subnets of each address mode stretched from A to B: OVN's router advertises itself to B.

One router cannot advertise two modes at once, so that there are two networks.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition
from tests.testbed.workload.machine import Machine
from tests.testbed.workload.tenant import Stretch, Tenant, reachable_stretch

SLAAC, STATEFUL = "fd00:28::/64", "fd00:29::/64"
STATELESS, STATIC = "fd00:2a::/64", "fd00:2b::/64"
MODES: Mapping[str, str | None] = {
    SLAAC: "slaac",
    STATEFUL: "dhcpv6-stateful",
    STATELESS: "dhcpv6-stateless",
    STATIC: None,
}


class DualStack(NamedTuple):
    """A stretched network with two IPv6 subnets."""

    stretch: Stretch
    formed: str
    """The CIDR of that whose addresses machines form."""
    sliced: str
    """The CIDR of that which is divided into slices."""


@pytest.fixture(
    scope="module",
    params=[("dual", "10.28.0.0/24", SLAAC, STATEFUL), ("dual-other", "10.27.0.0/24", STATELESS, STATIC)],
    ids=["slaac, stateful", "stateless, static"],
)
def network(request: pytest.FixtureRequest, peers: Federation) -> Iterator[DualStack]:
    """A stretched network with machines that reach each other, to which IPv6 subnets are added with a router."""
    name, ipv4, *cidrs = request.param
    with peers.unchanged_inventory(), reachable_stretch(peers, name, ipv4) as stretch, ExitStack() as undo:
        neutron: Any = stretch.tenant.project.connection.network
        router = neutron.create_router(name=name)
        undo.callback(neutron.delete_router, router)
        for cidr in cidrs:
            mode = MODES[cidr]
            modes = {"ipv6_address_mode": mode, "ipv6_ra_mode": mode} if mode else {}
            subnet = neutron.create_subnet(network_id=stretch.tenant.network_id, ip_version=6, cidr=cidr, **modes)
            neutron.add_interface_to_router(router, subnet=subnet.id)
            undo.callback(neutron.remove_interface_from_router, router, subnet=subnet.id)
            for tenant in (stretch.tenant, stretch.remote):
                tenant.project.allow_ingress(cidr)
        yield DualStack(stretch, *cidrs)


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


def test_machines_form_addresses_by_the_router_of_the_origin(network: DualStack) -> None:
    stretch, cidr, _ = network
    wait_until(lambda: subnet_of(stretch.remote, cidr), 60, "the replica's subnet")
    replica, machine = subnet_of(stretch.remote, cidr), stretch.remotes[0]
    assert (replica.ipv6_address_mode, replica.ipv6_ra_mode) == (MODES[cidr], None)
    for each in (machine, stretch.local):
        wait_until(lambda: addresses(each, cidr), 120, f"an advertisement at {each.name}")  # noqa: B023
    routes = machine.place.run(["ip", "-6", "route", "show", "default"]).stdout
    assert " via fe80::" in routes, "the router of the origin"
    (here,), (there,) = addresses(stretch.local, cidr), addresses(machine, cidr)
    reach_each_other(stretch, here, there)
    router = str(subnet_of(stretch.tenant, cidr).gateway_ip)
    wait_until(partial(answered, machine, router), 60, "a reply of the router")


def test_addresses_of_slices_reach_each_other(network: DualStack) -> None:
    stretch, _, cidr = network
    wait_until(lambda: subnet_of(stretch.remote, cidr), 60, "the replica's subnet")
    replica, configured = subnet_of(stretch.remote, cidr), []
    assert (replica.ipv6_address_mode, replica.ipv6_ra_mode) == (MODES[cidr], None)
    for tenant, machine in ((stretch.tenant, stretch.local), (stretch.remote, stretch.remotes[0])):
        neutron, subnet = tenant.cloud.openstack().network, subnet_of(tenant, cidr)
        kept = [dict(fixed) for fixed in neutron.get_port(machine.port_id).fixed_ips]
        port = neutron.update_port(machine.port_id, fixed_ips=[*kept, {"subnet_id": subnet.id}])
        (address,) = (fixed["ip_address"] for fixed in port.fixed_ips if fixed["subnet_id"] == subnet.id)
        machine.place.run(["ip", "address", "add", f"{address}/64", "dev", "eth0", "nodad"])
        configured.append(address)
    reach_each_other(stretch, *configured)
    (first, last) = (ip_address(subnet_of(stretch.remote, cidr).allocation_pools[0][e]) for e in ("start", "end"))
    assert int(first) <= int(ip_address(configured[1])) <= int(last)
    assert int(last) - int(first) + 1 == 65_536


def test_nothing_is_reported(network: DualStack) -> None:
    name, cloud = network.stretch.tenant.name, network.stretch.tenant.cloud
    wait_until(lambda: condition(cloud, "networkexpansion", name, name)["status"] == "True", 60, "Ready")
