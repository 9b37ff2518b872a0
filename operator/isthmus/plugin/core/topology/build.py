"""From the objects of a cloud to its topology.

Agents see a tunnel or a link fail seconds before the controller writes a condition. So what they report counts, unless
it is old because the agent does not run; conditions of the controller do not count while no controller is active.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..diagnosis.catalogue import Code
from ..diagnosis.installation import has_controller, hidden_layers, node_fault
from ..diagnosis.layers import Layer
from ..diagnosis.subject import Readings
from ..leases import cloud_id
from ..resources import Attachment, Cloud, Connection, Expansion, ExpansionPeer, Link, Node, Peer
from .graph import Branch, GatewayNode, Member, Network, Topology, Tunnel
from .states import NOT_REPORTED, Health, State, of_link, of_member, of_report, of_resource

_NO_CONTROLLER = Health(State.UNKNOWN, Code.CONTROLLER_NOT_ACTIVE, "no controller is active: what it reports is old")


def build(readings: Readings) -> Topology:
    """The topology of everything that was read."""
    cloud, facts = readings.cloud, _Facts(readings)
    return Topology(
        cloud_id=cloud_id(readings.processes, cloud),
        nodes=tuple(_node(node, readings) for node in cloud.nodes),
        branches=tuple(facts.branch(name, cloud_id, peer) for name, cloud_id, peer in _peers(cloud)),
    )


def _node(node: Node, readings: Readings) -> GatewayNode:
    fault = node_fault(node, readings)
    health = Health(State.DOWN, fault.code, fault.evidence) if fault else of_resource(node)
    return GatewayNode(node.name, node.address, health)


def _peers(cloud: Cloud) -> list[tuple[str, str, Peer | None]]:
    """Name, cloud ID and CloudPeer; those that only other objects mention have none."""
    found: dict[str, tuple[str, str, Peer | None]] = {
        peer.name: (peer.name, peer.cloud_id, peer) for peer in cloud.peers
    }
    ids = {peer.cloud_id for peer in cloud.peers}
    connected = [connection.cloud_id for node in cloud.nodes for connection in node.connections]
    for name in [*connected, *(attachment.origin_cloud for attachment in cloud.replicas)]:
        if name and name not in ids:
            found.setdefault(name, (name, name, None))
    for name in (peer.name for expansion in cloud.expansions for peer in _peers_of(expansion)):
        found.setdefault(name, (name, name, None))
    return list(found.values())


@dataclass(frozen=True)
class _Stretched:
    """One of our networks at one peer."""

    expansion: Expansion
    peer: ExpansionPeer


class _Facts:
    """The objects by peer, so that each is looked up once."""

    def __init__(self, readings: Readings) -> None:
        cloud = readings.cloud
        self._has_controller = has_controller(readings)
        self._stale = {node.name: _stale(node, readings) for node in cloud.nodes}
        self._connections: defaultdict[str, list[tuple[str, Connection]]] = defaultdict(list)
        for node in cloud.nodes:
            for connection in node.connections:
                self._connections[connection.cloud_id].append((node.name, connection))
        self._expansions: defaultdict[str, list[_Stretched]] = defaultdict(list)
        for expansion in cloud.expansions:
            for peer in _peers_of(expansion):
                self._expansions[peer.name].append(_Stretched(expansion, peer))
        self._own = {a.network_id: (a, _links(a)) for a in cloud.attachments if not a.is_replica}
        self._replicas: defaultdict[str, list[Attachment]] = defaultdict(list)
        for replica in cloud.replicas:
            self._replicas[replica.origin_cloud].append(replica)

    def branch(self, name: str, cloud_id: str, peer: Peer | None) -> Branch:
        """Everything between this cloud and a peer."""
        tunnels = tuple(self._tunnel(node, connection) for node, connection in self._connections[cloud_id])
        networks = [self._network(stretched, cloud_id) for stretched in self._expansions[name]]
        networks += [self._replica(replica, cloud_id) for replica in self._replicas[cloud_id]]
        return Branch(
            name=name,
            cloud_id=cloud_id,
            agreement=peer.state if peer else "",
            health=self._peer_health(peer, tunnels),
            tunnels=tunnels,
            networks=tuple(networks),
        )

    def _peer_health(self, peer: Peer | None, tunnels: Iterable[Tunnel]) -> Health:
        if peer is None:
            return NOT_REPORTED
        reported = of_resource(peer) if self._has_controller else _NO_CONTROLLER
        of_tunnels = [tunnel.health for tunnel in tunnels]
        is_cut = bool(of_tunnels) and all(health.state is State.DOWN for health in of_tunnels)
        return of_tunnels[0] if is_cut and reported.state in (State.UP, State.UNKNOWN) else reported

    def _tunnel(self, node: str, connection: Connection) -> Tunnel:
        health = self._stale[node] or of_report(connection.is_up, connection.reason, connection.message)
        return Tunnel(
            node,
            connection.gateway,
            connection.address,
            connection.ike,
            connection.esp,
            connection.bfd,
            health,
        )

    def _network(self, stretched: _Stretched, cloud_id: str) -> Network:
        expansion, peer = stretched.expansion, stretched.peer
        attachment, links = self._own.get(expansion.network_id, (None, {}))
        reported = of_report(peer.is_ready, peer.reason, peer.message)
        return Network(
            label=expansion.label,
            network_name=expansion.network_name,
            network_id=expansion.network_id,
            is_replica=False,
            mtu=expansion.mtu,
            health=self._network_health(reported, attachment, links.get(cloud_id)),
        )

    def _replica(self, replica: Attachment, cloud_id: str) -> Network:
        return Network(
            label=replica.network_id,
            network_name="",
            network_id=replica.network_id,
            is_replica=True,
            mtu=replica.mtu,
            health=self._network_health(of_resource(replica), replica, _links(replica).get(cloud_id)),
            members=tuple(self._members(replica)),
        )

    def _members(self, replica: Attachment) -> Iterator[Member]:
        stale = self._stale.get(replica.active_node)
        for member in replica.members:
            path = "" if stale else member.path
            yield Member(member.number, member.cloud_id, path, stale or of_member(member))

    def _network_health(self, reported: Health, attachment: Attachment | None, link: Link | None) -> Health:
        stale = self._stale.get(attachment.active_node) if attachment else None
        if stale is not None:
            return stale
        observed = of_link(link)
        if not self._has_controller:
            return observed if observed.state is not State.UNKNOWN else _NO_CONTROLLER
        is_earlier = reported.state is State.UP and observed.state is State.DOWN
        return observed if is_earlier else reported


def _peers_of(expansion: Expansion) -> list[ExpansionPeer]:
    """As reported, and those that were requested and of which nothing has been reported yet."""
    reported = {peer.name for peer in expansion.peers}
    new = [ExpansionPeer(name, False, "", "") for name in expansion.requested if name not in reported]
    return [*expansion.peers, *new]


def _links(attachment: Attachment) -> Mapping[str, Link]:
    return {link.cloud_id: link for link in attachment.links}


def _stale(node: Node, readings: Readings) -> Health | None:
    """Why what the node reports of tunnels and links does not count; None if it does."""
    if Layer.BFD not in hidden_layers(node, readings):
        return None
    fault = node_fault(node, readings)
    return Health(State.UNKNOWN, fault.code if fault else "", f"{node.name} reports nothing that is current")
