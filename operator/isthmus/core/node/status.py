"""What an agent reports of its node: the status of its GatewayNode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby

from isthmus.core.snapshot.conditions import false, readiness, true, true_unless, with_transition_times
from isthmus.core.snapshot.summary import ratio
from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition, condition_of
from isthmus.model.api.v1alpha1.gatewaynode import (
    MAX_CONNECTIONS,
    MAX_IN_FORCE,
    MAX_VERSION,
    GatewayConnection,
    GatewayNode,
    GatewayNodeStatus,
    Software,
    TunnelAddress,
)
from isthmus.model.proposals import KEY_EXCHANGES
from isthmus.model.reasons import ConditionType, Reason

from .connections import connections
from .facts import NodeFacts
from .inforce import with_kept_times, with_nat_alone
from .readiness import degraded, unready

_OF_READINESS = frozenset({ConditionType.READY, ConditionType.PROGRESSING, ConditionType.STALLED})
_MESSAGES_CHARACTERS = 262_144  # of all connections together: an object may have 1.5 MiB in etcd


def node_status(facts: NodeFacts, software: Software) -> GatewayNodeStatus:
    """The complete status of the node, with conditions that have neither generation nor time."""
    reported = tuple(connections(facts))
    conditions = (
        *readiness(unready(facts)),
        degraded(_truncation(reported), facts),
        _peers(facts),
        _fenced(facts),
        *_certificates(facts),
    )
    return GatewayNodeStatus(
        conditions=conditions,
        addresses=tuple(TunnelAddress(address=a.address, mtu=a.mtu) for a in facts.plan.addresses),
        neutron_host=facts.bridge.hostname,
        software=_shortened(software),
        key_exchanges=_key_exchanges(facts),
        peers_up=ratio(_peers_up(reported)),
        connections=tuple(_fitting(reported)),
    )


def gateway_node_status(node: GatewayNode, status: GatewayNodeStatus, now: datetime) -> GatewayNodeStatus:
    """The node's status as this GatewayNode is to have it: with its generation and the times of transitions."""
    generation = node.metadata.generation
    conditions = with_transition_times(node.status.conditions, status.conditions, generation, now)
    # A new agent whose charon does not answer: that may be the same as before.
    known = status.key_exchanges or node.status.key_exchanges
    connections = with_kept_times(node.status.connections, status.connections)
    update = {
        "observed_generation": generation,
        "conditions": conditions,
        "key_exchanges": known,
        "connections": _with_known_mtus(connections, node.status.connections),
    }
    return status.model_copy(update=update)


def _with_known_mtus(
    connections: tuple[GatewayConnection, ...], before: tuple[GatewayConnection, ...]
) -> tuple[GatewayConnection, ...]:
    """What a path carries, as found out before if it has not been found out yet by a new agent."""
    known = {(c.cloud_id, c.gateway): c.carried_mtu for c in before if c.carried_mtu is not None}
    return tuple(
        c.model_copy(update={"carried_mtu": known[c.cloud_id, c.gateway]})
        if c.carried_mtu is None and (c.cloud_id, c.gateway) in known
        else c
        for c in connections
    )


def failed_observation_status(node: GatewayNode, problem: Problem, now: datetime) -> GatewayNodeStatus:
    """The status after a failed iteration: only Degraded changes; the rest keeps its last known value.

    Ready stays too, unless the node has lost its tunnel address, or was never observed.
    """
    previous, generation = node.status, node.metadata.generation
    new = [c for c in previous.conditions if c.type != ConditionType.DEGRADED]
    if problem.reason == Reason.NO_TUNNEL_ADDRESS or condition_of(previous.conditions, ConditionType.READY) is None:
        new = [*readiness(problem), *(c for c in new if c.type not in _OF_READINESS)]
    conditions = with_transition_times(previous.conditions, [*new, degraded(problem, None)], generation, now)
    return previous.model_copy(update={"observed_generation": generation, "conditions": conditions})


def _truncation(reported: tuple[GatewayConnection, ...]) -> Problem | None:
    if len(reported) <= MAX_CONNECTIONS:
        return None
    text = f"the status lists {MAX_CONNECTIONS} of {len(reported)} connections; all of them are maintained"
    return Problem(Reason.STATUS_TRUNCATED, text)


def _fitting(reported: tuple[GatewayConnection, ...]) -> Iterator[GatewayConnection]:
    """As many connections as the status holds, with messages that are shortened if there are many."""
    limit = _MESSAGES_CHARACTERS // max(len(reported), 1)
    shown = (*reported[:MAX_IN_FORCE], *map(with_nat_alone, reported[MAX_IN_FORCE:MAX_CONNECTIONS]))
    for connection in shown:
        fits = len(connection.message) <= limit
        yield connection if fits else connection.model_copy(update={"message": f"{connection.message[: limit - 1]}…"})


def _shortened(software: Software) -> Software:
    return software.model_copy(update={name: value[:MAX_VERSION] for name, value in software})


def _key_exchanges(facts: NodeFacts) -> tuple[str, ...]:
    known = (facts.known_ike.key_exchanges if facts.known_ike else None) or frozenset()
    return tuple(word for word in KEY_EXCHANGES if word in known)


def _fenced(facts: NodeFacts) -> Condition:
    """Whether unprotected tunnel traffic meets two fences; the node works with one."""
    return true_unless(ConditionType.FENCED, facts.firewall_problem, good=Reason.BOTH_FENCES)


def _certificates(facts: NodeFacts) -> Iterator[Condition]:
    if facts.expiring is not None:
        yield true(ConditionType.CERTIFICATE_EXPIRING, facts.expiring.reason, facts.expiring.message)
    elif facts.plan.expiries:
        yield false(ConditionType.CERTIFICATE_EXPIRING, Reason.CERTIFICATES_VALID)


def _peers(facts: NodeFacts) -> Condition:
    """Whether the tunnels of every CloudPeer could be planned; a missing key is reported here."""
    problems = sorted(facts.plan.peer_problems.items())
    if not problems:
        return true(ConditionType.PEERS_CONFIGURED, Reason.CONFIGURED)
    text = "; ".join(f"{cloud_id}: {problem.message}" for cloud_id, problem in problems)
    return false(ConditionType.PEERS_CONFIGURED, problems[0][1].reason, text)


def _peers_up(reported: Iterable[GatewayConnection]) -> Iterator[bool]:
    """For each peer, whether every connection to it is up."""
    for _, group in groupby(reported, key=lambda connection: connection.cloud_id):
        yield all(connection.up for connection in group)
