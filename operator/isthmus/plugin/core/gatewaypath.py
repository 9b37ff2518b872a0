"""What a gateway node knows of the path to a peer's gateway."""

from __future__ import annotations

from dataclasses import dataclass

from .documents import Document, number, truth


@dataclass(frozen=True)
class Path:
    """`path` of a connection, and what it carries; None is not known."""

    ping: bool | None = None
    ike: bool | None = None
    esp: bool | None = None
    peer_receives: bool | None = None
    mtu: int | None = None
    full_size: bool | None = None
    carried_mtu: int | None = None
    is_reported: bool = False
    """Whether the agent reports paths: one of an earlier release does not."""


def path(connection: Document) -> Path:
    """The path of a connection in the status of a GatewayNode."""
    return Path(
        ping=truth(connection, "path", "ping"),
        ike=truth(connection, "path", "ike"),
        esp=truth(connection, "path", "esp"),
        peer_receives=truth(connection, "path", "peerReceives"),
        mtu=number(connection, "path", "mtu"),
        full_size=truth(connection, "path", "fullSize"),
        carried_mtu=number(connection, "carriedMTU"),
        is_reported="path" in connection,
    )
