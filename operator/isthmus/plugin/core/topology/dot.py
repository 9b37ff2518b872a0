"""The topology in the DOT language of Graphviz (https://graphviz.org/doc/info/lang.html)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from .graph import Branch, Topology
from .states import Health, State
from .text import member_name, network_name, tunnel_name

_COLOURS: Final[Mapping[State, str]] = MappingProxyType(
    {State.UP: "#1a7f37", State.DOWN: "#c62828", State.WAITING: "#9a6700", State.UNKNOWN: "#57606a"}
)
_SHAPES: Final[Mapping[State, str]] = MappingProxyType(
    {State.UP: "ellipse", State.DOWN: "octagon", State.WAITING: "triangle", State.UNKNOWN: "box"}
)
_LINES: Final[Mapping[State, str]] = MappingProxyType(
    {State.UP: "solid", State.DOWN: "dashed", State.WAITING: "dotted", State.UNKNOWN: "dotted"}
)
_TUNNEL_WIDTH, _NETWORK_WIDTH = 4, 1


def dot_lines(graph: Topology) -> list[str]:
    """An undirected graph; names are in labels only, so none of them can be syntax."""
    nodes = [f"{node.name}: {_state(node.health)}" for node in graph.nodes]
    label = _label(graph.cloud_id or "this cloud", *nodes)
    lines = ["graph isthmus {", "  layout=neato; overlap=false; splines=true;", "  node [fontname=sans];"]
    lines.append(f"  us [label={label}, shape=doublecircle];")
    for number, branch in enumerate(graph.branches):
        lines += _branch(f"peer{number}", branch)
    return [*lines, "}"]


def _branch(identifier: str, branch: Branch) -> Iterator[str]:
    state = branch.health.state
    shape = f"shape={_SHAPES[state]}, color={_quoted(_COLOURS[state])}"
    yield f"  {identifier} [label={_label(branch.name, _state(branch.health))}, {shape}];"
    for tunnel in branch.tunnels:
        yield _edge(identifier, tunnel_name(tunnel), tunnel.health, _TUNNEL_WIDTH)
    for network in branch.networks:
        members = [f"{member_name(member)}: {_state(member.health)}" for member in network.members]
        yield _edge(identifier, network_name(network), network.health, _NETWORK_WIDTH, *members)


def _edge(peer: str, name: str, health: Health, width: int, *more: str) -> str:
    state = health.state
    drawn = f"color={_quoted(_COLOURS[state])}, style={_LINES[state]}, penwidth={width}"
    return f"  us -- {peer} [label={_label(name, _state(health), *more)}, {drawn}];"


def _state(health: Health) -> str:
    return f"{health.state} {health.reason}".rstrip()


def _label(*lines: str) -> str:
    """Lines of text. A backslash in them would begin an escape sequence such as `\\N`, an ampersand a character."""
    return _quoted("\\n".join(line.replace("\\", "\\\\").replace("&", "&amp;") for line in lines))


def _quoted(text: str) -> str:
    escaped = text.replace('"', '\\"')
    return f'"{escaped}"'
