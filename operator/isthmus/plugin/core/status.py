"""`kubectl isthmus status`: gateway nodes, peers and networks on one screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from isthmus.model import names

from .answer import Answer, ExitCode, Unread, gap_lines, problem_lines, with_findings
from .awaiting import awaiting_lines
from .draining import drain_document, drained_lines
from .findings import Finding, of_cloud
from .hybrid import hybrid_document, not_hybrid
from .leases import Lease, cloud_id, is_current
from .leases import findings as lease_findings
from .resources import Cloud, Connection, Node, Peer, Resource
from .tables import Cell, Style, Value, table, yes
from .tunnels import by_peer

_MAX_PROBLEMS: Final = 6
_MAX_ROWS: Final = 10
_NODES = ("NODE", "READY", "ADDRESS", "NEUTRON", "OPENVSWITCH", "CHARON", "AGENT", "")
_PEERS = ("PEER", "READY", "API", "AGREED", "IKE", "ESP", "BFD", "OUT", "IN", "")


def status(cloud: Cloud, processes: Mapping[str, Lease] | None, unread: Sequence[Unread]) -> Answer:
    """The state of this cloud; `processes` is None if the Leases could not be read."""
    findings = (*lease_findings(processes, cloud.nodes), *of_cloud(cloud))
    document = {
        "cloudID": cloud_id(processes, cloud),
        "controller": _controller_document(processes),
        "openStackAvailable": _openstack(cloud),
        "nodes": [_node_document(node) for node in cloud.nodes],
        "peers": [_peer_document(cloud, peer) for peer in cloud.peers],
        "networks": _count(cloud.expansions),
        "replicas": _count(cloud.replicas),
    }

    def text(style: Style) -> list[str]:
        return _lines(cloud, processes, findings, unread, style)

    return with_findings(Answer("status", ExitCode.FINE, document, text), findings, unread)


def connections_to(cloud: Cloud, peer: Peer) -> list[Connection]:
    """Connections of all gateway nodes to a peer's gateways."""
    return [connection for _, connection in _tunnels(cloud, peer)]


def _lines(
    cloud: Cloud,
    processes: Mapping[str, Lease] | None,
    findings: Sequence[Finding],
    unread: Sequence[Unread],
    style: Style,
) -> list[str]:
    openstack = {True: "ok", False: style.wrong("NOT AVAILABLE"), None: "unknown"}[_openstack(cloud)]
    name = style.heading(cloud_id(processes, cloud) or "this cloud")
    lines = [f"{name}: controller {_controller_text(processes, style)}, OpenStack {openstack}"]
    lines += _table(_NODES, cloud.nodes, _node_row, style)
    lines += _table(_PEERS, cloud.peers, lambda peer: _peer_row(cloud, peer), style)
    lines += by_peer({peer.name: connections_to(cloud, peer) for peer in cloud.peers}, style, _MAX_ROWS)
    lines += not_hybrid(cloud.peers, style)
    lines += drained_lines(cloud.peers, style)
    lines += awaiting_lines(cloud.peers)
    lines.append(
        f"networks: {_ready_text(cloud.expansions)}; replicas of peers' networks: {_ready_text(cloud.replicas)}"
    )
    if findings:
        lines += ["", *problem_lines(findings, style, _MAX_PROBLEMS)]
    return [*lines, *gap_lines(unread)]


def _table(
    headings: Sequence[str], rows: Sequence[Any], row: Callable[[Any], Sequence[Value]], style: Style
) -> list[str]:
    """A table of at most so many rows that all fits on a screen; those that are not ready come first."""
    if not rows:
        return [f"no {headings[0].lower()}"]
    first = sorted(rows, key=lambda each: each.is_ready)[:_MAX_ROWS] if len(rows) > _MAX_ROWS else rows
    lines = table(headings, map(row, first), style)
    return lines if len(first) == len(rows) else [*lines, f"and {len(rows) - len(first)} more"]


def _node_row(node: Node) -> list[Value]:
    return [
        node.name,
        yes(node.is_ready),
        node.address,
        node.neutron_host,
        node.openvswitch,
        node.strongswan,
        node.isthmus,
        "" if node.is_ready else node.ready.reason,
    ]


def _peer_row(cloud: Cloud, peer: Peer) -> list[Value]:
    connections = connections_to(cloud, peer)
    return [
        peer.name,
        yes(peer.is_ready),
        yes(_is_true(peer, "Reachable")),
        yes(_is_true(peer, "Agreed")),
        _ratio([c.ike == "Established" for c in connections]),
        _ratio([c.esp == "Installed" for c in connections]),
        _ratio([c.bfd == "Up" for c in connections]),
        peer.networks_out,
        peer.networks_in,
        "" if peer.is_ready else peer.ready.reason,
    ]


def _ratio(are_up: Sequence[bool]) -> Cell:
    return Cell(f"{sum(are_up)}/{len(are_up)}", is_wrong=not all(are_up)) if are_up else Cell("-")


def _is_true(resource: Resource, type_: str) -> bool | None:
    condition = resource.condition(type_)
    return None if condition is None or condition.status == "Unknown" else condition.status == "True"


def _openstack(cloud: Cloud) -> bool | None:
    """Whether the controller can use this cloud's OpenStack: the same on every CloudPeer."""
    answers = [_is_true(peer, "OpenStackAvailable") for peer in cloud.peers]
    known = [answer for answer in answers if answer is not None]
    return all(known) if known else None


def _count(resources: Sequence[Resource]) -> dict[str, int]:
    return {"total": len(resources), "ready": sum(resource.is_ready for resource in resources)}


def _ready_text(resources: Sequence[Resource]) -> str:
    count = _count(resources)
    return f"{count['ready']} of {count['total']} ready" if resources else "none"


def _controller_text(processes: Mapping[str, Lease] | None, style: Style) -> str:
    if processes is None:
        return "unknown"
    lease = processes.get(names.CONTROLLER)
    if not is_current(lease):
        return style.wrong("NOT ACTIVE")
    return f"active {lease.age_seconds} s ago"


def _controller_document(processes: Mapping[str, Lease] | None) -> dict[str, Any] | None:
    lease = (processes or {}).get(names.CONTROLLER)
    if lease is None:
        return None
    return {"holder": lease.holder, "renewedSecondsAgo": lease.age_seconds, "active": not lease.is_old}


def _node_document(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "ready": node.is_ready,
        "reason": node.ready.reason,
        "address": node.address,
        "neutronHost": node.neutron_host,
        "openvswitch": node.openvswitch,
        "strongswan": node.strongswan,
        "isthmus": node.isthmus,
    }


def _peer_document(cloud: Cloud, peer: Peer) -> dict[str, Any]:
    connections = connections_to(cloud, peer)
    return {
        "name": peer.name,
        "cloudID": peer.cloud_id,
        "ready": peer.is_ready,
        "reason": peer.ready.reason,
        "reachable": _is_true(peer, "Reachable"),
        "agreed": _is_true(peer, "Agreed"),
        "connections": len(connections),
        "connectionsUp": sum(connection.is_up for connection in connections),
        "networksOut": peer.networks_out,
        "networksIn": peer.networks_in,
        "networksAwaiting": peer.networks_awaiting,
        "hybridKeyExchange": hybrid_document(peer),
        "drain": drain_document(peer),
        "tunnels": [_tunnel_document(*each) for each in _tunnels(cloud, peer)],
    }


def _tunnels(cloud: Cloud, peer: Peer) -> Iterator[tuple[str, Connection]]:
    for node in cloud.nodes:
        yield from ((node.name, each) for each in node.connections if each.cloud_id == peer.cloud_id)


def _tunnel_document(node: str, connection: Connection) -> dict[str, Any]:
    return {
        "node": node,
        "gateway": connection.gateway,
        **connection.in_force.to_document(),
        "carriedMTU": connection.path.carried_mtu,
    }
