"""From the IPv6 addresses of gateway nodes to what the peer reads, and to the MTU of networks."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from isthmus.core.federation.agreement import Agreement
from isthmus.core.federation.pairing import Pairing, pairing, with_addresses
from isthmus.core.node.peers import tunnel_addresses
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway, TunnelIDRange
from isthmus.model.api.v1alpha1.gatewaynode import TunnelAddress
from isthmus.model.api.v1alpha1.peerlink import PeerLink, PeerLinkSpec
from isthmus.model.facts.tolerance import understand
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.tunnel import Vxlan
from isthmus.model.types import GatewayCIDR, IPAddress, PublicIPAddress
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.nodeobjects import published_spec
from tests.fakes.scenario import Stretched


def ipv6_of(cloud: FakeCloud) -> str:
    return cloud.gateway_cidr_v6.replace("::/64", "::11")


def have(cloud: FakeCloud, *addresses: str, mtu: int = 1500) -> None:
    cloud.addresses = tuple(TunnelAddress(address=address, mtu=mtu) for address in addresses)


def agree_on_both(stretched: Stretched, mode: str = "Auto") -> None:
    for cloud, other in ((stretched.a, stretched.b), (stretched.b, stretched.a)):
        cidrs = [other.gateway_cidr, other.gateway_cidr_v6]
        cloud.kubectl.apply(cloud.cloud_peer(other, gatewayCIDRs=cidrs, tunnel={"mode": mode}))


def mtus(stretched: Stretched) -> set[int]:
    networks = (*stretched.a.neutron.networks.values(), *stretched.b.neutron.networks.values())
    return {network.mtu for network in networks}


def test_an_ipv6_address_besides_is_published_and_ipv4_is_used(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b
    have(a, a.gateway_address, ipv6_of(a))
    have(b, b.gateway_address, ipv6_of(b))
    stretched.federation.settle()
    (gateway,) = b.peer("cloud-a").status.gateways
    assert gateway.addresses == (a.gateway_address, ipv6_of(a))
    assert reason(b.peer("cloud-a")) == "Ready", "that it is not agreed on changes nothing"
    (link,) = a.kubectl.list_objects(PeerLink)
    assert link.status.gateways == f"{a.gateway_address},{ipv6_of(a)}"
    assert mtus(stretched) == {1416}


@pytest.mark.parametrize(("mode", "mtu"), [("Auto", 1376), ("Tunnel", 1376), ("Transport", 1396)])
def test_gateways_with_ipv6_alone_have_the_mtu_of_that(stretched: Stretched, mode: str, mtu: int) -> None:
    a, b = stretched.a, stretched.b
    agree_on_both(stretched, mode)
    have(a, ipv6_of(a))
    have(b, b.gateway_address, ipv6_of(b))
    stretched.federation.settle()
    (gateway,) = b.peer("cloud-a").status.gateways
    assert gateway.addresses == (ipv6_of(a),)
    assert mtus(stretched) == {mtu}
    assert reason(a.expansion()) == "Ready"


def test_the_interface_of_the_address_in_use_counts(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b
    agree_on_both(stretched)
    have(b, ipv6_of(b))
    large, small = TunnelAddress(address=a.gateway_address, mtu=1500), TunnelAddress(address=ipv6_of(a), mtu=1400)
    a.addresses = (large, small)
    stretched.federation.settle()
    assert mtus(stretched) == {1276}


def test_an_ipv6_address_in_our_own_networks_is_refused(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b
    have(b, b.gateway_address, ipv6_of(b))
    a.settings = a.settings.model_copy(update={"gateway_cidrs": (a.gateway_cidr, b.gateway_cidr_v6)})
    a.restart()
    stretched.federation.settle()
    assert reason(a.peer("cloud-b")) == "GatewayRefused"
    assert [gateway.ipv6_address for gateway in a.peer("cloud-b").status.gateways] == [None], "the last accepted one"


def test_gateways_without_a_version_in_common_are_named() -> None:
    agreement = Agreement(Vxlan(14789), TunnelIDRange(), ("p",), ("p",), True, mode="Auto")
    ours, theirs = with_addresses("gw-a1", ["192.0.2.11"]), with_addresses("gw-b1", ["2001:db8::11"])
    found = pairing(agreement, ours, theirs)
    assert not isinstance(found, Pairing)
    assert found.message == (
        "gw-a1 is reached at 192.0.2.11 only, and the peer's gw-b1 at 2001:db8::11 only: give gw-b1 an IPv4 address, "
        "or gw-a1 one of the other version, and add its network to the gateway networks of its cloud and to "
        "gatewayCIDRs of the other cloud's CloudPeer"
    )


def test_a_gateway_that_is_not_understood_is_left_out_alone() -> None:
    """As a reader of an earlier release leaves out those with an IPv6 address."""
    spec = published_spec("cloud-b", "cloud-a", {"name": "gw-b1", "address": "198.51.100.11"})
    spec["gateways"].append({"name": "gw-b2", "address": "2001:db8::%eth0"})
    found = understand(PeerLinkSpec, spec)
    assert found.spec is not None
    assert [gateway.name for gateway in found.spec.gateways] == ["gw-b1"]
    assert found.left_out == ("gateways[]",)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"),
        ("::1", "::1"),
        ("1::", "1::"),
    ],
)
def test_addresses_are_normalised(text: str, normal: str) -> None:
    assert TypeAdapter(IPAddress).validate_python(text) == normal
    assert PeerGateway(name="gw", address=text).address == normal


@pytest.mark.parametrize(
    "text", ["", "2001:db8::1::2", "2001:db8::%eth0", "2001:DB8::1", "2001:0db8::1", "1:2:3:4:5:6:7", "192.0.2.256"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(IPAddress).validate_python(text)


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "ff02::1", "::ffff:c000:201",
    ],
)  # fmt: skip
def test_addresses_that_no_gateway_can_have_are_no_settings(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(PublicIPAddress).validate_python(text)
    with pytest.raises(ValidationError):
        TypeAdapter(GatewayCIDR).validate_python(f"{text}/{128 if ':' in text else 32}")


def test_ipv4_link_local_addresses_are_for_gateways_on_one_link() -> None:
    assert TypeAdapter(GatewayCIDR).validate_python("169.254.0.0/16") == "169.254.0.0/16"
    with pytest.raises(ValidationError):
        TypeAdapter(PublicIPAddress).validate_python("169.254.1.1")


def test_in_a_wide_network_the_node_has_no_loopback_or_inner_address() -> None:
    found = [NodeAddress(text, 1500) for text in ("127.0.0.1", "240.0.0.2", "::1", "192.0.2.7", "2001:db8::7")]
    assert [a.address for a in tunnel_addresses(found, ("0.0.0.0/0", "::/0"))] == ["192.0.2.7", "2001:db8::7"]


def test_networks_with_host_bits_are_refused() -> None:
    assert TypeAdapter(GatewayCIDR).validate_python("2001:db8:0:0::/64") == "2001:db8::/64"
    for text in ("2001:db8::1/64", "192.0.2.1/24", "2001:db8::/129", "2001:db8::"):
        with pytest.raises(ValidationError):
            TypeAdapter(GatewayCIDR).validate_python(text)
