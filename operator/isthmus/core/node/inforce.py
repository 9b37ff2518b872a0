"""What is in force with each gateway, as a GatewayNode reports it: times that stand still as long as the SAs do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain

from isthmus.core.snapshot.conditions import timestamp
from isthmus.model.api.v1alpha1.gatewaynode import MAX_ALGORITHMS, GatewayConnection, InForceStatus
from isthmus.model.names import tunnel_port
from isthmus.model.node.inforce import InForce
from isthmus.model.node.ipsec import IkeConnection, IkeView
from isthmus.model.node.tunnel import EncapsulationName

from .facts import NodeFacts

_SAME_SECONDS = 2.0
"""Charon says ages in whole seconds, and an answer takes a moment."""

TunnelInfo = tuple[str, ...]
"""Peer, gateway, encapsulation, mode of ESP, NAT, ciphers of IKE and ESP, key exchange; empty is not known."""


def status_of(name: str, ike: IkeView | None) -> InForceStatus | None:
    """Of a connection; None if it has no IKE SA."""
    state = ike.states.get(name) if ike is not None else None
    if state is None or state.in_force == InForce():
        return None
    found = state.in_force
    return InForceStatus(
        ike_cipher=found.ike_cipher[:MAX_ALGORITHMS],
        esp_cipher=found.esp_cipher[:MAX_ALGORITHMS],
        esp_mode=found.esp_mode,
        nat=found.nat,
        ike_since=timestamp(found.ike_since) if found.ike_since is not None else None,
        esp_since=timestamp(found.esp_since) if found.esp_since is not None else None,
    )


def encapsulation_of(name: str, connection: IkeConnection | None, facts: NodeFacts) -> EncapsulationName | None:
    """Of the tunnel; of one that cannot be planned for the moment, and is kept, that of its port."""
    if connection is not None:
        return connection.protection.encapsulation.NAME
    kept = (t for t in facts.plan.ports.tunnels if t.name == name and name in facts.plan.kept_connections)
    return next((tunnel.encapsulation.NAME for tunnel in kept), None)


def with_nat_alone(connection: GatewayConnection) -> GatewayConnection:
    """The connection as a status has it that lists too many: NAT, which the controller publishes, and nothing else."""
    found = connection.in_force
    nat = InForceStatus(nat=found.nat) if found is not None and found.nat is not None else None
    return connection.model_copy(update={"in_force": nat})


def with_kept_times(
    before: tuple[GatewayConnection, ...], now: tuple[GatewayConnection, ...]
) -> tuple[GatewayConnection, ...]:
    """The connections, with the times of before where only the rounding differs, so that nothing is written for it."""
    known = {(c.cloud_id, c.gateway): c.in_force for c in before if c.in_force is not None}
    return tuple(_kept(known.get((connection.cloud_id, connection.gateway)), connection) for connection in now)


def tunnel_infos(facts: NodeFacts) -> Iterator[TunnelInfo]:
    """One for each gateway of each peer."""
    planned = {connection.name: connection for connection in facts.plan.connections}
    states = facts.known_ike.states if facts.known_ike else {}
    gateways = chain.from_iterable(
        ((cloud_id, g.name) for g in found) for cloud_id, found in facts.plan.gateways.items()
    )
    for cloud_id, gateway in gateways:
        name = tunnel_port(cloud_id, gateway)
        connection, state = planned.get(name), states.get(name)
        found = state.in_force if state is not None else InForce()
        yield (
            cloud_id,
            gateway,
            encapsulation_of(name, connection, facts) or "",
            found.esp_mode or "",
            found.nat or "",
            found.ike_cipher,
            found.esp_cipher,
            state.key_exchange if state is not None else "",
        )


def _kept(before: InForceStatus | None, connection: GatewayConnection) -> GatewayConnection:
    found = connection.in_force
    if before is None or found is None:
        return connection
    changes: Mapping[str, str | None] = {
        field: known
        for field, known, reported in (
            ("ike_since", before.ike_since, found.ike_since),
            ("esp_since", before.esp_since, found.esp_since),
        )
        if known != reported and _is_same(known, reported)
    }
    return connection.model_copy(update={"in_force": found.model_copy(update=changes)}) if changes else connection


def _is_same(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return False
    return abs((datetime.fromisoformat(one) - datetime.fromisoformat(other)).total_seconds()) <= _SAME_SECONDS
