"""The plan of one gateway node: from Kubernetes objects and the node's addresses to IPsec, ports and networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.node.firewall import Ruleset
from isthmus.model.node.flows import LinkKey, PlannedNetworks
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.ipsec import BlockPolicy, IkeConnection
from isthmus.model.node.switch import EchoPort, Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds

from .expiry import Expiry
from .networks import NetworkPlanner, NetworksPlan
from .peers import PeersPlan, ProblemOf, plan_peers, raised

_NOTHING = NetworksPlan()
_NO_PORTS = Ports()


@dataclass(frozen=True)
class NodePlan:
    """What this node must have, and why the rest cannot be planned."""

    addresses: tuple[NodeAddress, ...] = ()
    """The node's tunnel addresses; the first one is used."""
    blocks: frozenset[BlockPolicy] = frozenset()
    firewall: Ruleset = field(default_factory=Ruleset)
    connections: tuple[IkeConnection, ...] = ()
    inner_ends: frozenset[TunnelEnds] = frozenset()
    """Ends of tunnels inside ESP tunnel mode."""
    ports: Ports = field(default_factory=Ports)
    networks: PlannedNetworks = field(default_factory=PlannedNetworks)
    gateways: Mapping[str, tuple[PeerGateway, ...]] = field(default_factory=dict)
    """All known remote gateways by cloud ID, including those of peers with a problem."""
    bandwidth_mbps: Mapping[str, int] = field(default_factory=dict)
    """By cloud ID, what a peer may use in each direction, where that is limited."""
    problem: Problem | None = None
    peer_problems: Mapping[str, Problem] = field(default_factory=dict)
    connection_problems: Mapping[str, Problem] = field(default_factory=dict)
    """By name of a connection to one of several gateways of a peer, why it cannot be planned."""
    without_nat: frozenset[str] = frozenset()
    """Names of planned connections between whose gateways neither cloud knows of a NAT."""
    link_problems: Mapping[LinkKey, Problem] = field(default_factory=dict)
    kept_connections: frozenset[str] = frozenset()
    """Names of connections that stay as they are if they exist."""
    expiries: tuple[Expiry, ...] = ()
    """What expires of the certificates, CAs and CRLs in use."""
    key_exchanges: frozenset[str] | None = None
    """Those that it is planned for: what charon could do; None if it had not answered."""
    kept_patches: frozenset[str] = frozenset()
    """Names of patch ports on br-cloud of networks of which ports and flows stay as they are."""


def plan_node(
    inputs: NodeInputs,
    addresses: Iterable[NodeAddress],
    foreign_udp_ports: frozenset[int],
    installed: Ports = _NO_PORTS,
    key_exchanges: frozenset[str] | None = None,
) -> NodePlan:
    """The plan; `foreign_udp_ports` are the UDP ports of this node's tunnels that are not ours, `installed` our ports.

    What is installed for networks and peers that are kept is part of the plan. `key_exchanges` are those that charon
    can do, None if it has never answered.
    """
    return NodePlanner().plan(inputs, addresses, foreign_udp_ports, installed, key_exchanges)


class NodePlanner:
    """Plans like `plan_node`, at the cost of what has changed since it planned last.

    The peers are planned again if anything of them changed, networks one by one. A new planner plans everything.
    `problem_of` makes the problem of one peer of an exception while that is planned; by default it is raised.
    """

    def __init__(self, problem_of: ProblemOf = raised) -> None:
        self._problem_of = problem_of
        self._planned_from: tuple[object, ...] = ()
        self._peers = PeersPlan()
        self._networks = NetworkPlanner("", {})
        self._parts: tuple[PeersPlan, NetworksPlan] | None = None
        self._plan = NodePlan()

    def plan(
        self,
        inputs: NodeInputs,
        addresses: Iterable[NodeAddress],
        foreign_udp_ports: frozenset[int],
        installed: Ports = _NO_PORTS,
        key_exchanges: frozenset[str] | None = None,
    ) -> NodePlan:
        """The plan; the same object as before if it is the same. After an exception everything is planned again."""
        try:
            self._plan_peers(inputs, tuple(addresses), foreign_udp_ports, installed.tunnels, key_exchanges)
            networks = _NOTHING if self._peers.problem else self._networks.plan(inputs, installed.patches)
        except Exception:
            self._planned_from, self._peers = (), PeersPlan()
            self._networks = NetworkPlanner("", {})
            raise
        if self._parts is None or self._parts[0] is not self._peers or self._parts[1] is not networks:
            self._parts, self._plan = (self._peers, networks), _node_plan(self._peers, networks)
        return self._plan

    def _plan_peers(
        self,
        inputs: NodeInputs,
        addresses: tuple[NodeAddress, ...],
        foreign_udp_ports: frozenset[int],
        installed: frozenset[TunnelPort],
        key_exchanges: frozenset[str] | None,
    ) -> None:
        settings = inputs.node, inputs.cloud_id, inputs.gateway_cidrs
        secrets = inputs.keys, inputs.certificates
        objects = inputs.peers, inputs.policies, inputs.peerlinks, secrets, inputs.kept_peers
        planned_from = (*settings, *objects, addresses, foreign_udp_ports, installed, key_exchanges)
        if planned_from == self._planned_from:
            return
        before = self._peers
        planned = plan_peers(inputs, addresses, foreign_udp_ports, installed, key_exchanges, self._problem_of)
        kept = {id_: before.bandwidth_mbps[id_] for id_ in inputs.kept_peers if id_ in before.bandwidth_mbps}
        self._peers = replace(planned, bandwidth_mbps={**planned.bandwidth_mbps, **kept})
        if self._planned_from[:1] != (inputs.node,) or before.tunnels != self._peers.tunnels:
            self._networks = NetworkPlanner(inputs.node, {tunnel.name: tunnel for tunnel in self._peers.tunnels})
        self._planned_from = planned_from


def _node_plan(peers: PeersPlan, networks: NetworksPlan) -> NodePlan:
    return NodePlan(
        addresses=peers.addresses,
        blocks=peers.blocks,
        firewall=peers.firewall,
        connections=peers.connections,
        inner_ends=peers.inner_ends,
        ports=Ports(peers.tunnels, networks.patches, frozenset(EchoPort(t.encapsulation) for t in peers.tunnels)),
        networks=networks.networks,
        gateways=peers.gateways,
        bandwidth_mbps=peers.bandwidth_mbps,
        problem=peers.problem,
        peer_problems=peers.problems,
        connection_problems=peers.connection_problems,
        without_nat=peers.without_nat,
        link_problems=networks.problems,
        kept_connections=peers.kept_connections,
        expiries=peers.expiries,
        key_exchanges=peers.key_exchanges,
        kept_patches=networks.kept,
    )
