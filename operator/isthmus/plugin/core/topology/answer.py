"""`kubectl isthmus topology`: a tree as text, one object as JSON, or a graph in the DOT language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..answer import Answer, ExitCode, Unread, with_findings
from ..diagnosis import diagnose
from ..diagnosis.subject import Readings
from ..findings import of_cloud
from ..leases import findings as lease_findings
from ..tables import Style
from .build import build
from .dot import dot_lines
from .graph import Branch, GatewayNode, Member, Network, Topology, Tunnel
from .states import Health
from .text import tree_lines


def topology(readings: Readings, unread: Sequence[Unread], output: str = "text") -> Answer:
    """The topology of this cloud."""
    graph = build(readings)
    findings = (*lease_findings(readings.processes, readings.cloud.nodes), *of_cloud(readings.cloud))

    def text(style: Style) -> list[str]:
        return dot_lines(graph) if output == "dot" else tree_lines(graph, findings, unread, style)

    document = _document(graph, diagnose(readings, None, ()).document["subjects"])
    return with_findings(Answer("topology", ExitCode.FINE, document, text), findings, unread)


def _document(graph: Topology, diagnoses: Iterable[dict[str, Any]]) -> dict[str, Any]:
    by_peer = {subject["peer"]: subject for subject in diagnoses}
    return {
        "cloudID": graph.cloud_id,
        "diagnosis": _diagnosis(by_peer.get("")),
        "nodes": [_node(node) for node in graph.nodes],
        "peers": [_branch(branch) | {"diagnosis": _diagnosis(by_peer.get(branch.name))} for branch in graph.branches],
    }


def _diagnosis(subject: dict[str, Any] | None) -> dict[str, Any] | None:
    """What `diagnose` says in its first line."""
    return None if subject is None else {key: subject[key] for key in ("firstLine", "exitCode")}


def _node(node: GatewayNode) -> dict[str, Any]:
    return {"name": node.name, "address": node.address} | _health(node.health)


def _branch(branch: Branch) -> dict[str, Any]:
    return {
        "name": branch.name,
        "cloudID": branch.cloud_id,
        "agreement": branch.agreement,
        **_health(branch.health),
        "tunnels": [_tunnel(tunnel) for tunnel in branch.tunnels],
        "networks": [_network(network) for network in branch.networks],
    }


def _tunnel(tunnel: Tunnel) -> dict[str, Any]:
    return {
        "node": tunnel.node,
        "gateway": tunnel.gateway,
        "address": tunnel.address,
        "ike": tunnel.ike,
        "esp": tunnel.esp,
        "bfd": tunnel.bfd,
        **_health(tunnel.health),
    }


def _network(network: Network) -> dict[str, Any]:
    return {
        "label": network.label,
        "networkName": network.network_name,
        "networkID": network.network_id,
        "direction": "fromPeer" if network.is_replica else "toPeer",
        "mtu": network.mtu,
        "members": [_member(member) for member in network.members],
        **_health(network.health),
    }


def _member(member: Member) -> dict[str, Any]:
    return {
        "number": member.number,
        "cloudID": member.cloud_id,
        "path": member.path,
        **_health(member.health),
    }


def _health(health: Health) -> dict[str, Any]:
    return {"state": health.state, "reason": health.reason, "message": health.message}
