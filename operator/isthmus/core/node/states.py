"""States of everything that a node's agent is responsible for, by the names under which its log reports changes.

Whatever else an agent guards or installs is added here to have a line in the log when its state changes.
"""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.core.snapshot.transitions import State
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import MemberObservation, NodeObservation
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection
from isthmus.model.node.firewall import Ruleset
from isthmus.model.reasons import Reason

from .connections import connections
from .facts import NodeFacts

Named = Iterator[tuple[str, State]]


def node_states(node: str, facts: NodeFacts | None, problem: Problem | None) -> dict[str, State]:
    """All states of the node, but those of its networks.

    `facts` is None if the node was never observed; `problem` prevented the observation.
    """
    if facts is None:
        return {f"node {node}": _from_problem(problem, "Ready")}
    return {
        f"node {node}": _from_problem(problem or _problem(facts), "Ready"),
        "block policies": State(f"{len(facts.plan.blocks)} installed"),
        "flows of br-cloud": _flows(facts),
        **dict(_nftables(facts)),
        **dict(_peers(facts)),
        **dict(_connections(facts)),
        **dict(_tunnel_ports(facts)),
    }


def _problem(facts: NodeFacts) -> Problem | None:
    """What concerns the whole node; connections and networks have lines of their own."""
    return facts.plan.problem or facts.charon_problem or facts.probe_problem or next(iter(facts.failures.node), None)


def _from_problem(problem: Problem | None, good: str) -> State:
    return State(problem.reason, problem.message) if problem else State(good)


def _flows(facts: NodeFacts) -> State:
    return State(f"installed for {len(facts.plan.networks)} networks" if facts.flows_installed else "not installed")


def _nftables(facts: NodeFacts) -> Named:
    if facts.plan.firewall != Ruleset():
        yield "nftables table", _from_problem(facts.firewall_problem, "in force")


def _peers(facts: NodeFacts) -> Named:
    for cloud_id in facts.plan.gateways.keys() | facts.plan.peer_problems.keys():
        yield f"peer {cloud_id}", _from_problem(facts.plan.peer_problems.get(cloud_id), "Configured")


def _connections(facts: NodeFacts) -> Named:
    for connection in connections(facts):
        yield f"connection to {connection.gateway} of {connection.cloud_id}", _connection(connection)


def _connection(connection: GatewayConnection) -> State:
    layers = f"IKE {connection.ike}, ESP {connection.esp}, BFD {connection.bfd}"
    as_planned = connection.reason == Reason.UP
    return State(layers) if as_planned else State(f"{layers} ({connection.reason})", connection.message)


def _tunnel_ports(facts: NodeFacts) -> Named:
    for tunnel in facts.bridge.ports.tunnels:
        yield f"tunnel port {tunnel.name}", State(f"{tunnel.ends}, {tunnel.encapsulation}")


def _receiver(member: MemberObservation) -> State:
    if not member.up:
        return State(member.reason, member.message)
    return State("up, direct" if member.path == "Direct" else "up", member.message)


def network_states(name: str, entry: NodeObservation | None, problem: Problem | None) -> dict[str, State]:
    """All states of one network; `problem` is what could not be done for it."""
    if entry is None:
        return {}
    state = f"not plugged ({problem.reason})" if problem else "not plugged"
    detail = problem.message if problem else ""
    links = {
        f"link of network {name} to {link.cloud_id}": State("up" if link.up else link.reason, link.message)
        for link in entry.links
    }
    members = {f"path of network {name} to member {member.number}": _receiver(member) for member in entry.members}
    return {f"network {name}": State("plugged") if entry.plugged else State(state, detail), **links, **members}
