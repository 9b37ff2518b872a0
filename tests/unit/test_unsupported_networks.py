"""Networks and subnets that cannot be stretched, from the start or after a change, on fakes."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import Range
from tests.fakes.federation import reason
from tests.fakes.scenario import Scenario


@pytest.fixture
def ready() -> Scenario:
    return Scenario()


@pytest.mark.parametrize("kind", ["external", "shared", "shared by a policy"])
def test_external_or_shared_network(ready: Scenario, kind: str) -> None:
    changed = replace(ready.network, external=kind == "external", shared=kind == "shared")
    ready.a.neutron.networks[ready.network.id] = changed
    ready.a.neutron.shared_by_policy |= {ready.network.id} if kind == "shared by a policy" else set()
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "NetworkNotStretchable"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"network_type": "local"}, "has provider:network_type local"),
        ({"network_type": "brand-new"}, "has provider:network_type brand-new"),
        ({"l2_adjacency": False}, "routed provider network"),
        ({"segments": 2}, "has 2 segments"),
        ({"vlan_transparent": True}, "is vlan_transparent"),
        ({"qinq": True}, "is qinq"),
        ({"private_vlan": True}, "is a private VLAN"),
        ({"network_type": "flat"}, "has provider:network_type flat: it is the physical network itself"),
    ],
)
def test_network_that_is_not_one_layer2_domain(ready: Scenario, change: dict[str, Any], text: str) -> None:
    before = ready.a.neutron.subnets[ready.subnet.id]
    ready.a.neutron.networks[ready.network.id] = replace(ready.network, **change)
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "NetworkNotStretchable"
    assert text in message(ready, "Ready")
    assert ready.a.neutron.subnets[ready.subnet.id] == before


def test_subnet_of_a_segment(ready: Scenario) -> None:
    """Neutron shows neither segments nor l2_adjacency if its segments plugin is not loaded."""
    ready.a.neutron.subnets[ready.subnet.id] = replace(ready.subnet, segment_id=str(uuid.uuid4()))
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "NetworkNotStretchable"
    assert "bound to one segment" in message(ready, "Ready")


@pytest.mark.parametrize("network_type", [None, "vxlan", "geneve", "gre", "vlan"])
def test_network_types_that_are_one_layer2_domain(ready: Scenario, network_type: str | None) -> None:
    ready.a.neutron.networks[ready.network.id] = replace(ready.network, network_type=network_type)
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"


def test_network_of_neutron_itself_is_as_if_it_did_not_exist(ready: Scenario) -> None:
    ready.a.neutron.networks[ready.network.id] = replace(ready.network, project_id="")
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "NetworkNotFound"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"gateway_ip": "10.99.0.1"}, "subnet 10.20.0.0/24: the gateway 10.99.0.1 is outside the subnet"),
        ({"gateway_ip": "10.20.0.255"}, "the gateway 10.20.0.255 is outside the subnet"),
        ({"cidr": "10.20.0.0/31", "gateway_ip": None}, "not a unicast network of /30 or larger"),
        ({"pools_are_known": False}, "unknown allocation pools"),
    ],
)
def test_subnet_that_the_peer_would_refuse(ready: Scenario, change: dict[str, Any], text: str) -> None:
    """It is refused before the pools are changed."""
    subnet = replace(ready.subnet, **change)
    ready.a.neutron.subnets[subnet.id] = subnet
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "UnsupportedSubnet"
    assert text in message(ready, "Ready")
    assert ready.a.neutron.subnets[subnet.id] == subnet
    assert not ready.a.attachments()


def test_pools_outside_the_subnet_are_not_cut(ready: Scenario) -> None:
    """The offer is complete, and judged as the peer will, before anything is changed."""
    subnet = replace(ready.subnet, pools=(Range("10.20.0.200", "10.20.1.200"),))
    ready.a.neutron.subnets[subnet.id] = subnet
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "InvalidOffer"
    assert ready.a.neutron.subnets[subnet.id] == subnet
    assert not ready.a.attachments()


def test_odd_details_are_left_out_and_reported(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    subnet = replace(ready.a.neutron.subnets[ready.subnet.id], omitted=("host route 10.98.0.0/16 router",))
    ready.a.neutron.subnets[subnet.id] = subnet
    port = ready.a.neutron.boot(ready.network.id, ready.project)
    ready.a.neutron.ports[port.id] = replace(port, mac="", omitted=("MAC address 'odd'",))
    assert ready.outcome() == "Ready"
    assert reason(ready.a.expansion(), "SubnetsStretched") == "DetailsOmitted"
    assert message(ready, "SubnetsStretched").endswith(
        f": host route 10.98.0.0/16 router of subnet 10.20.0.0/24, MAC address 'odd' of port {port.id}"
    )
    assert port.id not in {p.id for link in ready.a.links() for p in link.spec.ports}


@pytest.mark.parametrize(
    ("size", "cidr", "text"),
    [
        (5, "10.20.0.0/29", "the allocation pools of 10.20.0.0/29 have 5 addresses; the peer needs 3 and this cloud 3"),
        (1, "10.20.0.0/24", "have 1 addresses; the peer needs 3 and this cloud 3"),
    ],
)
def test_pools_too_small_for_two_clouds(ready: Scenario, size: int, cidr: str, text: str) -> None:
    """Neutron's DHCP port at the receiver would take the only address of a slice of one."""
    subnet = replace(ready.subnet, cidr=cidr, pools=(Range("10.20.0.2", f"10.20.0.{1 + size}"),))
    ready.a.neutron.subnets[subnet.id] = subnet
    ready.a.neutron.ports.clear()
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "NoFreeSlice"
    assert text in message(ready, "Ready")
    assert ready.a.neutron.subnets[subnet.id] == subnet


def test_smallest_pools_that_two_clouds_can_share(ready: Scenario) -> None:
    subnet = replace(ready.subnet, pools=(Range("10.20.0.2", "10.20.0.7"),))
    ready.a.neutron.subnets[subnet.id] = subnet
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    assert ready.a.neutron.subnets[subnet.id].pools == (Range("10.20.0.2", "10.20.0.4"),)


@pytest.mark.parametrize(
    "change",
    [
        {"dns_nameservers": ("10.20.0.250",)},
        {"host_routes": (("10.99.0.0/16", "10.20.0.250"),)},
    ],
)
def test_name_servers_and_next_hops_are_addresses_in_use(ready: Scenario, change: dict[str, Any]) -> None:
    ready.a.neutron.subnets[ready.subnet.id] = replace(ready.subnet, **change)
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    assert ready.a.neutron.subnets[ready.subnet.id].pools[-1] == Range("10.20.0.250", "10.20.0.254")


def test_allowed_address_pairs_are_addresses_in_use(ready: Scenario) -> None:
    """Also small networks of them; a pair for a whole network is a permission."""
    port = ready.a.neutron.boot(ready.network.id, ready.project)
    pairs = ("10.20.0.250", "10.20.0.240/29", "0.0.0.0/0", "fd00::/64", "fd00::7")
    ready.a.neutron.ports[port.id] = replace(port, allowed_addresses=pairs)
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    (link,) = ready.a.links()
    assert link.spec.offer is not None
    assert (link.spec.offer.subnets[0].first, link.spec.offer.subnets[0].last) == ("10.20.0.180", "10.20.0.239")


def test_allowed_address_pair_in_the_slice_is_a_conflict(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    port = ready.a.neutron.boot(ready.network.id, ready.project)
    ready.a.neutron.ports[port.id] = replace(port, allowed_addresses=("10.20.0.250", "10.20.0.251/32"))
    ready.settle()
    for obj in (ready.a.expansion(), *ready.a.attachments(), *ready.b.attachments()):
        assert reason(obj, "AddressConflict") == "AddressOutsideSlice"
    assert "10.20.0.250" in message(ready, "AddressConflict")


def test_address_that_machines_of_both_clouds_may_have_is_no_conflict(ready: Scenario) -> None:
    """Whosever it is: VRRP moves it between them. It may be reserved by a port in the cloud that it belongs to."""
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    (replica,) = ready.b.neutron.networks.values()
    virtual = ("10.20.0.50", "10.20.0.250")
    for cloud, network in ((ready.a, ready.network), (ready.b, replica)):
        port = cloud.neutron.boot(network.id, network.project_id)
        cloud.neutron.ports[port.id] = replace(port, allowed_addresses=virtual)
    ready.a.neutron.boot(ready.network.id, ready.project, virtual[0])
    ready.settle()
    for obj in (ready.a.expansion(), *ready.a.attachments(), *ready.b.attachments()):
        assert reason(obj, "AddressConflict") == "NoConflict"
    ready.a.neutron.boot(ready.network.id, ready.project, virtual[1])
    ready.settle()
    assert reason(ready.a.expansion(), "AddressConflict") == "AddressOutsideSlice"


def test_distributed_router_is_reported(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    assert reason(ready.a.expansion(), "DistributedRouter") is None
    port = ready.a.neutron.boot(ready.network.id, ready.project)
    ready.a.neutron.ports[port.id] = replace(port, device_owner="network:router_interface_distributed")
    assert ready.outcome() == "Ready"
    assert port.id in message(ready, "DistributedRouter")
    del ready.a.neutron.ports[port.id]
    ready.settle()
    assert reason(ready.a.expansion(), "DistributedRouter") is None


def test_qos_policy_of_the_network_is_reported_while_it_limits_the_link(ready: Scenario) -> None:
    ready.a.neutron.refuses_qos_policies = True
    ready.a.neutron.networks[ready.network.id] = replace(ready.network, qos_policy_id="10M")
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    assert message(ready, "QoSPolicy").startswith("QoS policy 10M of the network also applies to our attachment port")


def message(ready: Scenario, type_: str) -> str:
    """Message of a condition of the expansion."""
    expansion = ready.a.expansion()
    assert expansion is not None
    found = condition_of(expansion.status.conditions, type_)
    assert found is not None
    return found.message


def test_ipv6_subnet_with_a_delegated_prefix(ready: Scenario) -> None:
    ready.a.neutron.subnets[ready.subnet.id] = replace(ready.subnet, prefix_is_delegated=True)
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "UnsupportedSubnet"


def test_delegated_prefix_of_a_network_that_is_stretched(ready: Scenario) -> None:
    """The subnet is not stretched, the tenant is informed, and the rest stays stretched."""
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    v6 = replace(
        ready.subnet,
        id=str(uuid.uuid4()),
        cidr="fd00::/64",
        ip_version=6,
        gateway_ip="fd00::1",
        pools=(Range("fd00::2", "fd00::ffff"),),
        prefix_is_delegated=True,
    )
    ready.a.neutron.subnets[v6.id] = v6
    before = [a.spec for a in ready.b.attachments()]
    assert ready.outcome() == "Ready"
    assert [a.spec for a in ready.b.attachments()] == before
    expansion = ready.a.expansion()
    assert expansion is not None
    assert reason(expansion, "SubnetsStretched") == "UnsupportedSubnet"
    assert "fd00::/64" in next(c.message for c in expansion.status.conditions if c.type == "SubnetsStretched")
    ready.a.kubectl.delete(NetworkExpansion, "web", "shop")
    ready.settle()
    assert ready.a.expansion() is None
    assert not ready.a.attachments()
    assert ready.a.neutron.subnets[ready.subnet.id].pools == ready.subnet.pools


def test_subnets_added_beyond_the_limit_of_an_offer(ready: Scenario) -> None:
    """Stretched subnets stay stretched; the first others are added up to the limit."""
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    for number in range(20):
        cidr = f"10.30.{number}.0/24"
        ready.a.neutron.create_subnet(ready.network.id, ready.project, "more", cidr, None, [], True, [], [], "")
    assert ready.outcome() == "Ready"
    (link,) = ready.a.links()
    assert link.spec.offer is not None
    assert len(link.spec.offer.subnets) == 16
    assert ready.subnet.cidr in {s.cidr for s in link.spec.offer.subnets}
    assert reason(ready.a.expansion(), "SubnetsStretched") == "UnsupportedSubnet"


@pytest.mark.parametrize(
    "change", [{"shared": True}, {"network_type": "flat"}, {"private_vlan": True}, {"qinq": True}, {"segments": 2}]
)
def test_network_that_cannot_be_stretched_any_more_stays_stretched(ready: Scenario, change: dict[str, Any]) -> None:
    """Such as one that an earlier release has stretched; also to a peer that is added later."""
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    ready.a.neutron.networks[ready.network.id] = replace(ready.a.neutron.networks[ready.network.id], **change)
    assert ready.outcome() == "Ready"
    ready.a.expand(ready.network.id, "cloud-b", "cloud-c")
    assert ready.outcome() == "Ready"
    assert len(ready.c.neutron.networks) == 1


def test_subnet_added_later_that_overlaps_one_of_the_same_project(ready: Scenario) -> None:
    """The last accepted spec stays in force, and the origin learns why the new one is refused."""
    ready.a.expand(ready.network.id, "cloud-b")
    second = ready.second_network("10.21.0.0/24")
    ready.a.expand(second, "cloud-b", name="db")
    assert (ready.outcome(), ready.outcome("db")) == ("Ready", "Ready")
    ready.a.neutron.create_subnet(second, ready.project, "more", ready.subnet.cidr, None, [], True, [], [], "")
    ready.settle()
    replicas = [s.cidr for s in ready.b.neutron.subnets.values()]
    assert sorted(replicas) == ["10.20.0.0/24", "10.21.0.0/24"]
    (ours,) = [k for k in ready.b.links() if k.metadata.name.endswith(second)]
    assert ours.spec.answer is not None
    assert (ours.spec.answer.verdict, ours.spec.answer.reason) == ("Accepted", "SubnetOverlap")


def test_values_too_large_for_a_record_fail_one_network_only(ready: Scenario) -> None:
    ready.a.neutron.networks[ready.network.id] = replace(ready.network, mtu=100)
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "UnsupportedMTU"
    ready.a.neutron.networks[ready.network.id] = ready.network
    pools = tuple(Range(f"10.20.0.{n}", f"10.20.0.{n}") for n in range(2, 255, 2)) * 3
    ready.a.neutron.subnets[ready.subnet.id] = replace(ready.subnet, pools=pools)
    assert ready.outcome() == "UnsupportedSubnet"
    ready.a.neutron.subnets[ready.subnet.id] = ready.subnet
    for number in range(16):
        cidr = f"10.30.{number}.0/24"
        ready.a.neutron.create_subnet(ready.network.id, ready.project, "more", cidr, None, [], True, [], [], "")
    assert ready.outcome() == "UnsupportedSubnet"
    assert not ready.a.attachments()


def test_port_with_more_addresses_than_a_link_holds(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    port = ready.a.neutron.boot(ready.network.id, ready.project)
    ready.a.neutron.ports[port.id] = replace(port, addresses=tuple(f"10.20.0.{n}" for n in range(20, 40)))
    assert ready.outcome() == "Ready"


def test_unexpected_value_fails_one_network_only(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    port = ready.a.neutron.boot(ready.network.id, ready.project)
    ready.a.neutron.ports[port.id] = replace(port, mac="not a mac")
    ready.a.expand(ready.second_network("10.21.0.0/24"), "cloud-b", name="db")
    ready.settle()
    assert reason(ready.a.expansion(name="db")) == "Ready"
    assert reason(ready.a.expansion()) == "InternalError"
