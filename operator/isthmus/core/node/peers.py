"""What a gateway node needs for its peers, whatever networks there are: addresses, fences, connections, tunnels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_address, ip_network

from isthmus.core.federation.agreement import Agreement, Disagreement, agree
from isthmus.core.federation.pairing import Pairing, as_published
from isthmus.core.snapshot.index import claim_precedence
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.addresses import is_possible_gateway
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer, PeerGateway
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.node.firewall import Ruleset
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.ipsec import BlockPolicy, IkeConnection
from isthmus.model.node.switch import TunnelPort
from isthmus.model.node.tunnel import Encapsulation, TunnelEnds
from isthmus.model.reasons import Reason
from isthmus.model.types import MAXIMUM_MTU, MINIMUM_MTU, NEUTRON_TUNNEL_PORTS

from . import credentials, firewall, hybrid, ipsec
from .expiry import Expiry
from .inner import is_inner, unusable

ProblemOf = Callable[[Exception], Problem]
"""What an unexpected exception is reported as. It may raise it again."""

_MAX_ADDRESSES = 4
_NOT_UNDERSTOOD = Problem(
    Reason.NOT_UNDERSTOOD, "an object of this peer is not understood: what exists stays, see the agent's log"
)


@dataclass(frozen=True)
class PeersPlan:
    """The part of a node's plan that networks share."""

    addresses: tuple[NodeAddress, ...] = ()
    blocks: frozenset[BlockPolicy] = frozenset()
    firewall: Ruleset = field(default_factory=Ruleset)
    connections: tuple[IkeConnection, ...] = ()
    inner_ends: frozenset[TunnelEnds] = frozenset()
    """Ends of tunnels inside ESP tunnel mode."""
    tunnels: frozenset[TunnelPort] = frozenset()
    gateways: Mapping[str, tuple[PeerGateway, ...]] = field(default_factory=dict)
    bandwidth_mbps: Mapping[str, int] = field(default_factory=dict)
    """By cloud ID, what a peer may use in each direction, where that is limited."""
    problem: Problem | None = None
    problems: Mapping[str, Problem] = field(default_factory=dict)
    """By cloud ID, why a peer's tunnels cannot be planned."""
    connection_problems: Mapping[str, Problem] = field(default_factory=dict)
    """By name of a connection, why that one cannot be planned."""
    without_nat: frozenset[str] = frozenset()
    """Names of planned connections between whose gateways neither cloud knows of a NAT."""
    kept_connections: frozenset[str] = frozenset()
    """Names of connections that stay as they are if they exist."""
    expiries: tuple[Expiry, ...] = ()
    """What expires of the certificates, CAs and CRLs in use."""
    key_exchanges: frozenset[str] | None = None


@dataclass(frozen=True)
class _Peer:
    """A peer to which tunnels can be planned."""

    agreement: Agreement
    gateways: tuple[PeerGateway, ...]
    connections: tuple[IkeConnection, ...]
    expiries: tuple[Expiry, ...] = ()
    problems: Mapping[str, Problem] = field(default_factory=dict)
    """By name, why a connection to one of its gateways cannot be planned."""
    without_nat: frozenset[str] = frozenset()
    """Names of connections without a NAT that either cloud knows of."""


def raised(error: Exception) -> Problem:
    """Nothing is isolated: what is unexpected ends the planning."""
    raise error


def plan_peers(
    inputs: NodeInputs,
    addresses: Iterable[NodeAddress],
    foreign_udp_ports: frozenset[int],
    installed: frozenset[TunnelPort],
    key_exchanges: frozenset[str] | None = None,
    problem_of: ProblemOf = raised,
) -> PeersPlan:
    """The plan of all peers; `installed` are the existing tunnels. Attachments make no difference.

    `key_exchanges` are those that charon can do, None if that is not known. A peer that cannot be planned because of
    an unexpected exception has the problem that `problem_of` makes of it, and what exists of it stays.
    """
    addresses = tuple(addresses)
    inside = tunnel_addresses(addresses, inputs.gateway_cidrs)
    ours = tuple(replace(a, mtu=min(a.mtu, MAXIMUM_MTU)) for a in inside if a.mtu >= MINIMUM_MTU)
    if not ours:
        return PeersPlan(problem=_no_tunnel_address(inside, inputs.gateway_cidrs))
    present = (peer for peer in inputs.peers if not peer.metadata.deletion_timestamp)
    owning_peers = tuple(p for p in _owning_peers(present) if p.spec.cloud_id not in inputs.kept_peers)
    links = _peerlinks(inputs)
    local = tuple(address.address for address in ours)
    plan = partial(_plan_peer, inputs, local=local, foreign_udp_ports=foreign_udp_ports, key_exchanges=key_exchanges)
    planned, keeping = _plan_each(inputs, owning_peers, links, plan, problem_of)
    gateways = {peer.spec.cloud_id: _known_gateways(peer, links.get(peer.spec.cloud_id)) for peer in owning_peers}
    kept_connections = _kept_connections({c: gateways[c] for c in keeping} | {**inputs.kept_peers})
    kept = frozenset(t for t in installed if t.name in kept_connections and _are_addresses(t.ends))
    planned |= _clashes(planned, kept, installed)
    refused = _collisions(planned, kept, installed, addresses)
    peers = [_without(peer, refused) for peer in planned.values() if isinstance(peer, _Peer)]
    tunnels = frozenset(tunnel for peer in peers for tunnel in _tunnels(peer)) | kept
    encapsulations = {tunnel.encapsulation for tunnel in tunnels} | {peer.agreement.encapsulation for peer in peers}
    problems = {cloud_id: peer for cloud_id, peer in planned.items() if isinstance(peer, Problem)}
    return PeersPlan(
        addresses=ours,
        blocks=_blocks(encapsulations, tunnels),
        firewall=_ruleset(encapsulations, tunnels),
        connections=tuple(connection for peer in peers for connection in peer.connections),
        inner_ends=frozenset(tunnel.ends for tunnel in tunnels if is_inner(tunnel.ends)),
        tunnels=tunnels,
        gateways=gateways | {**inputs.kept_peers},
        bandwidth_mbps=_bandwidth_mbps(owning_peers),
        problems=problems | dict.fromkeys(inputs.kept_peers, _NOT_UNDERSTOOD),
        connection_problems=refused | {name: p for peer in peers for name, p in peer.problems.items()},
        without_nat=frozenset(name for peer in peers for name in peer.without_nat),
        kept_connections=kept_connections,
        expiries=tuple(expiry for peer in peers for expiry in peer.expiries),
        key_exchanges=key_exchanges,
    )


def _bandwidth_mbps(peers: Iterable[CloudPeer]) -> dict[str, int]:
    limits = ((peer.spec.cloud_id, peer.spec.agreement.limits.bandwidth_mbps) for peer in peers)
    return {cloud_id: limit for cloud_id, limit in limits if limit is not None}


def _plan_each(
    inputs: NodeInputs,
    peers: Iterable[CloudPeer],
    links: Mapping[str, PeerLink],
    plan: Callable[[CloudPeer, PeerLink | None], _Peer | Problem],
    problem_of: ProblemOf,
) -> tuple[dict[str, _Peer | Problem], set[str]]:
    """Each peer, planned separately, and the cloud IDs of those of which connections and tunnels stay as they are."""
    planned: dict[str, _Peer | Problem] = {}
    keeping: set[str] = set()
    for peer in peers:
        cloud_id, link = peer.spec.cloud_id, links.get(peer.spec.cloud_id)
        try:
            planned[cloud_id] = plan(peer, link)
            keeps = credentials.keeps_what_stands(inputs, peer.spec, link)
        except Exception as error:  # of one peer: all others are planned
            planned[cloud_id], keeps = problem_of(error), True
        if keeps:
            keeping.add(cloud_id)
    return planned, keeping


def _are_addresses(ends: TunnelEnds) -> bool:
    """Whether both are: others may have changed a port of ours in OVSDB, and then there is nothing to keep."""
    try:
        return bool(ip_address(ends.local) and ip_address(ends.remote))
    except ValueError:
        return False


def _clashes(
    planned: Mapping[str, _Peer | Problem], kept: frozenset[TunnelPort], installed: frozenset[TunnelPort]
) -> dict[str, Problem]:
    """Peers whose UDP port another peer has, for tunnels of another kind: who has it already, else who sorts first."""
    peers = {cloud_id: peer for cloud_id, peer in planned.items() if isinstance(peer, _Peer)}
    used = {port: tunnel.encapsulation for tunnel in kept for port in tunnel.encapsulation.udp_ports}
    found: dict[str, Problem] = {}
    for cloud_id in sorted(peers, key=lambda c: (installed.isdisjoint(_tunnels(peers[c])), c)):
        wanted = peers[cloud_id].agreement.encapsulation
        other = next((used[port] for port in wanted.udp_ports if used.get(port, wanted) != wanted), None)
        if other is None:
            used |= dict.fromkeys(wanted.udp_ports, wanted)
        else:
            text = f"another peer's tunnels are {other}: this peer's cannot be {wanted}"
            found[cloud_id] = Problem(Reason.TUNNEL_PORT_IN_USE, text)
    return found


def _collisions(
    planned: Mapping[str, _Peer | Problem],
    kept: frozenset[TunnelPort],
    installed: frozenset[TunnelPort],
    addresses: Iterable[NodeAddress],
) -> dict[str, Problem]:
    """By name, connections whose inner ends something else on this node has."""
    ports = {tunnel for peer in planned.values() if isinstance(peer, _Peer) for tunnel in _tunnels(peer)} | kept
    wanted = {tunnel.name: tunnel.ends for tunnel in ports if is_inner(tunnel.ends)}
    existing = {tunnel.name for tunnel in installed if wanted.get(tunnel.name) == tunnel.ends}
    found = unusable(wanted, existing, (address.address for address in addresses))
    return {
        name: Problem(
            Reason.INNER_ENDS_COLLIDE,
            f"the tunnel from {wanted[name]} would have an end of {owner}: give one of the two gateways another name",
        )
        for name, owner in found.items()
    }


def _without(peer: _Peer, refused: Collection[str]) -> _Peer:
    return replace(peer, connections=tuple(c for c in peer.connections if c.name not in refused))


def _blocks(encapsulations: Iterable[Encapsulation], tunnels: Iterable[TunnelPort]) -> frozenset[BlockPolicy]:
    to_gateways = (ipsec.blocks_between(tunnel.encapsulation, tunnel.ends) for tunnel in tunnels)
    return ipsec.blocks(encapsulations).union(*to_gateways)


def _ruleset(encapsulations: Iterable[Encapsulation], tunnels: Iterable[TunnelPort]) -> Ruleset:
    tunnels = tuple(tunnels)
    return firewall.ruleset(
        {port for encapsulation in encapsulations for port in encapsulation.udp_ports},
        {tunnel.ends.remote for tunnel in tunnels},
        {tunnel.ends.remote for tunnel in tunnels if not tunnel.encapsulation.udp_ports},
    )


def _kept_connections(gateways: Mapping[str, tuple[PeerGateway, ...]]) -> frozenset[str]:
    """The connections to the gateways of peers that are kept; their tunnel ports have the same names.

    A Secret that cannot be used for certificates has no effect on existing connections, nor has a defect of ours.
    """
    return frozenset(
        names.tunnel_port(cloud_id, gateway.name) for cloud_id, found in gateways.items() for gateway in found
    )


def _no_tunnel_address(inside: tuple[NodeAddress, ...], cidrs: Iterable[str]) -> Problem:
    text = f"this node has no address in {', '.join(cidrs)}: configure one, or correct gateway_cidrs"
    if inside:
        found = f"the interface of {inside[0].address} has MTU {inside[0].mtu}"
        text = f"{found}, and a tunnel needs at least {MINIMUM_MTU}: raise it"
    return Problem(Reason.NO_TUNNEL_ADDRESS, text)


def tunnel_addresses(addresses: Iterable[NodeAddress], cidrs: Iterable[str]) -> tuple[NodeAddress, ...]:
    """The node's addresses inside our own gateway networks, IPv4 first, then lowest first. The first of each counts."""
    networks = [ip_network(cidr) for cidr in cidrs]
    possible = [a for a in addresses if is_possible_gateway(a.address)]  # a wide network may also have loopback
    inside = [a for a in possible if any(ip_address(a.address) in network for network in networks)]
    ordered = sorted(inside, key=lambda a: ip_address(a.address).packed)
    ipv4, ipv6 = ([a for a in ordered if ip_address(a.address).version == version] for version in (4, 6))
    return (*ipv4[: _MAX_ADDRESSES - bool(ipv6)], *ipv6)[:_MAX_ADDRESSES]


def _owning_peers(peers: Iterable[CloudPeer]) -> tuple[CloudPeer, ...]:
    """The owner of each cloud ID: a second CloudPeer with the same one must not take over the first one's tunnels."""
    return tuple({p.spec.cloud_id: p for p in sorted(peers, key=claim_precedence, reverse=True)}.values())


def _peerlinks(inputs: NodeInputs) -> dict[str, PeerLink]:
    """Our PeerLinks, by the peer's cloud ID."""
    by_namespace = {link.metadata.namespace: link for link in inputs.peerlinks if link.metadata.name == inputs.cloud_id}
    cloud_ids = {peer.spec.cloud_id for peer in inputs.peers}
    found = ((cloud_id, by_namespace.get(names.peer_namespace(cloud_id))) for cloud_id in cloud_ids)
    return {cloud_id: link for cloud_id, link in found if link is not None}


def _plan_peer(
    inputs: NodeInputs,
    peer: CloudPeer,
    link: PeerLink | None,
    local: tuple[str, ...],
    foreign_udp_ports: frozenset[int],
    key_exchanges: frozenset[str] | None,
) -> _Peer | Problem:
    """The peer, if it has an agreement that charon can do, a policy, a key and a free UDP port; else the problem."""
    spec = peer.spec
    if link is None or link.status.peer is None:
        return Problem(Reason.WAITING_FOR_PEER, "the peer's PeerLink has not been read yet")
    agreed = agree(link.spec, link.status.peer.spec)
    if isinstance(agreed, Disagreement):
        return Problem(agreed.reason, agreed.message)
    policy = next((p for p in inputs.policies if p.metadata.name == spec.ipsec.policy_ref.name), None)
    if policy is None:
        return Problem(Reason.POLICY_NOT_FOUND, f"IPsecPolicy {spec.ipsec.policy_ref.name} does not exist")
    found = credentials.credential_of(inputs, peer.spec, agreed)
    if isinstance(found, Problem):
        return found
    agreement = hybrid.loadable(agreed, key_exchanges)
    if isinstance(agreement, Problem):
        return agreement
    problem = _port_problem(agreement.encapsulation, foreign_udp_ports)
    if problem is not None:
        return problem
    gateways = _known_gateways(peer, link)
    own = as_published(link.spec.gateways, inputs.node, local)
    connections = ipsec.connections(
        own_cloud_id=inputs.cloud_id,
        node=inputs.node,
        local_address=local[0],
        further_addresses=local[1:],
        peer=spec,
        policy=policy.spec,
        agreement=agreement,
        gateways=gateways,
        secret_version="",
        credential=found.ref,
        own=own,
    )
    pairs = {
        names.tunnel_port(spec.cloud_id, gateway.name): ipsec.pair_of_node(agreement, own, gateway, local)
        for gateway in gateways
    }
    problems = {name: pair for name, pair in pairs.items() if isinstance(pair, Problem)}
    plain = frozenset(name for name, pair in pairs.items() if isinstance(pair, Pairing) and not pair.through_nat)
    return _Peer(agreement, gateways, connections, found.expiries, problems, plain)


def _known_gateways(peer: CloudPeer, link: PeerLink | None) -> tuple[PeerGateway, ...]:
    """The peer's gateways inside its gatewayCIDRs. The controller checked that already; this is defence in depth."""
    if link is None or link.status.peer is None:
        return ()
    networks = [ip_network(cidr) for cidr in peer.spec.gateway_cidrs]

    def agreed(address: str | None) -> bool:
        return address is not None and any(ip_address(address) in network for network in networks)

    return tuple(
        gateway if agreed(gateway.ipv6_address) else gateway.model_copy(update={"ipv6_address": None})
        for gateway in sorted(link.status.peer.spec.gateways, key=lambda g: g.name)
        if agreed(gateway.address)
    )


def _port_problem(encapsulation: Encapsulation, foreign_udp_ports: frozenset[int]) -> Problem | None:
    for port in encapsulation.udp_ports & (NEUTRON_TUNNEL_PORTS | foreign_udp_ports):
        return Problem(Reason.TUNNEL_PORT_IN_USE, f"UDP port {port} belongs to another tunnel on this node")
    return None


def _tunnels(peer: _Peer) -> Iterator[TunnelPort]:
    for connection in peer.connections:
        yield TunnelPort(connection.name, peer.agreement.encapsulation, connection.tunnel_ends)
