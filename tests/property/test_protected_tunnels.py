"""Whatever peers a node has: what its tunnel ports send and receive is protected, and blocked if it is not."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, ip_address
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.node import inner
from isthmus.core.node.inner import is_inner
from isthmus.core.node.plan import NodePlan, plan_node
from isthmus.core.node.setcache import SetCache
from isthmus.model import names
from isthmus.model.names import PROBE_PORT
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.ipsec import Child, EspTunnel
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.switch import TunnelPort
from isthmus.model.node.traffic import AnyTraffic, IcmpType, Selector, UdpPorts
from isthmus.model.node.tunnel import EncapsulationName, Gre
from tests.fakes.nodeobjects import ADDRESS, BLUE, NODE, RED, attachment, inputs, link, peer, peerlink

HERE = (NodeAddress(ADDRESS, 1500),)
IPV6 = "2001:db8::11"
UDP, GRE = 17, 47
_ECHO = re.compile(r"set_field:([0-9a-f.:]+)->tun_(?:ipv6_)?src,set_field:(\S+)->tun_(?:ipv6_)?dst,output:(\d+)$")
NAT_ADDRESS = "203.0.113.1"
NATS = st.sampled_from([None, "Behind", "Forwarded"])
MODES = st.sampled_from(["Transport", "Auto", "Tunnel"])
FOREIGN_PORTS = (4789, 6081, 53)


@dataclass(frozen=True)
class Packet:
    """An outer packet; GRE has no ports."""

    source: str
    destination: str
    protocol: int
    source_port: int = 0
    destination_port: int = 0

    def matches(self, selector: Selector) -> bool:
        ends = (self.source, selector.source), (self.destination, selector.destination)
        if selector.protocol != self.protocol or not all(ip_address(a) in prefix for a, prefix in ends):
            return False
        match selector.traffic:
            case UdpPorts(source, destination):
                return source in (None, self.source_port) and destination in (None, self.destination_port)
            case AnyTraffic():
                return True
        return False

    def is_blocked(self, plan: NodePlan, direction: str) -> bool:
        return any(block.direction == direction and self.matches(block.selector) for block in plan.blocks)

    def is_dropped(self, plan: NodePlan, direction: str) -> bool:
        """By the nftables table, as `core.node.firewall` describes its rules."""
        sets = {found.name: found.elements for found in plan.firewall.sets}
        remote = self.source if direction == "in" else self.destination
        if self.protocol == GRE:
            return remote in sets.get("gre_gateways", ())
        ports = {self.destination_port} | ({self.source_port} if direction == "out" else set())
        return self.protocol == UDP and not ports.isdisjoint(sets.get("tunnel_ports", ()))


def mirrored(child: Child) -> Selector:
    """What the peer sends."""
    sent = child.sent
    traffic = sent.traffic
    if isinstance(traffic, UdpPorts):
        traffic = UdpPorts(traffic.destination, traffic.source)
    return Selector(sent.destination, sent.source, traffic)


@st.composite
def plans(draw: st.DrawFn) -> NodePlan:
    """Up to four peers of any kinds and modes, with UDP ports that clash or not.

    Each has one or two gateways, which may be behind one and the same NAT; and this node may be behind one, too.
    """
    peers, links, paths = [], [], []
    own_nat = draw(NATS)
    own = {"name": NODE, "address": ADDRESS, "ipv6Address": IPV6} | _published(own_nat, NAT_ADDRESS)
    for number in range(draw(st.integers(1, 4))):
        cloud_id = f"cloud-{'bcde'[number]}"
        kind: EncapsulationName = draw(st.sampled_from(["VXLAN", "Geneve", "GRE"]))
        port = draw(st.sampled_from([14789, 14790, 16081]))
        is_ipv6 = draw(st.booleans())
        network = f"2001:db8:{number + 1}::" if is_ipv6 else f"198.51.{100 + number}."
        needs_tunnel = own_nat is not None or (is_ipv6 and kind == "GRE")
        mode = draw(MODES.filter(lambda mode: mode != "Transport" or not needs_tunnel))  # noqa: B023
        nats = NATS if mode != "Transport" else st.none()
        first = {"name": "gw", "address": f"{network}{draw(st.integers(1, 3))}"}
        first |= _published(draw(nats.filter(lambda nat: nat != "Behind" or own_nat != "Behind")))
        second = {"name": "gw2", "address": f"{network}9"} | _published(draw(nats))
        if first.get("nat") and second.get("nat"):
            second["address"] = first["address"]
        further = (second,) if draw(st.booleans()) else ()
        peers.append(peer(cloud_id, f"{network}/64" if is_ipv6 else f"{network}0/24"))
        named = peerlink(cloud_id, first, port, port, kind, mode=mode, own_gateway=own, further_gateways=further)
        links.append(named)
        paths += [(index, link(0x100000 + number, cloud_id, gw)) for index, gw in enumerate((first, *further))]
    stretched = [
        attachment(network, links=found)
        for index, network in enumerate((RED, BLUE))
        if (found := tuple(path for which, path in paths if which == index))
    ]
    wanted = replace(
        inputs(*stretched, peers=tuple(peers), peerlinks=tuple(links)), gateway_cidrs=("192.0.2.0/24", "2001:db8::/64")
    )
    return plan_node(wanted, (*HERE, NodeAddress(IPV6, 1500)), frozenset())


def _published(nat: str | None, address: str | None = None) -> dict[str, Any]:
    """What is published of a gateway with such a NAT; `address` is the NAT's, if it is another one."""
    if nat is None:
        return {}
    return {"nat": nat} | ({"address": address} if address else {})


def echoes(plan: NodePlan, entropy: int) -> list[Packet]:
    """What echo ports send by the flows of networks."""
    ports = {port.name for port in plan.ports.encapsulating} | {patch.cloud_name for patch in plan.ports.patches}
    ofport = {name: number for number, name in enumerate(sorted(ports | {PROBE_PORT}), 1)}
    kinds = {ofport[echo.name]: echo.encapsulation for echo in plan.ports.echoes}
    numbers = Numbers(
        {patch_port: 0x10 + number for number, patch_port in enumerate(sorted(n.patch_port for n in plan.networks))},
        {cloud_id: 0x20 + number for number, cloud_id in enumerate(sorted(plan.gateways))},
    )
    flows = {flow for found in SetCache().sets(plan, numbers, ofport).values() for flow in found.flows}
    sent = []
    for source, destination, port in (found.groups() for flow in flows if (found := _ECHO.search(flow))):
        kind = kinds[int(port)]
        if isinstance(kind, Gre):
            sent.append(Packet(source, destination, GRE))
        sent += [Packet(source, destination, UDP, entropy, udp_port) for udp_port in kind.udp_ports]
    return sent


def packets(tunnel: TunnelPort, entropy: int) -> tuple[Packet, Packet]:
    """What the port sends with a source port of Open vSwitch's choice, and what it takes in."""
    here, there = tunnel.ends.local, tunnel.ends.remote
    if isinstance(tunnel.encapsulation, Gre):
        return Packet(here, there, GRE), Packet(there, here, GRE)
    (port,) = tunnel.encapsulation.udp_ports
    return Packet(here, there, UDP, entropy, port), Packet(there, here, UDP, entropy, port)


@given(plans(), st.integers(1, 65535))
def test_all_packets_of_all_ports_are_protected_and_fenced(plan: NodePlan, entropy: int) -> None:
    require_fences(plan, entropy)


def require_fences(plan: NodePlan, entropy: int) -> None:
    """What each tunnel port sends and takes in is protected, and dropped by either fence if it is not."""
    connections = {connection.name: connection for connection in plan.connections}
    assert {tunnel.name for tunnel in plan.ports.tunnels} == connections.keys()
    for tunnel in plan.ports.tunnels:
        sent, received = packets(tunnel, entropy)
        children = connections[tunnel.name].children
        assert any(sent.matches(child.sent) for child in children)
        assert any(received.matches(mirrored(child)) for child in children)
        assert sent.is_blocked(plan, "out")
        assert received.is_blocked(plan, "in")
        assert sent.is_dropped(plan, "out")
        assert received.is_dropped(plan, "in")


@given(plans())
def test_what_quotes_a_decrypted_packet_is_blocked(plan: NodePlan) -> None:
    """The kernel answers a packet for which there is no port by ICMP (RFC 792, RFC 4443), in clear."""
    dropped = {found.name: found.elements for found in plan.firewall.sets}
    for tunnel in plan.ports.tunnels:
        here, there = ip_address(tunnel.ends.local), ip_address(tunnel.ends.remote)
        selectors = [block.selector for block in plan.blocks if block.direction == "out"]
        blocked = {s.traffic for s in selectors if here in s.source and there in s.destination}
        refusals = {IcmpType(3, 3) if there.version == 4 else IcmpType(1, 4)}
        refusals |= {IcmpType(3, 2)} if isinstance(tunnel.encapsulation, Gre) else set()
        assert refusals <= blocked
        assert str(there) in dropped["remote_gateways" if there.version == 4 else "remote_gateways_v6"]


@given(plans(), st.integers(1, 65535))
def test_what_echo_ports_can_send_is_fenced(plan: NodePlan, entropy: int) -> None:
    """Their flows set both ends, to those of tunnels. Where a port tells tunnels apart, other ends are fenced, too."""
    assert {echo.encapsulation for echo in plan.ports.echoes} == {t.encapsulation for t in plan.ports.tunnels}
    sent = echoes(plan, entropy)
    assert {(p.source, p.destination) for p in sent} == {(t.ends.local, t.ends.remote) for t in plan.ports.tunnels}
    children = [child for connection in plan.connections for child in connection.children]
    for packet in sent:
        assert any(packet.matches(child.sent) for child in children), "protected like what the tunnel ports send"
        assert packet.is_blocked(plan, "out")
        assert packet.is_dropped(plan, "out")
    for port in (udp_port for echo in plan.ports.echoes for udp_port in echo.encapsulation.udp_ports):
        packet = Packet(ADDRESS, "203.0.113.9", UDP, entropy, port)
        assert packet.is_blocked(plan, "out")
        assert packet.is_dropped(plan, "out")


@given(plans())
def test_no_block_is_a_policy_of_charon(plan: NodePlan) -> None:
    """The kernel has one policy for a direction and a selector: charon would replace the block, and later remove it."""
    children = [child for connection in plan.connections for child in connection.children]
    charons = {("out", child.sent) for child in children} | {("in", mirrored(child)) for child in children}
    assert charons
    assert charons.isdisjoint((block.direction, block.selector) for block in plan.blocks)


@given(plans(), st.sampled_from(FOREIGN_PORTS))
def test_what_others_send_passes(plan: NodePlan, port: int) -> None:
    """Neutron's own tunnels of each kind, also from and to the address of our tunnels."""
    other, other_v6 = "203.0.113.9", "2001:db8:9::9"
    for ends in ((ADDRESS, other), (other, ADDRESS), (IPV6, other_v6), (other_v6, IPV6)):
        for packet in (Packet(*ends, GRE), Packet(*ends, UDP, 50000, port)):
            for direction in ("in", "out"):
                assert not packet.is_blocked(plan, direction)
                assert not packet.is_dropped(plan, direction)


@given(plans())
def test_a_udp_port_has_tunnels_of_one_kind_only(plan: NodePlan) -> None:
    kinds: dict[int, set[str]] = {}
    for tunnel in plan.ports.tunnels:
        for port in tunnel.encapsulation.udp_ports:
            kinds.setdefault(port, set()).add(tunnel.encapsulation.NAME)
    assert all(len(found) == 1 for found in kinds.values())
    assert {problem.reason for problem in plan.peer_problems.values()} <= {"TunnelPortInUse"}
    assert plan.ports.tunnels, "the first one has its port"


@given(plans())
def test_each_tunnel_in_tunnel_mode_has_ends_of_its_own(plan: NodePlan) -> None:
    assert {problem.reason for problem in plan.connection_problems.values()} <= {"NobodyReachable"}
    require_ends_of_its_own_for_each_tunnel(plan)


@given(st.data(), st.integers(1, 65535))
def test_inner_ends_that_collide_are_refused_and_all_others_are_fenced(data: st.DataObject, entropy: int) -> None:
    with mock.patch.object(inner, "_PAIRS", 3):
        plan = data.draw(plans())
    require_ends_of_its_own_for_each_tunnel(plan)
    assert {problem.reason for problem in plan.connection_problems.values()} <= {"NobodyReachable", "InnerEndsCollide"}
    known = {names.tunnel_port(c, g.name) for c, found in plan.gateways.items() for g in found}
    clashing = {names.tunnel_port(c, g.name) for c in plan.peer_problems for g in plan.gateways[c]}
    planned = {connection.name for connection in plan.connections}
    assert planned.isdisjoint(plan.connection_problems)
    assert known == planned | plan.connection_problems.keys() | clashing, "none is missing without a reason"
    require_fences(plan, entropy)


def require_ends_of_its_own_for_each_tunnel(plan: NodePlan) -> None:
    inside = [c.tunnel_ends for c in plan.connections if isinstance(c.protection, EspTunnel)]
    assert plan.inner_ends == set(inside)
    addresses = [address for ends in inside for address in (ends.local, ends.remote)]
    assert len(addresses) == len(set(addresses))
    assert {ADDRESS, IPV6, NAT_ADDRESS}.isdisjoint(addresses)
    assert not any(is_inner(c.tunnel_ends) for c in plan.connections if not isinstance(c.protection, EspTunnel))


def test_the_checks_can_fail() -> None:
    block = Selector(IPv4Network("0.0.0.0/0"), IPv4Network("198.51.100.1/32"), AnyTraffic(GRE))
    assert Packet(ADDRESS, "198.51.100.1", GRE).matches(block)
    assert not Packet(ADDRESS, "198.51.100.2", GRE).matches(block)
    assert not Packet(ADDRESS, "198.51.100.1", UDP).matches(block)
