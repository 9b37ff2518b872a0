"""The addresses of this cloud's own routers, whose requests cross and which no peer may claim."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from isthmus.core.network.router_addresses import link_local_address
from isthmus.model.api.v1alpha1.attachment import MAX_ROUTER_ADDRESSES
from isthmus.model.facts.openstack import Range
from tests.fakes.federation import FakeCloud
from tests.fakes.scenario import Stretched

MAC, LINK_LOCAL = "fa:16:3e:12:34:56", "fe80::f816:3eff:fe12:3456"


@pytest.fixture
def ready() -> Stretched:
    return Stretched()


def addresses(cloud: FakeCloud) -> tuple[str, ...]:
    (attachment,) = cloud.attachments()
    return attachment.spec.router_addresses


def subnet(cloud: FakeCloud, gateway: str | None) -> None:
    """A tenant adds an IPv6 subnet to a network that is stretched."""
    model = next(iter(cloud.neutron.subnets.values()))
    pools = (Range("fd00::2", "fd00::ffff"),)
    added = replace(
        model, id=str(uuid.uuid4()), cidr="fd00::/64", ip_version=6, gateway_ip=gateway, pools=pools, description=""
    )
    cloud.neutron.subnets[added.id] = added


def router(cloud: FakeCloud, *found: str, owner: str = "network:router_interface") -> None:
    model = next(iter(cloud.neutron.ports.values()))
    added = replace(
        model, id=str(uuid.uuid4()), mac=MAC, addresses=found, device_owner=owner, project_id="t", description=""
    )
    cloud.neutron.ports[added.id] = added


def test_only_of_ipv4_if_that_is_all_there_is(ready: Stretched) -> None:
    router(ready.a, "10.20.0.1")
    router(ready.b, "10.20.0.200")
    ready.federation.settle()
    assert addresses(ready.a) == ("10.20.0.1",)
    assert addresses(ready.b) == ("10.20.0.200",), "its gateway is the other cloud's"


@pytest.mark.parametrize(
    "owner",
    ["network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface"],
)
@pytest.mark.parametrize("cloud", ["a", "b"])
def test_each_cloud_knows_its_own(ready: Stretched, owner: str, cloud: str) -> None:
    """Of a subnet that is not stretched; the one by which machines route is formed from the MAC address."""
    here, there = (ready.a, ready.b) if cloud == "a" else (ready.b, ready.a)
    subnet(here, "fd00::1")
    router(here, "fd00::1", "10.20.0.9", "fd00::9", owner=owner)
    ready.federation.settle()
    assert addresses(here) == ("10.20.0.9", "fd00::1", "fd00::9", LINK_LOCAL)
    assert addresses(there) == ()


def test_gateway_that_is_no_router_of_neutron(ready: Stretched) -> None:
    subnet(ready.a, "fd00::1")
    router(ready.a, "fd00::5", owner="compute:nova")
    ready.federation.settle()
    assert addresses(ready.a) == ("fd00::1",)


def test_addresses_that_no_router_can_have_are_left_out(ready: Stretched) -> None:
    """Open vSwitch writes some of them in another form than we do."""
    for gateway in (None, "::", "::1", "ff02::1", "::ffff:10.20.0.1", "::10.20.0.1", "fd00::a"):
        subnet(ready.a, gateway)
    ready.federation.settle()
    assert addresses(ready.a) == ("fd00::a",)


def test_number_is_limited(ready: Stretched) -> None:
    for number in range(MAX_ROUTER_ADDRESSES + 5):
        router(ready.a, f"fd00::{number + 1:x}")
    ready.federation.settle()
    assert len(addresses(ready.a)) == MAX_ROUTER_ADDRESSES


@pytest.mark.parametrize(
    ("mac", "expected"),
    [
        (MAC, LINK_LOCAL),
        ("00:00:00:00:00:00", "fe80::200:ff:fe00:0"),
        ("06:ff:ff:ff:ff:ff", "fe80::4ff:ffff:feff:ffff"),
    ],
)
def test_link_local_address_of_a_mac_address(mac: str, expected: str) -> None:
    assert link_local_address(mac) == expected
