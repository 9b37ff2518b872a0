"""Tables of what protects the tunnels: a row for each peer, or for each connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from .inforce import InForce
from .leases import duration
from .resources import Connection
from .tables import Style, Value, table

_OF_PEERS = ("PEER", "TUNNEL", "MODE", "NAT", "MTU", "ESP-CIPHER", "KEY-EXCHANGE", "IKE-AGE", "ESP-AGE")
_OF_CONNECTIONS = (
    "NODE", "CLOUD-ID", "GATEWAY", "TUNNEL", "MODE", "NAT", "MTU", "IKE-CIPHER", "KEY-EXCHANGE", "ESP-CIPHER",
    "IKE-AGE", "ESP-AGE",
)  # fmt: skip


def by_peer(connections: Mapping[str, Sequence[Connection]], style: Style, limit: int) -> list[str]:
    """What the SAs with each peer have, several values if they differ, and the greatest age; so many rows.

    Of what they carry the smallest, as the networks get it.
    """
    found = {name: [each for each in of_peer if each.in_force.is_known] for name, of_peer in connections.items()}
    rows = [(name, of_peer) for name, of_peer in found.items() if of_peer]
    if not rows:
        return []
    lines = table(_OF_PEERS, [_peer_row(*row) for row in rows[:limit]], style)
    return lines if len(rows) <= limit else [*lines, f"and {len(rows) - limit} more: kubectl isthmus peers"]


def by_connection(connections: Iterable[tuple[str, Connection]], style: Style) -> list[str]:
    """Each connection with SAs of which that is known, with the name of its node."""
    rows = [_connection_row(node, connection) for node, connection in connections if connection.in_force.is_known]
    return table(_OF_CONNECTIONS, rows, style) if rows else []


def age(found: Iterable[int | None]) -> str:
    """The greatest age, in words; empty if none is known."""
    known = [seconds for seconds in found if seconds is not None]
    return duration(max(known)) if known else ""


def _peer_row(name: str, connections: Sequence[Connection]) -> list[Value]:
    found = [each.in_force for each in connections]

    def all_of(field: Callable[[InForce], str]) -> str:
        return ",".join(sorted({field(each) for each in found} - {""}))

    return [
        name,
        all_of(lambda each: each.encapsulation),
        all_of(lambda each: each.esp_mode),
        all_of(lambda each: each.nat),
        min((each.path.carried_mtu for each in connections if each.path.carried_mtu is not None), default=None),
        all_of(lambda each: each.esp_cipher),
        all_of(lambda each: each.key_exchange),
        age(each.ike_age_seconds for each in found) or "-",
        age(each.esp_age_seconds for each in found) or "-",
    ]


def _connection_row(node: str, connection: Connection) -> list[Value]:
    found = connection.in_force
    return [
        node,
        connection.cloud_id,
        connection.gateway,
        found.encapsulation,
        found.esp_mode,
        found.nat,
        connection.path.carried_mtu,
        found.ike_cipher,
        found.key_exchange,
        found.esp_cipher,
        age([found.ike_age_seconds]),
        age([found.esp_age_seconds]) or "-",
    ]
