"""The flows of br-cloud: what they are rendered from, the wanted set, what is installed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PlannedLink:
    """The way of one network to one peer: a tunnel ID on the tunnel port of the peer's active gateway."""

    cloud_id: str
    tunnel_port: str
    tunnel_id: int
    probe_mac: str
    """Source address of this link's echo frames."""


@dataclass(frozen=True)
class PlannedNetwork:
    """What the flows of one network need, apart from port numbers."""

    name: str
    patch_port: str
    at_origin: bool
    """This cloud is the network's origin: router advertisements and the gateways' ARP come from our side only."""
    gateway_addresses: tuple[str, ...]
    links: tuple[PlannedLink, ...]


@dataclass(frozen=True)
class Meter:
    """A kernel meter that drops above a packet rate."""

    id: int
    packets_per_second: int
    burst_packets: int


@dataclass(frozen=True)
class FlowTable:
    """All flows of br-cloud as `ovs-ofctl add-flows` lines without cookie, and the meters they use.

    `cookie` names this very set: owner in the upper 16 bits, digest of the text below.
    """

    flows: tuple[str, ...]
    meters: tuple[Meter, ...]
    cookie: int


@dataclass(frozen=True)
class Traffic:
    """What a flow has counted since it was put in."""

    packets: int
    bytes: int


@dataclass(frozen=True)
class FlowView:
    """Installed flows by cookie (learned flows carry cookies of their own), and what crossed each link.

    A meter cannot be missing while its flows are there: whoever deletes a meter deletes the flows that use it.
    """

    count_by_cookie: dict[int, int]
    sent: dict[tuple[int, int], Traffic] = field(default_factory=dict)
    """By the network's number and the tunnel port's."""
    received: dict[tuple[int, int], Traffic] = field(default_factory=dict)
    """By the tunnel port's number and the tunnel ID."""
