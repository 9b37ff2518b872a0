"""`kubectl isthmus peers`: every CloudPeer, its connections, and why it is not ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .answer import Answer, ExitCode, Unread, gap_lines, problem_lines, with_findings
from .awaiting import awaiting_lines
from .draining import drain_document, drained_lines
from .findings import of_resources
from .resources import Agreement, Cloud, Connection, Peer
from .tables import Style, Value, table, yes
from .tunnels import by_connection

_PEERS = ("PEER", "CLOUD-ID", "READY", "STATE", "PROTOCOL", "TUNNELS", "OUT", "IN", "REASON")
_CONNECTIONS = ("NODE", "CLOUD-ID", "GATEWAY", "ADDRESS", "UP", "IKE", "ESP", "BFD", "REASON")


def peers(cloud: Cloud, unread: Sequence[Unread]) -> Answer:
    """All peers and all connections to them."""
    findings = of_resources(cloud.peers)
    connections = [(node.name, connection) for node in cloud.nodes for connection in node.connections]
    agreements = {agreement.peer_cloud_id: agreement for agreement in cloud.agreements}
    document = {
        "peers": [_peer_document(peer, agreements.get(peer.cloud_id)) for peer in cloud.peers],
        "connections": [_connection_document(node, connection) for node, connection in connections],
    }

    def text(style: Style) -> list[str]:
        rows = [_row(peer, agreements.get(peer.cloud_id)) for peer in cloud.peers]
        lines = table(_PEERS, rows, style) if rows else ["no peer"]
        if connections:
            lines += ["", *table(_CONNECTIONS, [_connection_row(node, c) for node, c in connections], style)]
        if protected := by_connection(connections, style):
            lines += ["", *protected]
        if drained := drained_lines(cloud.peers, style):
            lines += ["", *drained]
        if waiting := awaiting_lines(cloud.peers):
            lines += ["", *waiting]
        if left := [f"may be left at {peer.name}: {name}" for peer in cloud.peers for name in peer.orphans]:
            lines += ["", *left]
        if findings:
            lines += ["", *problem_lines(findings, style)]
        return [*lines, *gap_lines(unread)]

    return with_findings(Answer("peers", ExitCode.FINE, document, text), findings, unread)


def agreed_version(agreement: Agreement | None) -> int | None:
    """The version of the protocol that both clouds use; None as long as they have none in common."""
    if agreement is None:
        return None
    return max(set(agreement.local_versions) & set(agreement.remote_versions), default=None)


def _row(peer: Peer, agreement: Agreement | None) -> list[Value]:
    return [
        peer.name,
        peer.cloud_id,
        yes(peer.is_ready),
        "Terminating" if peer.is_terminating else peer.state,
        agreed_version(agreement),
        peer.tunnels_up,
        peer.networks_out,
        peer.networks_in,
        "" if peer.is_ready else peer.ready.reason,
    ]


def _connection_row(node: str, connection: Connection) -> list[Value]:
    return [
        node,
        connection.cloud_id,
        connection.gateway,
        connection.address,
        yes(connection.is_up),
        connection.ike,
        connection.esp,
        connection.bfd,
        "" if connection.is_up else connection.reason,
    ]


def _peer_document(peer: Peer, agreement: Agreement | None) -> dict[str, Any]:
    return {
        "name": peer.name,
        "cloudID": peer.cloud_id,
        "ready": peer.is_ready,
        "reason": peer.ready.reason,
        "message": peer.ready.message,
        "state": peer.state,
        "drain": drain_document(peer),
        "orphans": list(peer.orphans),
        "terminating": peer.is_terminating,
        "protocol": agreed_version(agreement),
        "tunnelsUp": peer.tunnels_up,
        "networksOut": peer.networks_out,
        "networksIn": peer.networks_in,
        "networksAwaiting": peer.networks_awaiting,
    }


def _connection_document(node: str, connection: Connection) -> dict[str, Any]:
    return {
        "node": node,
        "cloudID": connection.cloud_id,
        "gateway": connection.gateway,
        "address": connection.address,
        "up": connection.is_up,
        "ike": connection.ike,
        "esp": connection.esp,
        "bfd": connection.bfd,
        "reason": connection.reason,
        "message": connection.message,
        **connection.in_force.to_document(),
        "carriedMTU": connection.path.carried_mtu,
    }
