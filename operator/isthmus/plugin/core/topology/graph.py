"""What is drawn: this cloud in the middle, its peers around it, and tunnels and networks between them."""

from __future__ import annotations

from dataclasses import dataclass

from .states import Health


@dataclass(frozen=True)
class Tunnel:
    """From one of our gateway nodes to a gateway of the peer."""

    node: str
    gateway: str
    address: str
    ike: str
    esp: str
    bfd: str
    health: Health


@dataclass(frozen=True)
class Member:
    """Another receiver of a peer's network."""

    number: int
    """In the network."""
    cloud_id: str
    """Empty if it is not known."""
    path: str
    """By which frames are sent to it, Direct or ThroughOrigin; empty if none is up, or nothing current is reported."""
    health: Health


@dataclass(frozen=True)
class Network:
    """A network of ours at a peer, or the replica of a peer's network."""

    label: str
    """`namespace/name` of the NetworkExpansion, or the peer's ID of its network; `diagnose` knows it by that."""
    network_name: str
    """In Neutron; empty for a replica."""
    network_id: str
    is_replica: bool
    mtu: int | None
    health: Health
    members: tuple[Member, ...] = ()
    """The other receivers, of a replica alone."""


@dataclass(frozen=True)
class Branch:
    """One peer, with all that leads to it."""

    name: str
    cloud_id: str
    agreement: str
    """State that the administrator has set; empty if there is no CloudPeer."""
    health: Health
    tunnels: tuple[Tunnel, ...]
    networks: tuple[Network, ...]


@dataclass(frozen=True)
class GatewayNode:
    """A gateway node of ours."""

    name: str
    address: str
    health: Health


@dataclass(frozen=True)
class Topology:
    """One cloud."""

    cloud_id: str
    """Empty if it is not known."""
    nodes: tuple[GatewayNode, ...]
    branches: tuple[Branch, ...]
