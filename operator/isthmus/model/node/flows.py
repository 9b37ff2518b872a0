"""The flows of br-cloud: what they are rendered from, the wanted set, what is installed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PlannedLink:
    """The path of one network to one peer: a tunnel ID on the tunnel port of the peer's active gateway."""

    cloud_id: str
    tunnel_port: str
    tunnel_id: int
    probe_mac: str
    """Source MAC address of this link's probe frames."""


@dataclass(frozen=True)
class PlannedNetwork:
    """What the flows of one network are rendered from, besides OpenFlow port numbers."""

    name: str
    patch_port: str
    at_origin: bool
    """Whether this cloud is the origin, whose side alone may send ARP that claims a gateway address."""
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
    """The counters of a flow since it was installed."""

    packets: int
    bytes: int


@dataclass(frozen=True)
class FlowView:
    """The number of installed flows by cookie (learned flows have cookies of their own), and each link's counters.

    Meters are not part of it: Open vSwitch deletes the flows that use a meter together with the meter.
    """

    count_by_cookie: dict[int, int]
    sent: dict[tuple[int, int], Traffic] = field(default_factory=dict)
    """By the network's number and the tunnel port's."""
    received: dict[tuple[int, int], Traffic] = field(default_factory=dict)
    """By the tunnel port's number and the tunnel ID."""
