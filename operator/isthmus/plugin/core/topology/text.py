"""The topology as a tree of text, in ASCII but for names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Final

from ..answer import Unread, gap_lines, problem_lines
from ..findings import Finding
from ..tables import Style
from ..width import shortened
from .graph import Branch, GatewayNode, Member, Network, Topology, Tunnel
from .states import Health, State

_MAX_COLUMNS: Final = 60
"""Of one name."""
_BY_PATH: Final = MappingProxyType({"Direct": " directly", "ThroughOrigin": " through the origin"})


def tree_lines(graph: Topology, findings: Sequence[Finding], unread: Sequence[Unread], style: Style) -> list[str]:
    """A line for each node, peer, tunnel, network and other receiver; then what is wrong."""
    lines = [style.heading(graph.cloud_id or "this cloud")]
    for node in graph.nodes:
        lines.append(_line("", node is graph.nodes[-1] and not graph.branches, _node(node, style)))
    for branch in graph.branches:
        lines += _branch(branch, branch is graph.branches[-1], style)
    if not graph.branches:
        lines.append("no peer")
    if findings:
        lines += ["", *problem_lines(findings, style)]
    return [*lines, *gap_lines(unread)]


def tunnel_name(tunnel: Tunnel) -> str:
    """`gw-a1 to gw-b1 (203.0.113.7)`."""
    return f"{_short(tunnel.node)} to {_short(tunnel.gateway)} ({tunnel.address})"


def network_name(network: Network) -> str:
    """`shop/web (web)`, or the ID of a peer's network."""
    name = network.network_name
    shown = f" ({_short(name)})" if name and name != network.label.rpartition("/")[2] else ""
    return _short(network.label) + shown


def member_name(member: Member) -> str:
    """`member 3 (cloud-c) directly`."""
    cloud = f" ({_short(member.cloud_id)})" if member.cloud_id else ""
    return f"member {member.number}{cloud}{_BY_PATH.get(member.path, '')}"


def _branch(branch: Branch, is_last: bool, style: Style) -> Iterator[str]:
    other = "" if branch.cloud_id == branch.name else f" (cloud ID {_short(branch.cloud_id)})"
    agreement = "" if branch.agreement in ("", "Active") else f", {branch.agreement}"
    yield _line("", is_last, f"peer {_short(branch.name)}{other}{agreement}: {_state(branch.health, style)}")
    indent = _indent("", is_last)
    for tunnel in branch.tunnels:
        is_last = tunnel is branch.tunnels[-1] and not branch.networks
        yield _line(indent, is_last, f"tunnel {tunnel_name(tunnel)}: {_state(tunnel.health, style)}")
    for network in branch.networks:
        yield from _network(indent, network is branch.networks[-1], network, style)


def _node(node: GatewayNode, style: Style) -> str:
    return f"node {_short(node.name)} ({node.address or 'no address'}): {_state(node.health, style)}"


def _network(indent: str, is_last: bool, network: Network, style: Style) -> Iterator[str]:
    direction = "from the peer" if network.is_replica else "to the peer"
    yield _line(indent, is_last, f"network {network_name(network)} {direction}: {_state(network.health, style)}")
    for member in network.members:
        line = f"{member_name(member)}: {_state(member.health, style)}"
        yield _line(_indent(indent, is_last), member is network.members[-1], line)


def _state(health: Health, style: Style) -> str:
    if health.state is State.DOWN:
        return f"{style.wrong('DOWN')} {health.reason}".rstrip()
    return f"{health.state} {health.reason}".rstrip()


def _line(indent: str, is_last: bool, text: str) -> str:
    return f"{indent}{'`-- ' if is_last else '|-- '}{text}"


def _indent(indent: str, is_last: bool) -> str:
    return f"{indent}{'    ' if is_last else '|   '}"


def _short(text: str) -> str:
    return shortened(text, _MAX_COLUMNS)
