"""Conditions `Ready` and `Degraded` of a gateway node: whether it can forward, and what else could not be done."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.core.snapshot.conditions import false, true
from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition
from isthmus.model.names import tunnel_port
from isthmus.model.node.switch import Ports
from isthmus.model.reasons import ConditionType, Reason

from .facts import Failures, NodeFacts

_MAX_MESSAGE = 1024


def unready(facts: NodeFacts) -> Problem | None:
    """Why the node cannot forward: nothing that it needs for that is in place. None if it can.

    What one peer or one network lacks does not count: others are forwarded.
    """
    plan, bridge = facts.plan, facts.bridge
    if plan.problem is not None or plan.ports == Ports():
        return plan.problem
    if not bridge.exists:
        return _first(facts) or Problem(Reason.UNAVAILABLE, "br-cloud does not exist")
    tunnels = {tunnel.name for tunnel in bridge.ports.tunnels}
    if plan.ports.tunnels and not any(tunnel.name in tunnels for tunnel in plan.ports.tunnels):
        return _first(facts) or Problem(Reason.UNAVAILABLE, "no tunnel port exists")
    if plan.ports.patches and plan.ports.patches.isdisjoint(bridge.ports.patches):
        return _first(facts) or Problem(Reason.UNAVAILABLE, "no network is attached to br-cloud")
    if not facts.flows_installed:
        return _first(facts) or Problem(Reason.UNAVAILABLE, "the flows of br-cloud are not installed")
    return None


def degraded(problem: Problem | None, facts: NodeFacts | None) -> Condition:
    """`Degraded`: True if the last iteration failed (`problem`), or something of a peer or a network could not be done.

    The reason is that of the first problem; the message has as many of them as fit, and counts the others.
    """
    found = [*([problem] if problem else []), *(_problems(facts) if facts else ())]
    if not found:
        return false(ConditionType.DEGRADED, Reason.AS_EXPECTED)
    return true(ConditionType.DEGRADED, found[0].reason, joined([p.message for p in found], _MAX_MESSAGE))


def joined(messages: list[str], limit: int) -> str:
    """The messages, separated by semicolons, up to a length in characters; those left out are counted."""
    text = messages[0]
    for position, message in enumerate(messages[1:], 1):
        rest = f"; and {len(messages) - position} more"
        if len(text) + 2 + len(message) + len(rest) > limit:
            return text[: limit - len(rest)] + rest
        text += f"; {message}"
    return text[:limit]


def _first(facts: NodeFacts) -> Problem | None:
    return next(_problems(facts), None)


def _problems(facts: NodeFacts) -> Iterator[Problem]:
    yield from (problem for problem in (facts.charon_problem, facts.probe_problem) if problem)
    yield from facts.failures.node
    yield from _of_connections(facts)
    yield from _of_networks(facts.failures)


def _of_connections(facts: NodeFacts) -> Iterator[Problem]:
    labels = {
        tunnel_port(cloud_id, gateway.name): f"gateway {gateway.name} of {cloud_id}"
        for cloud_id, gateways in facts.plan.gateways.items()
        for gateway in gateways
    }
    for name, problem in sorted({**facts.refused, **facts.failures.connections}.items()):
        yield Problem(problem.reason, f"{labels.get(name, name)}: {problem.message}")


def _of_networks(failures: Failures) -> Iterator[Problem]:
    for name, problem in sorted(failures.networks.items()):
        yield Problem(problem.reason, f"network {name}: {problem.message}")
