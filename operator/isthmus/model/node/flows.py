"""The flows of br-cloud: what they are rendered from, the wanted sets, what is installed, and what to change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self

from isthmus.model.names import direct_path, member
from isthmus.model.tracked import Tracked

from .drops import DropKey
from .pipeline import Direction, member_behind_peer


class KnownAddress(NamedTuple):
    """An IPv4 address of a peer's machine, and the machine's MAC address."""

    address: str
    mac: str


@dataclass(frozen=True)
class PlannedLink:
    """A path of one network to one member: a tunnel ID on the tunnel port of a peer's active gateway."""

    cloud_id: str
    tunnel_port: str
    tunnel_id: int
    probe_mac: str
    """Source MAC address of this link's probe frames."""
    known: tuple[KnownAddress, ...] = ()
    """For which ARP requests are answered here, in order of precedence."""
    gateway_addresses: tuple[str, ...] = ()
    """The peer's own gateways on its replica, which its side alone may claim."""
    number: int | None = None
    """That of a member behind the peer, which hands on its frames; None if the peer itself is the member."""
    direct: str | None = None
    """The cloud ID of the member with that number, if this is the path by a tunnel to its own cloud."""
    ipv6: bool = False
    """Whether IPv6 subnets are stretched over it: discovery of the origin's routers crosses."""

    @property
    def member(self) -> str:
        """Name of the member, the same for all paths to it; see `names.member`."""
        return member(self.cloud_id, self.number)

    @property
    def path(self) -> str:
        """Name of the path, of which a member may have two: directly and through the origin."""
        return self.member if self.direct is None else direct_path(self.member, self.direct)

    @property
    def peer(self) -> str:
        """The cloud ID of the peer whose tunnel it is."""
        return self.cloud_id if self.direct is None else self.direct

    @property
    def is_handed_on(self) -> bool:
        """Whether the peer hands on what it carries, to or from another member."""
        return self.number is not None and self.direct is None

    def number_on_node(self, peers: Mapping[str, int]) -> int:
        """The member's number in the pipeline, 0 if it has none; `peers` are the numbers of peers by cloud ID."""
        return peers.get(self.cloud_id, 0) if self.number is None else member_behind_peer(self.number)


class PlannedEnd(NamedTuple):
    """Where frames between two peers enter or leave: the tunnel of one of them, and the tunnel ID for the other."""

    cloud_id: str
    tunnel_port: str
    tunnel_id: int


class PlannedRelay(NamedTuple):
    """What one peer sends to another, and this cloud hands on."""

    source: PlannedEnd
    destination: PlannedEnd


class PlannedOwner(NamedTuple):
    """A member of a network, and the addresses that frames from this member alone may have or claim."""

    cloud_id: str | None
    """None: this cloud."""
    number: int | None
    """That of a member behind the peer."""
    macs: tuple[str, ...]
    """As source."""
    addresses: tuple[str, ...] = ()
    """IP addresses that ARP and neighbour discovery may claim."""

    def number_on_node(self, peers: Mapping[str, int]) -> int | None:
        """The member's number in the pipeline, 0 for this cloud; None if it has none."""
        if self.cloud_id is None:
            return 0
        return peers.get(self.cloud_id) if self.number is None else member_behind_peer(self.number)


@dataclass(frozen=True)
class PlannedNetwork:
    """What the flows of one network are rendered from, besides numbers and OpenFlow ports."""

    name: str
    patch_port: str
    at_origin: bool
    """Whether this cloud is the origin, whose side alone may send ARP that claims a gateway address."""
    gateway_addresses: tuple[str, ...]
    links: tuple[PlannedLink, ...]
    router_addresses: tuple[str, ...] = ()
    """Addresses of this cloud's own routers: their ARP requests cross, and no peer may claim those of IPv6."""
    local_gateway_addresses: tuple[str, ...] = ()
    """This cloud's own gateways on a replica, which no peer may claim."""
    relays: tuple[PlannedRelay, ...] = ()
    owners: tuple[PlannedOwner, ...] = ()
    """No address twice."""


LinkKey = tuple[str, str]
"""A network's link name and the name of a member."""

PathKey = tuple[str, str]
"""A network's link name and the name of a path. That of a member's only path is its `LinkKey`, unless it is direct."""


@dataclass(frozen=True)
class PlannedNetworks:
    """The networks that a node forwards. Iteration is over the networks, in no particular order."""

    by_name: Tracked[str, PlannedNetwork] = field(default_factory=Tracked)
    by_patch_port: Tracked[str, PlannedNetwork] = field(default_factory=Tracked)
    """By the network's patch port on br-cloud."""
    probe_macs: Tracked[PathKey, str] = field(default_factory=Tracked)
    """Of all paths, the source MAC addresses of their probe frames."""

    @classmethod
    def of(cls, networks: Iterable[PlannedNetwork]) -> Self:
        """These networks."""
        return cls().updated({network.name: network for network in networks})

    def updated(self, networks: Mapping[str, PlannedNetwork | None]) -> Self:
        """With these networks, by name, and without those that are None."""
        by_patch_port: dict[str, PlannedNetwork | None] = {}
        probe_macs: dict[PathKey, str | None] = {}
        for before in filter(None, map(self.by_name.get, networks)):
            by_patch_port[before.patch_port] = None
            probe_macs |= dict.fromkeys((before.name, link.path) for link in before.links)
        for after in filter(None, networks.values()):
            by_patch_port[after.patch_port] = after
            probe_macs |= {(after.name, link.path): link.probe_mac for link in after.links}
        by_name = self.by_name.updated(networks)
        if by_name is self.by_name:
            return self
        return type(self)(by_name, self.by_patch_port.updated(by_patch_port), self.probe_macs.updated(probe_macs))

    def __iter__(self) -> Iterator[PlannedNetwork]:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)


@dataclass(frozen=True)
class PacketMeter:
    """A kernel meter that drops above a packet rate."""

    id: int
    packets_per_second: int
    burst_packets: int


@dataclass(frozen=True)
class BandwidthMeter:
    """A kernel meter that drops above a bit rate; earlier kernels add what passes in a second to the burst."""

    id: int
    kilobits_per_second: int
    burst_kilobits: int


Meter = PacketMeter | BandwidthMeter


@dataclass(frozen=True)
class Owner:
    """What a set of flows exists for; `name` is a peer's cloud ID or a network's link name."""

    kind: Literal["common", "peer", "network"]
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


Flows = frozenset[str]
"""Flows as Open vSwitch lists them (`ovs-ofctl dump-flows`), beginning with their table, without cookie."""


@dataclass(frozen=True)
class FlowSet:
    """All flows with one cookie, and the meters that only they use."""

    owner: Owner
    cookie: int
    flows: Flows
    meters: tuple[Meter, ...] = ()


@dataclass(frozen=True)
class SetChange:
    """What turns the installed flows with one cookie into those of a set."""

    cookie: int
    owner: Owner | None
    """None if no flow with that cookie is wanted."""
    delete_tables: tuple[int, ...] = ()
    """Tables in which all flows with that cookie are deleted."""
    delete: tuple[str, ...] = ()
    """Table, priority and match of single flows with that cookie, which are deleted."""
    add: tuple[str, ...] = ()
    forget: tuple[tuple[int, int], ...] = ()
    """Cookies and masks of learned flows that are deleted, too."""
    meters: tuple[Meter, ...] = ()
    """Added, or modified if there is one of that ID."""


@dataclass(frozen=True)
class FlowChanges:
    """A change of br-cloud: first meters are added, then all flows are changed at once, then meters are deleted."""

    sets: tuple[SetChange, ...] = ()
    delete_meters: tuple[int, ...] = ()
    delete_foreign_learned: bool = False
    """Delete the flows among the learned ones that were not learned by ours."""

    @property
    def meters(self) -> tuple[Meter, ...]:
        """All meters that are added or modified."""
        return tuple(meter for change in self.sets for meter in change.meters)


@dataclass(frozen=True)
class Traffic:
    """The counters of a flow since it was installed."""

    packets: int
    bytes: int


@dataclass(frozen=True)
class LinkTraffic:
    """What a network has sent to one peer and received from it since its flows were installed."""

    sent: Traffic = Traffic(0, 0)
    received: Traffic = Traffic(0, 0)


@dataclass(frozen=True)
class FlowView:
    """Everything installed on br-cloud, except learned flows, which peers can make as many as they like."""

    flows: Mapping[int, Flows]
    """By cookie, also flows that are not ours."""
    meters: frozenset[Meter] = frozenset()
    other_meters: frozenset[int] = frozenset()
    """IDs of meters of another form than ours."""
    traffic: Mapping[tuple[int, int], LinkTraffic] = field(default_factory=dict)
    """By the numbers of network and member."""
    dropped: Mapping[DropKey, int] = field(default_factory=dict)
    """Frames since the flows or the meter were installed, where there are any."""
    foreign_learned: bool = False
    """Whether there are flows among the learned ones that were not learned by ours."""
    over_bandwidth: Mapping[tuple[int, Direction], int] = field(default_factory=dict)
    """By the number of the peer, frames that its bandwidth meters have dropped, where there are any."""
    relayed: Mapping[tuple[int, int, int], Traffic] = field(default_factory=dict)
    """By the numbers of network, sender and receiver, what was handed on but for probes, where there is anything."""
