"""The plan of one gateway node: from Kubernetes objects and the node's addresses to IPsec, ports and networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network

from isthmus.core.federation.agreement import Agreement, Disagreement, agree
from isthmus.core.snapshot.index import claim_precedence
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentLink
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer, PeerGateway
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.node.firewall import Ruleset
from isthmus.model.node.flows import PlannedLink, PlannedNetwork
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.ipsec import BlockPolicy, IkeConnection
from isthmus.model.node.switch import PatchPair, Ports, TunnelPort
from isthmus.model.node.tunnel import Encapsulation, TunnelEnds
from isthmus.model.reasons import Reason
from isthmus.model.types import MAXIMUM_MTU, MINIMUM_MTU, NEUTRON_TUNNEL_PORTS

from . import firewall, ipsec

LinkKey = tuple[str, str]
"""A network's link name and the peer's cloud ID."""

_NO_PORTS = Ports()
_NOT_UNDERSTOOD = Problem(
    Reason.NOT_UNDERSTOOD, "an object of this peer is not understood: what exists stays, see the agent's log"
)


@dataclass(frozen=True)
class NodePlan:
    """What this node must have, and why the rest cannot be planned."""

    addresses: tuple[NodeAddress, ...] = ()
    """The node's tunnel addresses; the first one is used."""
    blocks: frozenset[BlockPolicy] = frozenset()
    firewall: Ruleset = field(default_factory=Ruleset)
    connections: tuple[IkeConnection, ...] = ()
    ports: Ports = field(default_factory=Ports)
    networks: tuple[PlannedNetwork, ...] = ()
    gateways: Mapping[str, tuple[PeerGateway, ...]] = field(default_factory=dict)
    """All known remote gateways by cloud ID, including those of peers with a problem."""
    problem: Problem | None = None
    peer_problems: Mapping[str, Problem] = field(default_factory=dict)
    link_problems: Mapping[LinkKey, Problem] = field(default_factory=dict)
    kept_connections: frozenset[str] = frozenset()
    """Names of connections that stay as they are if they exist."""
    kept_patches: frozenset[str] = frozenset()
    """Names of patch ports on br-cloud of networks of which ports and flows stay as they are."""


@dataclass(frozen=True)
class _Peer:
    """A peer to which tunnels can be planned."""

    cloud_id: str
    agreement: Agreement
    gateways: tuple[PeerGateway, ...]
    connections: tuple[IkeConnection, ...]


def plan_node(
    inputs: NodeInputs,
    addresses: Iterable[NodeAddress],
    foreign_udp_ports: frozenset[int],
    installed: Ports = _NO_PORTS,
) -> NodePlan:
    """The plan; `foreign_udp_ports` are the UDP ports of this node's tunnels that are not ours, `installed` our ports.

    What is installed for networks and peers that are kept is part of the plan.
    """
    inside = tunnel_addresses(addresses, inputs.gateway_cidrs)
    ours = tuple(replace(a, mtu=min(a.mtu, MAXIMUM_MTU)) for a in inside if a.mtu >= MINIMUM_MTU)
    if not ours:
        return NodePlan(problem=_no_tunnel_address(inside, inputs.gateway_cidrs))
    present = (peer for peer in inputs.peers if not peer.metadata.deletion_timestamp)
    owning_peers = tuple(p for p in _owning_peers(present) if p.spec.cloud_id not in inputs.kept_peers)
    planned_peers = {p.spec.cloud_id: _plan_peer(inputs, p, ours[0].address, foreign_udp_ports) for p in owning_peers}
    peers = [peer for peer in planned_peers.values() if isinstance(peer, _Peer)]
    kept = _kept(inputs, installed)
    tunnels = [tunnel for peer in peers for tunnel in _tunnels(peer)] + sorted(kept.tunnels, key=lambda t: t.name)
    networks, link_problems = _networks(inputs, tunnels)
    encapsulations = {tunnel.encapsulation for tunnel in tunnels} | {peer.agreement.encapsulation for peer in peers}
    udp_ports = {port for encapsulation in encapsulations for port in encapsulation.udp_ports}
    gateways = {peer.spec.cloud_id: _known_gateways(inputs, peer) for peer in owning_peers} | {**inputs.kept_peers}
    remotes = {gateway.address for peer in peers for gateway in peer.gateways} | {t.ends.remote for t in kept.tunnels}
    problems = {cloud_id: peer for cloud_id, peer in planned_peers.items() if isinstance(peer, Problem)}
    return NodePlan(
        addresses=ours,
        blocks=ipsec.blocks(encapsulations) | ipsec.icmp_unreachable_blocks(remotes),
        firewall=firewall.ruleset(udp_ports, remotes),
        connections=tuple(connection for peer in peers for connection in peer.connections),
        ports=Ports(frozenset(tunnels), frozenset(_patches(inputs)) | kept.patches),
        networks=networks,
        gateways=gateways,
        peer_problems=problems | dict.fromkeys(inputs.kept_peers, _NOT_UNDERSTOOD),
        link_problems=link_problems,
        kept_connections=_kept_connections(inputs),
        kept_patches=_kept_patches(inputs),
    )


def _kept(inputs: NodeInputs, installed: Ports) -> Ports:
    """Of what is installed, what belongs to networks and peers that are kept."""
    if not (inputs.kept_networks or inputs.kept_peers):
        return _NO_PORTS
    connections, patches = _kept_connections(inputs), _kept_patches(inputs)
    return Ports(
        frozenset(tunnel for tunnel in installed.tunnels if tunnel.name in connections),
        frozenset(patch for patch in installed.patches if patch.cloud_name in patches),
    )


def _kept_connections(inputs: NodeInputs) -> frozenset[str]:
    """The connections to the gateways of peers that are kept; their tunnel ports have the same names."""
    kept = inputs.kept_peers.items()
    return frozenset(names.tunnel_port(cloud_id, gateway.name) for cloud_id, found in kept for gateway in found)


def _kept_patches(inputs: NodeInputs) -> frozenset[str]:
    return frozenset(names.patch_in_cloud_bridge(name) for name in inputs.kept_networks)


def _no_tunnel_address(inside: tuple[NodeAddress, ...], cidrs: Iterable[str]) -> Problem:
    text = f"this node has no address in {', '.join(cidrs)}: configure one, or correct gateway_cidrs"
    if inside:
        found = f"the interface of {inside[0].address} has MTU {inside[0].mtu}"
        text = f"{found}, and a tunnel needs at least {MINIMUM_MTU}: raise it"
    return Problem(Reason.NO_TUNNEL_ADDRESS, text)


def tunnel_addresses(addresses: Iterable[NodeAddress], cidrs: Iterable[str]) -> tuple[NodeAddress, ...]:
    """The node's addresses inside our own gateway networks, lowest first."""
    networks = [ip_network(cidr) for cidr in cidrs]
    inside = (a for a in addresses if any(ip_address(a.address) in network for network in networks))
    return tuple(sorted(inside, key=lambda a: (":" in a.address, ip_address(a.address).packed)))[:4]


def _owning_peers(peers: Iterable[CloudPeer]) -> tuple[CloudPeer, ...]:
    """The owner of each cloud ID: a second CloudPeer with the same one must not take over the first one's tunnels."""
    return tuple({p.spec.cloud_id: p for p in sorted(peers, key=claim_precedence, reverse=True)}.values())


def _plan_peer(inputs: NodeInputs, peer: CloudPeer, local: str, foreign_udp_ports: frozenset[int]) -> _Peer | Problem:
    """The peer, if it has an agreement, a policy, a key and a free UDP port; else the problem."""
    spec = peer.spec
    link = _peerlink(inputs, spec.cloud_id)
    if link is None or link.status.peer is None:
        return Problem(Reason.WAITING_FOR_PEER, "the peer's PeerLink has not been read yet")
    agreement = agree(link.spec, link.status.peer.spec)
    if isinstance(agreement, Disagreement):
        return Problem(agreement.reason, agreement.message)
    policy = next((p for p in inputs.policies if p.metadata.name == spec.ipsec.policy_ref.name), None)
    if policy is None:
        return Problem(Reason.POLICY_NOT_FOUND, f"IPsecPolicy {spec.ipsec.policy_ref.name} does not exist")
    secret = spec.ipsec.auth_secret_ref.name
    key = inputs.keys.get(secret)
    problem = ipsec.key_problem(secret, key.content if key else None)
    problem = problem or _port_problem(agreement.encapsulation, foreign_udp_ports)
    if problem is not None or key is None:
        return problem or Problem(Reason.KEY_NOT_FOUND, f"Secret {secret} does not exist")
    gateways = _known_gateways(inputs, peer)
    connections = ipsec.connections(
        own_cloud_id=inputs.cloud_id,
        node=inputs.node,
        local_address=local,
        peer=spec,
        policy=policy.spec,
        agreement=agreement,
        gateways=gateways,
        secret_version=key.version,
    )
    return _Peer(spec.cloud_id, agreement, gateways, connections)


def _peerlink(inputs: NodeInputs, cloud_id: str) -> PeerLink | None:
    key = (names.peer_namespace(cloud_id), inputs.cloud_id)
    return next((link for link in inputs.peerlinks if (link.metadata.namespace, link.metadata.name) == key), None)


def _known_gateways(inputs: NodeInputs, peer: CloudPeer) -> tuple[PeerGateway, ...]:
    """The peer's gateways inside its gatewayCIDRs. The controller checked that already; this is defence in depth."""
    link = _peerlink(inputs, peer.spec.cloud_id)
    if link is None or link.status.peer is None:
        return ()
    networks = [IPv4Network(cidr) for cidr in peer.spec.gateway_cidrs]
    return tuple(
        gateway
        for gateway in sorted(link.status.peer.spec.gateways, key=lambda g: g.name)
        if any(IPv4Address(gateway.address) in network for network in networks)
    )


def _port_problem(encapsulation: Encapsulation, foreign_udp_ports: frozenset[int]) -> Problem | None:
    for port in encapsulation.udp_ports & (NEUTRON_TUNNEL_PORTS | foreign_udp_ports):
        return Problem(Reason.TUNNEL_PORT_IN_USE, f"UDP port {port} belongs to another tunnel on this node")
    return None


def _tunnels(peer: _Peer) -> Iterator[TunnelPort]:
    for connection in peer.connections:
        ends = TunnelEnds(connection.ends.local_address, connection.ends.remote_address)
        yield TunnelPort(connection.name, peer.agreement.encapsulation, ends)


def _patches(inputs: NodeInputs) -> Iterator[PatchPair]:
    """A patch pair for every attachment port that is bound to this node."""
    for attachment in inputs.attachments:
        name = attachment.metadata.name
        for port in attachment.spec.ports:
            if port.node == inputs.node:
                yield PatchPair(
                    names.patch_in_integration_bridge(name),
                    names.patch_in_cloud_bridge(name),
                    port.port_id,
                    port.mac,
                )


def _networks(
    inputs: NodeInputs, tunnels: Iterable[TunnelPort]
) -> tuple[tuple[PlannedNetwork, ...], Mapping[LinkKey, Problem]]:
    """The networks that this node is the active one for, with their usable links, and the problems of the others."""
    active = [
        a
        for a in sorted(inputs.attachments, key=lambda a: a.metadata.name)
        if a.spec.active_node == inputs.node and any(port.node == inputs.node for port in a.spec.ports)
    ]
    by_name = {tunnel.name: tunnel for tunnel in tunnels}
    used = Counter((_tunnel_name(link), link.tunnel_id) for a in active for link in a.spec.links)
    problems: dict[LinkKey, Problem] = {}
    networks = []
    for attachment in active:
        links = []
        for link in attachment.spec.links:
            problem = _link_problem(link, by_name, used)
            if problem is not None:
                problems[attachment.metadata.name, link.cloud_id] = problem
            else:
                links.append(_planned_link(attachment, link))
        networks.append(_planned_network(attachment, links))
    return tuple(networks), problems


def _link_problem(
    link: AttachmentLink, tunnels: Mapping[str, TunnelPort], used: Mapping[tuple[str, int], int]
) -> Problem | None:
    tunnel = tunnels.get(_tunnel_name(link))
    if tunnel is None or tunnel.ends.remote != link.gateway.address:
        return Problem(Reason.NO_TUNNEL, f"no tunnel to gateway {link.gateway.name} of {link.cloud_id} yet")
    if used[tunnel.name, link.tunnel_id] > 1:
        # Two networks must never be bridged: carry neither rather than the wrong one.
        return Problem(Reason.TUNNEL_ID_IN_USE, f"tunnel ID {link.tunnel_id} is used by another network, too")
    return None


def _planned_link(attachment: Attachment, link: AttachmentLink) -> PlannedLink:
    probe_mac = names.probe_mac(attachment.metadata.name, link.cloud_id)
    return PlannedLink(link.cloud_id, _tunnel_name(link), link.tunnel_id, probe_mac)


def _planned_network(attachment: Attachment, links: Iterable[PlannedLink]) -> PlannedNetwork:
    return PlannedNetwork(
        attachment.metadata.name,
        names.patch_in_cloud_bridge(attachment.metadata.name),
        attachment.spec.role == "Origin",
        tuple(attachment.spec.gateway_addresses),
        tuple(links),
    )


def _tunnel_name(link: AttachmentLink) -> str:
    return names.tunnel_port(link.cloud_id, link.gateway.name)
