"""IPv6 subnets of stretched networks: addresses, gateways, conditions, and peers that do not know them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import NamedTuple

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.expansionlink import Offer
from isthmus.model.api.v1alpha1.networkexpansion import GatewayChoice, NetworkExpansion
from isthmus.model.api.v1alpha1.portslice import PortSlice
from isthmus.model.facts.openstack import Port, Subnet
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Scenario

PREFIX, GATEWAY = "fd00:20::/64", "fd00:20::1"
MODES = ("slaac", "dhcpv6-stateless", "dhcpv6-stateful", None)


class Found(NamedTuple):
    """A condition of the NetworkExpansion."""

    status: str
    reason: str
    message: str


@pytest.fixture
def ready() -> Scenario:
    return Scenario()


def _add(ready: Scenario, mode: str | None, cidr: str = PREFIX, gateway: str | None = GATEWAY) -> Subnet:
    where = ready.network.id, ready.project, "web-v6", cidr, gateway
    return ready.a.neutron.create_subnet(*where, [], True, [], [], "", mode)


def _expand(ready: Scenario, *peers: str, gateway: GatewayChoice = "Origin") -> None:
    ready.a.expand(ready.network.id, *(peers or ("cloud-b",)), gateway=gateway)
    ready.settle()


def _replica(cloud: FakeCloud, cidr: str = PREFIX) -> Subnet | None:
    return next((subnet for subnet in cloud.neutron.subnets.values() if subnet.cidr == cidr), None)


def _offer(ready: Scenario, peer: str = "cloud-b") -> Offer:
    (found,) = (link.spec.offer for link in ready.a.links() if link.spec.peer_cloud_id == peer)
    assert found is not None
    return found


def _condition(ready: Scenario, type_: str) -> Found | None:
    expansion = ready.a.expansion()
    assert expansion is not None
    return next((Found(c.status, c.reason, c.message) for c in expansion.status.conditions if c.type == type_), None)


def _boot(cloud: FakeCloud, ready: Scenario) -> Port:
    (network_id,) = (n.id for n in cloud.neutron.networks.values())
    return cloud.neutron.boot(network_id, ready.project)


def _ours(cloud: FakeCloud, owner: str) -> list[Port]:
    return [port for port in cloud.neutron.ports.values() if port.device_owner == owner]


@pytest.mark.parametrize("mode", MODES)
def test_the_replica_has_the_mode_and_the_gateway_of_the_origin(ready: Scenario, mode: str | None) -> None:
    _add(ready, mode)
    _expand(ready)
    assert reason(ready.a.expansion()) == "Ready"
    replica = _replica(ready.b)
    assert replica is not None
    assert (replica.address_mode, replica.gateway_ip, replica.ip_version) == (mode, GATEWAY, 6)


@pytest.mark.parametrize("mode", MODES[:2])
def test_formed_addresses_need_no_slice_and_no_change_of_pools(ready: Scenario, mode: str) -> None:
    subnet = _add(ready, mode)
    _expand(ready)
    (offered,) = (s for s in _offer(ready).subnets if s.is_ipv6)
    assert (offered.ranges, offered.first) == ((), None)
    assert ready.a.neutron.subnets[subnet.id].pools == subnet.pools
    assert [a for p in _ours(ready.b, names.GATEWAY_DEVICE_OWNER) for a in p.addresses if a == GATEWAY] == []


@pytest.mark.parametrize("mode", MODES[2:])
def test_other_addresses_are_divided_and_the_gateway_reserved(ready: Scenario, mode: str | None) -> None:
    subnet = _add(ready, mode)
    _expand(ready)
    (offered,) = (s for s in _offer(ready).subnets if s.is_ipv6)
    assert (offered.first, offered.last) == ("fd00:20::ffff:ffff:ffff:0", "fd00:20::ffff:ffff:ffff:ffff")
    assert ready.a.neutron.subnets[subnet.id].pools[-1].last == "fd00:20::ffff:ffff:fffe:ffff"
    replica = _replica(ready.b)
    assert replica is not None
    assert [(pool.first, pool.last) for pool in replica.pools] == [(offered.first, offered.last)]
    assert [p for p in _ours(ready.b, names.GATEWAY_DEVICE_OWNER) if GATEWAY in p.addresses]


def test_ports_of_ours_get_formed_addresses_and_nothing_is_made_again(ready: Scenario) -> None:
    _add(ready, "slaac")
    _add(ready, "dhcpv6-stateful", "fd00:21::/64", "fd00:21::1")
    _expand(ready)
    for cloud in (ready.a, ready.b):
        (attachment_port,) = _ours(cloud, names.ATTACHMENT_DEVICE_OWNER)
        assert [ip_address(a) in ip_network(PREFIX) for a in attachment_port.addresses] == [True]
    reserving = _ours(ready.b, names.GATEWAY_DEVICE_OWNER)
    assert {a for p in reserving for a in p.addresses} >= {"10.20.0.1", "fd00:21::1"}
    before = ready.openstack()
    ready.settle()
    assert ready.openstack() == before
    assert _offer(ready).has_ipv6
    published = {a for s in ready.b.kubectl.list_objects(PortSlice) for p in s.spec.ports for a in p.addresses}
    assert not published & {a for port in reserving for a in port.addresses}


def test_withdrawal_restores_everything(ready: Scenario) -> None:
    for index, mode in enumerate(MODES):
        _add(ready, mode, f"fd00:2{index}::/64", f"fd00:2{index}::1")
    before = ready.openstack()
    _expand(ready)
    assert ready.openstack() != before
    ready.a.kubectl.delete(NetworkExpansion, "web", "shop")
    ready.settle()
    assert (ready.openstack(), ready.kept()) == (before, [])


def test_a_subnet_is_added_and_deleted_later(ready: Scenario) -> None:
    _expand(ready)
    subnet = _add(ready, "slaac")
    ready.settle()
    assert _replica(ready.b) is not None
    ready.a.neutron.delete_subnet(subnet.id)
    ready.settle()
    assert _replica(ready.b) is None
    assert reason(ready.a.expansion()) == "Ready"


def test_a_network_may_have_ipv6_alone(ready: Scenario) -> None:
    ready.a.neutron.delete_subnet(ready.subnet.id)
    _add(ready, "slaac")
    _expand(ready)
    assert reason(ready.a.expansion()) == "Ready"
    assert _replica(ready.b) is not None


def test_machines_of_both_clouds_conflict_by_nothing_but_the_same_address(ready: Scenario) -> None:
    _add(ready, "slaac")
    _expand(ready)
    theirs, ours = _boot(ready.b, ready), _boot(ready.a, ready)
    ready.settle()
    found = _condition(ready, "AddressConflict")
    assert found is not None
    assert found.status == "False"
    ready.a.neutron.ports[ours.id] = replace(ours, addresses=(*ours.addresses, theirs.addresses[-1]))
    ready.settle()
    found = _condition(ready, "AddressConflict")
    assert found is not None
    assert found.status == "True"
    assert f"our port {ours.id} and port {theirs.id} of cloud-b both use {theirs.addresses[-1]}" in found.message


def test_a_stateful_address_of_the_other_cloud_is_a_conflict(ready: Scenario) -> None:
    _add(ready, "dhcpv6-stateful")
    _expand(ready)
    port = _boot(ready.b, ready)
    ready.b.neutron.ports[port.id] = replace(port, addresses=("fd00:20::77",))
    ready.settle()
    found = _condition(ready, "AddressConflict")
    assert found is not None
    assert (found.status, "fd00:20::77" in found.message) == ("True", True)


def test_nodes_know_the_routers_of_the_origin(ready: Scenario) -> None:
    _add(ready, "slaac")
    router = ready.a.neutron.attach_router(ready.network.id, ready.project, GATEWAY)
    _expand(ready)
    _, _, oui, third, second, first = router.mac.split(":")
    link_local = f"fe80::f816:{oui}ff:fe{third}:{second}{first}"
    of_routers = {GATEWAY, str(ip_address(link_local))}
    (receiver,), (origin,) = ready.b.attachments(), ready.a.attachments()
    assert set(receiver.spec.gateway_addresses) == {"10.20.0.1", *of_routers}
    assert not of_routers & {*receiver.spec.router_addresses}
    assert of_routers <= {*origin.spec.router_addresses}
    assert GATEWAY in origin.spec.gateway_addresses
    assert [link.ipv6 for link in (*receiver.spec.links, *origin.spec.links)] == [True, True]


def test_no_discovery_crosses_without_an_ipv6_subnet(ready: Scenario) -> None:
    _expand(ready)
    assert [link.ipv6 for cloud in (ready.a, ready.b) for a in cloud.attachments() for link in a.spec.links] == [
        False,
        False,
    ]
    assert _offer(ready).router_addresses == ()


@pytest.mark.parametrize("mode", ["slaac", "dhcpv6-stateful"])
def test_with_a_local_gateway_ipv6_leaves_by_the_origin(ready: Scenario, mode: str) -> None:
    _add(ready, mode)
    _expand(ready, gateway="Local")
    replica, ipv4 = _replica(ready.b), _replica(ready.b, ready.subnet.cidr)
    assert replica is not None
    assert ipv4 is not None
    assert replica.gateway_ip == GATEWAY
    assert ipv4.gateway_ip not in {None, "10.20.0.1"}
    found = _condition(ready, "GatewayIgnored")
    assert found is not None
    assert (found.status, found.reason) == ("True", "IPv6NeedsOrigin")
    assert PREFIX in found.message


def test_without_a_gateway_ipv6_is_not_offered(ready: Scenario) -> None:
    _add(ready, "slaac")
    _expand(ready, gateway="None")
    assert _replica(ready.b) is None
    found = _condition(ready, "SubnetsStretched")
    assert found is not None
    assert (found.status, found.reason) == ("False", "IPv6NeedsOrigin")
    assert "cloud-b" in found.message


def _becomes_older(cloud: FakeCloud, reader: FakeCloud) -> None:
    """Have the cloud publish that it speaks only what earlier releases do, until its controller runs again."""
    namespace = names.peer_namespace(reader.cloud_id)
    (key,) = (k for k in cloud.store.entries if (k.kind, k.namespace) == ("PeerLink", namespace))
    entry = cloud.store.entries[key].copy()
    entry.manifest["spec"].update(protocolVersions=[1, 2])
    cloud.store.put(key, entry, spec_changed=True)


def test_an_older_peer_gets_ipv4_alone_until_it_is_upgraded(ready: Scenario) -> None:
    subnet = _add(ready, "dhcpv6-stateful")
    ready.a.neutron.boot(ready.network.id, ready.project)
    _becomes_older(ready.b, ready.a)
    ready.a.cycle()
    ready.a.expand(ready.network.id, "cloud-b")
    ready.a.cycle()
    assert [s.cidr for s in _offer(ready).subnets] == [ready.subnet.cidr]
    published = [a for s in ready.a.kubectl.list_objects(PortSlice) for p in s.spec.ports for a in p.addresses]
    assert published
    assert not [a for a in published if ":" in a]
    assert ready.a.neutron.subnets[subnet.id].pools == subnet.pools
    found = _condition(ready, "SubnetsStretched")
    assert found is not None
    assert (found.status, found.reason) == ("False", "PeerTooOld")
    assert (PREFIX in found.message, "cloud-b does not know IPv6 subnets yet" in found.message) == (True, True)
    ready.settle()
    found = _condition(ready, "SubnetsStretched")
    assert found is not None
    assert (found.status, _replica(ready.b) is not None) == ("True", True)


def test_an_older_peer_cannot_get_a_network_of_ipv6_alone(ready: Scenario) -> None:
    ready.a.neutron.delete_subnet(ready.subnet.id)
    _add(ready, "slaac")
    before = ready.openstack()
    _becomes_older(ready.b, ready.a)
    ready.a.cycle()
    ready.a.expand(ready.network.id, "cloud-b")
    ready.a.cycle()
    assert (reason(ready.a.expansion()), ready.a.links(), ready.openstack()) == ("PeerTooOld", [], before)
    ready.settle()
    assert reason(ready.a.expansion()) == "Ready"


@pytest.mark.parametrize(
    ("subnet", "text"),
    [
        ((None, "fd00:20::/64", "fd00:99::1"), "the gateway fd00:99::1 is outside the subnet"),
        (("slaac", "fd00:20::/80", GATEWAY), "with slaac it must be a /64"),
        (("dhcpv6-stateless", "fd00:20::/56", GATEWAY), "with dhcpv6-stateless it must be a /64"),
        ((None, "fd00:20::/127", None), "not a unicast network of /126 or larger"),
        ((None, "fe80::/64", None), "not a unicast network"),
        ((None, "ff05::/64", None), "not a unicast network"),
        ((None, "::ffff:0:0/96", None), "not a unicast network"),
    ],
)
def test_what_cannot_be_stretched_is_refused(
    ready: Scenario, subnet: tuple[str | None, str, str | None], text: str
) -> None:
    _add(ready, *subnet)
    before = ready.openstack()
    _expand(ready)
    assert reason(ready.a.expansion()) == "UnsupportedSubnet"
    found = _condition(ready, "Ready")
    assert found is not None
    assert text in found.message
    assert (ready.openstack(), ready.kept()) == (before, [])


def test_a_delegated_prefix_is_refused(ready: Scenario) -> None:
    subnet = _add(ready, "slaac")
    ready.a.neutron.subnets[subnet.id] = replace(subnet, prefix_is_delegated=True)
    _expand(ready)
    found = _condition(ready, "Ready")
    assert found is not None
    assert (found.reason, "delegated" in found.message) == ("UnsupportedSubnet", True)


def test_a_network_of_less_than_1280_bytes_is_refused(ready: Scenario) -> None:
    _add(ready, "slaac")
    ready.a.neutron.set_network_mtu(ready.network.id, 1279)
    _expand(ready)
    assert reason(ready.a.expansion()) == "UnsupportedMTU"


def test_a_router_with_a_link_local_address_may_be_the_gateway(ready: Scenario) -> None:
    _add(ready, None, gateway="fe80::1")
    _expand(ready)
    assert reason(ready.a.expansion()) == "Ready"
    replica = _replica(ready.b)
    assert replica is not None
    assert replica.gateway_ip == "fe80::1"


@pytest.mark.parametrize("mode", MODES)
def test_the_address_of_the_subnet_which_neutron_chooses_may_be_the_gateway(ready: Scenario, mode: str | None) -> None:
    own = str(ip_network(PREFIX).network_address)
    _add(ready, mode, gateway=own)
    _expand(ready)
    assert reason(ready.a.expansion()) == "Ready"
    replica = _replica(ready.b)
    assert replica is not None
    assert replica.gateway_ip == own
    assert own not in {a for port in ready.b.neutron.ports.values() for a in port.addresses}, "no port can have it"
