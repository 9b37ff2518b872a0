"""Gateways whose addresses on the way to each other are IPv6: which connections, tunnels and fences a node has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from isthmus.agent.clamping import wanted_clamps
from isthmus.core.node import ipsec
from isthmus.core.node.clamping import Clamp
from isthmus.core.node.connections import connections
from isthmus.core.node.facts import NodeFacts
from isthmus.core.node.inner import inner_ends
from isthmus.core.node.plan import NodePlan, plan_node
from isthmus.model import names
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.ipsec import EspTransport, EspTunnel
from isthmus.model.node.switch import BridgeView, TunnelPort
from isthmus.model.node.tunnel import EncapsulationName, Geneve, Gre, ModeName, TunnelEnds, Vxlan
from tests.fakes.nodeobjects import ADDRESS, NODE, OWN, PEER, attachment, inputs, link, peer, peerlink

IPV4, IPV6 = NodeAddress(ADDRESS, 1500), NodeAddress("2001:db8:a::11", 1400)
THEIRS, THEIRS_V6 = "198.51.100.11", "2001:db8:b::11"
NETWORKS_V6 = "2001:db8:a::/64", "2001:db8:b::/64"
INNER = inner_ends(f"{NODE}.{OWN}", f"gw-b1.{PEER}")
NAME = names.tunnel_port(PEER, "gw-b1")
OURS_V6 = {"name": NODE, "address": IPV6.address}
OURS_BOTH = {"name": NODE, "address": ADDRESS, "ipv6Address": IPV6.address}
PEERS_V6 = {"name": "gw-b1", "address": THEIRS_V6}
PEERS_BOTH = {"name": "gw-b1", "address": THEIRS, "ipv6Address": THEIRS_V6}


def plan(
    own: dict[str, Any] = OURS_V6,
    theirs: dict[str, Any] = PEERS_V6,
    mode: ModeName = "Auto",
    kind: EncapsulationName = "VXLAN",
    addresses: tuple[NodeAddress, ...] = (IPV4, IPV6),
    agreed: tuple[str, ...] = ("198.51.100.0/24", NETWORKS_V6[1]),
) -> NodePlan:
    """Of a node that has both by default, in a cloud that has networks of both."""
    link_ = peerlink(gateway=theirs, encapsulation=kind, mode=mode, own_gateway=own)
    there = peer()
    spec = there.spec.model_copy(update={"gateway_cidrs": agreed})
    gateway = link(0x100000, gateway=theirs)
    wanted = inputs(attachment(links=(gateway,)), peers=(there.model_copy(update={"spec": spec}),), peerlinks=(link_,))
    return plan_node(replace(wanted, gateway_cidrs=("192.0.2.0/24", NETWORKS_V6[0])), addresses, frozenset())


@pytest.mark.parametrize("mode", ["Auto", "Tunnel"])
@pytest.mark.parametrize(("name", "kind"), [("VXLAN", Vxlan(14789)), ("Geneve", Geneve(14789)), ("GRE", Gre())])
def test_tunnel_mode_has_inner_ends_of_ipv4(mode: ModeName, name: EncapsulationName, kind: Any) -> None:
    found = plan(mode=mode, kind=name)
    (connection,) = found.connections
    assert (connection.ends.local_address, connection.ends.remote_address) == (IPV6.address, THEIRS_V6)
    assert connection.protection == EspTunnel(kind, INNER)
    assert found.ports.tunnels == {TunnelPort(NAME, kind, INNER)}
    assert found.inner_ends == {INNER}
    assert found.blocks == ipsec.blocks([kind]) | ipsec.blocks_between(kind, INNER)
    assert len(found.networks) == 1
    assert not found.peer_problems


@pytest.mark.parametrize(("name", "kind"), [("VXLAN", Vxlan(14789)), ("Geneve", Geneve(14789))])
def test_transport_mode_has_the_gateways_own_addresses(name: EncapsulationName, kind: Any) -> None:
    found = plan(mode="Transport", kind=name)
    (connection,) = found.connections
    assert connection.protection == EspTransport(kind)
    assert found.ports.tunnels == {TunnelPort(NAME, kind, TunnelEnds(IPV6.address, THEIRS_V6))}
    assert not found.inner_ends
    assert {str(child.sent) for child in connection.children} == {
        f"src {IPV6.address}/128 dst {THEIRS_V6}/128 proto 17 dport 14789",
        f"src {IPV6.address}/128 dst {THEIRS_V6}/128 proto 17 sport 14789",
    }
    sets = {each.name: each.elements for each in found.firewall.sets}
    assert not sets["remote_gateways"]
    assert sets["remote_gateways_v6"] == {THEIRS_V6}
    assert {str(block) for block in ipsec.blocks_of_connection(connection)} == {
        "dir out src ::/0 dst ::/0 proto 17 dport 14789",
        "dir in src ::/0 dst ::/0 proto 17 dport 14789",
        "dir out src ::/0 dst ::/0 proto 17 sport 14789",
        f"dir out src ::/0 dst {THEIRS_V6}/128 proto 58 type 1 code 4",
    }
    assert ipsec.blocks_of_connection(connection) <= found.blocks
    assert len(found.networks) == 1, "the tunnel leads to the gateway of that name"


def test_gre_in_transport_mode_is_refused_by_name() -> None:
    found = plan(mode="Transport", kind="GRE")
    problem = found.connection_problems[NAME]
    assert problem.reason == "EncapsulationNeedsIPv4"
    assert problem.message == (
        "GRE in transport mode exists between IPv4 addresses only, and the tunnel would have 2001:db8:b::11 as an end: "
        "set tunnel.mode to Auto or Tunnel in both CloudPeers, or agree on VXLAN or Geneve"
    )
    assert_nothing_made(found)


@pytest.mark.parametrize(
    ("own", "theirs", "used"),
    [
        (OURS_BOTH, PEERS_BOTH, (ADDRESS, THEIRS)),
        (OURS_BOTH, PEERS_V6, (IPV6.address, THEIRS_V6)),
        (OURS_V6, PEERS_BOTH, (IPV6.address, THEIRS_V6)),
    ],
)
def test_ipv4_if_both_have_it_else_ipv6(own: dict[str, Any], theirs: dict[str, Any], used: tuple[str, str]) -> None:
    found = plan(own, theirs)
    (connection,) = found.connections
    assert (connection.ends.local_address, connection.ends.remote_address) == used
    assert isinstance(connection.protection, EspTunnel if ":" in used[0] else EspTransport)
    assert [each.address for each in status(found)] == [used[1]]


def test_a_peer_with_ipv6_alone_is_refused_by_a_node_without_it() -> None:
    found = plan({"name": NODE, "address": ADDRESS}, addresses=(IPV4,))
    (reported,) = status(found)
    assert (reported.up, reported.reason, reported.address) == (False, "AddressFamiliesDiffer", THEIRS_V6)
    for word in (ADDRESS, THEIRS_V6, "gatewayCIDRs"):
        assert word in reported.message
    assert_nothing_made(found)


def test_a_node_that_has_lost_the_address_that_is_published_of_it_says_so() -> None:
    found = plan(OURS_V6, PEERS_V6, addresses=(IPV4,))
    problem = found.connection_problems[NAME]
    assert problem.reason == "AddressFamiliesDiffer"
    assert "this node has no such address in this cloud's gateway networks" in problem.message
    assert_nothing_made(found)


def test_an_address_besides_counts_only_if_it_is_agreed_on() -> None:
    found = plan(OURS_V6, PEERS_BOTH, agreed=("198.51.100.0/24",))
    assert found.connection_problems[NAME].reason == "AddressFamiliesDiffer"
    assert_nothing_made(found)
    (connection,) = plan(OURS_BOTH, PEERS_BOTH, agreed=("198.51.100.0/24",)).connections
    assert connection.ends.remote_address == THEIRS


def test_networks_of_the_other_version_are_none_that_a_nat_could_send_from() -> None:
    (connection,) = plan(agreed=("198.51.100.0/24", NETWORKS_V6[1], "2001:db8:c::/64")).connections
    assert connection.remote_networks == ("2001:db8:c::/64",)
    (connection,) = plan(OURS_BOTH, PEERS_BOTH | {"nat": "Behind"}).connections
    assert connection.remote_networks == ("198.51.100.0/24",)


def test_other_connections_of_the_peer_are_made() -> None:
    """One gateway of the peer has IPv6 alone, and the node IPv4 alone."""
    wanted = peerlink(own_gateway={"name": NODE, "address": ADDRESS})
    assert wanted.status.peer is not None
    (ipv4,) = wanted.status.peer.spec.gateways
    both = ipv4, ipv4.model_copy(update={"name": "gw-b2", "address": THEIRS_V6})
    wanted.status.peer.__dict__["spec"] = wanted.status.peer.spec.model_copy(update={"gateways": both})
    there = peer()
    spec = there.spec.model_copy(update={"gateway_cidrs": ("198.51.100.0/24", NETWORKS_V6[1])})
    found = plan_node(
        inputs(peers=(there.model_copy(update={"spec": spec}),), peerlinks=(wanted,)), (IPV4,), frozenset()
    )
    assert [connection.name for connection in found.connections] == [NAME]
    assert {name: problem.reason for name, problem in found.connection_problems.items()} == {
        names.tunnel_port(PEER, "gw-b2"): "AddressFamiliesDiffer"
    }


@pytest.mark.parametrize(
    ("mode", "theirs", "mtu"),
    [("Auto", PEERS_V6, 1276), ("Transport", PEERS_V6, 1296), ("Auto", PEERS_BOTH, 1416), ("Tunnel", PEERS_BOTH, 1396)],
)
def test_segments_are_limited_by_the_interface_and_headers_of_the_version_in_use(
    mode: ModeName, theirs: dict[str, Any], mtu: int
) -> None:
    """The interface with the IPv6 address has an MTU of 1400."""
    found = plan(OURS_BOTH, theirs, mode)
    assert wanted_clamps(found, BridgeView(True, found.ports)) == {Clamp("vxlan_sys_14789", mtu)}


def status(found: NodePlan) -> list[Any]:
    return list(connections(NodeFacts(found, BridgeView(True, found.ports))))


def assert_nothing_made(found: NodePlan) -> None:
    assert (found.connections, found.ports.tunnels, found.inner_ends) == ((), frozenset(), frozenset())
    assert not any(network.links for network in found.networks)
