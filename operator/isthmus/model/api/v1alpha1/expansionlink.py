"""ExpansionLink: what this cloud publishes about one stretched network to one peer."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from isthmus.model import names
from isthmus.model.api.objects import (
    AGE,
    ApiModel,
    Conditions,
    CustomObject,
    Kind,
    ObservedGeneration,
    PrinterColumn,
    ready_column,
)
from isthmus.model.facts.openstack import AUTOMATIC_MODES
from isthmus.model.types import (
    MTU,
    BucketCount,
    CloudID,
    DisplayName,
    GatewayName,
    Generation,
    IPAddress,
    IPv4Address,
    IPv6Address,
    MACAddress,
    MemberNumber,
    NetworkID,
    ObjectUID,
    PortNumber,
    ProjectID,
    ReaderRevision,
    ReasonText,
    Remark,
    SecurityGroupName,
    SubnetCIDR,
    Time,
    TunnelID,
    cel_rule,
)

from .networkexpansion import GatewayChoice, SharedAddresses

MAX_PORTS_PER_LINK = 500
MAX_RESERVED_ADDRESSES = 256
MAX_ADDRESSES_PER_PORT = 16
MAX_GROUPS_PER_PORT = 8
MAX_CARRIED_GROUPS = 16
MAX_RULES_PER_GROUP = 64
MAX_SUBNETS = 16
MAX_RANGES = 16  # of one slice, the first one included
_OFFERED = ".status.peer.spec.offer"
ORIGIN_NUMBER = 1  # of the members of a network
MAX_OFFERED_ROUTERS = 32
GroupMatching = Literal["ByName", "ByNameAndDefault"]
AddressMode = Literal["slaac", "dhcpv6-stateless", "dhcpv6-stateful"]
MAX_OFFERED_MEMBERS = 64  # those of which the tunnel IDs are not free yet among them


class NetworkIdentity(ApiModel):
    """Identity of a network, the same in both clouds."""

    cloud_id: CloudID
    """Cloud that the network comes from, its origin."""
    network_id: NetworkID
    """ID of the Neutron network at its origin."""

    @property
    def link_name(self) -> str:
        """Name of the ExpansionLinks and the Attachment of this network."""
        return names.link_name(self.cloud_id, self.network_id)


ImmutableOrigin = Annotated[
    NetworkIdentity,
    Field(json_schema_extra=cel_rule("self == oldSelf", "origin is immutable")),
]


class HostRoute(ApiModel):
    """Route from the subnet's `host_routes`."""

    destination: SubnetCIDR
    """Destination of the route."""
    nexthop: IPAddress
    """Next hop of the route."""


class SliceRange(ApiModel):
    """Consecutive addresses of a slice."""

    first: IPAddress
    """First address of the range."""
    last: IPAddress
    """Last address of the range."""


class OfferedSubnet(ApiModel):
    """Subnet of the origin, with the slice of its addresses that the receiver may use."""

    id: NetworkID
    """ID of the subnet at the origin."""
    name: DisplayName = ""
    """Name of the subnet at the origin."""
    cidr: SubnetCIDR
    """CIDR of the subnet."""
    gateway_ip: IPAddress | None = None
    """Address of the origin's router; absent if the subnet has no gateway."""
    enable_dhcp: bool = True
    """Whether DHCP is enabled on the subnet."""
    dns_nameservers: Annotated[tuple[IPAddress, ...], Field(max_length=16)] = ()
    """DNS name servers of the subnet."""
    host_routes: Annotated[tuple[HostRoute, ...], Field(max_length=64)] = ()
    """Host routes of the subnet."""
    first: IPAddress | None = None
    """First address of the receiver's slice, as it was at the beginning; absent if there are no slices."""
    last: IPAddress | None = None
    """Last address of the receiver's slice, as it was at the beginning; absent if there are no slices."""
    further_ranges: Annotated[tuple[SliceRange, ...], Field(max_length=MAX_RANGES - 1)] = ()
    """Ranges by which the receiver's slice has grown since. None is ever changed or removed."""
    ipv6_address_mode: AddressMode | None = None
    """How machines get IPv6 addresses, in Neutron's words. With `slaac` and `dhcpv6-stateless` they form them from
    their MAC addresses, and there are no slices. Absent of IPv4, and if nobody serves addresses."""

    @property
    def ranges(self) -> tuple[SliceRange, ...]:
        """All of the receiver's slice, in the order in which it was given; empty if there are no slices."""
        if self.first is None or self.last is None:
            return ()
        return (SliceRange(first=self.first, last=self.last), *self.further_ranges)

    @property
    def is_ipv6(self) -> bool:
        """Whether it is an IPv6 subnet."""
        return ":" in self.cidr

    @property
    def is_automatic(self) -> bool:
        """Whether machines form their addresses from their MAC addresses (EUI-64)."""
        return self.ipv6_address_mode in AUTOMATIC_MODES


class OfferedProject(ApiModel):
    """Project that owns the network at its origin."""

    id: ProjectID
    """ID of the project at the origin."""
    name: DisplayName = ""
    """Name of the project at the origin."""


class OfferedMember(ApiModel):
    """Another member of the network, which the receiver reaches through the origin, directly, or by either path."""

    number: MemberNumber
    """The member's number in the network."""
    tunnel_id: TunnelID | None = None
    """Tunnel ID of frames to and from that member on the tunnel between origin and receiver, from the origin's part of
    the agreed range; absent if the origin hands none on."""
    retired: bool = False
    """The tunnel ID is not to be used any more: the origin waits until no gateway node uses it."""
    cloud_id: CloudID | None = None
    """Which cloud it is, if the two may reach each other directly; absent if the receiver is not to learn it."""


class OfferedRule(ApiModel):
    """What a rule of a carried security group allows."""

    model_config = ConfigDict(
        json_schema_extra=cel_rule(
            "has(self.remotePrefix) != has(self.remoteGroup)", "a rule has either remotePrefix or remoteGroup"
        )
    )
    direction: Literal["ingress", "egress"]
    """As a machine in the group sees it."""
    ip_version: Literal[4, 6]
    """Version of IP."""
    protocol: Annotated[int, Field(ge=1, le=255)] | None = None
    """Protocol number of IP; absent: any."""
    first: PortNumber | None = None
    """First port; of ICMP the type. Absent: any."""
    last: PortNumber | None = None
    """Last port; of ICMP the code. Absent: any."""
    remote_prefix: SubnetCIDR | None = None
    """Addresses that it is allowed from or to; 0.0.0.0/0 or ::/0: anybody's."""
    remote_group: SecurityGroupName | None = None
    """Name of the security group whose members it is allowed from or to."""


class OfferedGroup(ApiModel):
    """Security group of the origin that is to be made at the receiver."""

    name: SecurityGroupName
    """Name of the group."""
    stateful: bool = True
    """Whether replies pass by themselves."""
    revision: Generation
    """Number that grows with each change of the group: of two offers of one project, the greater one counts."""
    rules: Annotated[tuple[OfferedRule, ...], Field(max_length=MAX_RULES_PER_GROUP)] = ()
    """All that it allows."""


class Offer(ApiModel):
    """Offer of the network to the receiver. Published by the origin only."""

    tunnel_id: TunnelID
    """Tunnel ID of the network, from the origin's part of the agreed range."""
    project: OfferedProject
    """Project that owns the network at its origin."""
    network_name: DisplayName = ""
    """Name of the network at its origin."""
    subnets: Annotated[
        tuple[OfferedSubnet, ...],
        Field(
            min_length=1,
            max_length=MAX_SUBNETS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
        ),
    ]
    """Subnets of the network, each with the receiver's slice."""
    gateway_choice: GatewayChoice = "Origin"
    """Gateway of the receiver's machines: the origin's, one of the receiver's own, in its slice, or none."""
    number: MemberNumber | None = None
    """The receiver's number in the network; the origin's is 1."""
    members: Annotated[
        tuple[OfferedMember, ...],
        Field(
            max_length=MAX_OFFERED_MEMBERS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["number"]},
        ),
    ] = ()
    """The other receivers that this one may reach."""
    router_addresses: Annotated[tuple[IPv6Address, ...], Field(max_length=MAX_OFFERED_ROUTERS)] = ()
    """IPv6 addresses of the origin's routers on the network, the link-local ones included: only its side may claim
    them. Empty unless an IPv6 subnet is offered."""
    shared_addresses: SharedAddresses = ()
    """Addresses of the subnets that belong to no member, and that machines of each may claim."""
    group_matching: GroupMatching | None = None
    """Whether ports name their security groups, and count as members of those of the same name elsewhere; with
    `ByNameAndDefault` also of `default`. Absent: groups are each cloud's own."""
    carried_groups: (
        Annotated[
            tuple[OfferedGroup, ...],
            Field(
                max_length=MAX_CARRIED_GROUPS,
                json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            ),
        ]
        | None
    ) = None
    """Security groups that are to be made in the project of the replica. Absent: none are carried."""

    @property
    def ranges(self) -> tuple[SliceRange, ...]:
        """All addresses that belong to the receiver."""
        return tuple(range_ for subnet in self.subnets for range_ in subnet.ranges)

    @property
    def has_ipv6(self) -> bool:
        """Whether an IPv6 subnet is offered."""
        return any(subnet.is_ipv6 for subnet in self.subnets)

    @property
    def tunnel_ids(self) -> tuple[int, ...]:
        """All tunnel IDs that the offer reserves."""
        return (self.tunnel_id, *(member.tunnel_id for member in self.members if member.tunnel_id is not None))

    @property
    def named(self) -> dict[int, str]:
        """Cloud IDs of the members that may be reached directly, by their numbers."""
        return {member.number: member.cloud_id for member in self.members if member.cloud_id is not None}


class Answer(ApiModel):
    """Answer to one generation of the offer. Published by the receiver only."""

    uid: Annotated[str, Field(max_length=64)]
    """UID of the origin's ExpansionLink that this answer refers to."""
    generation: Generation
    """The `metadata.generation` of the offer that this answer refers to."""
    verdict: Literal["Accepted", "Refused", "Released"]
    """Accepted, Refused, or Released: the offer was withdrawn and the receiver is disconnected."""
    reason: ReasonText = "Accepted"
    """Why the offer is not accepted; docs/conditions.md lists all reasons."""
    message: Remark = ""
    """Why the offer is not accepted, in a sentence that names nothing local to the receiver."""
    low_subnets: Annotated[tuple[NetworkID, ...], Field(max_length=MAX_SUBNETS)] = ()
    """IDs of the offered subnets in which the receiver has few addresses left, so that the origin may add a range."""
    gateway_addresses: Annotated[tuple[IPv4Address, ...], Field(max_length=MAX_SUBNETS)] = ()
    """Gateways of the receiver's own, each in its slice; the origin accepts ARP for them from the receiver only."""
    installed_generation: Generation | None = None
    """The `metadata.generation` of the last offer whose tunnel IDs all gateway nodes of the receiver have, and no
    others."""
    reachable: Annotated[
        tuple[MemberNumber, ...],
        Field(max_length=MAX_OFFERED_MEMBERS, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Numbers of the offered members from which dataplane probes come back, in ascending order."""


class PublishedPort(ApiModel):
    """Port in the publishing cloud's part of the network. The peer detects address conflicts by it, and answers ARP."""

    id: NetworkID
    """ID of the Neutron port."""
    mac: MACAddress
    """MAC address of the port."""
    addresses: Annotated[tuple[IPAddress, ...], Field(max_length=MAX_ADDRESSES_PER_PORT)] = ()
    """Addresses of the port; those of IPv6 only for a peer that knows IPv6 subnets."""
    pair_addresses: Annotated[tuple[IPAddress, ...], Field(max_length=MAX_ADDRESSES_PER_PORT)] | None = None
    """Those of `addresses` that the port may only use by its allowed address pairs; absent if there are none."""
    exclusive: bool | None = None
    """Whether nobody takes over those of `addresses` that are the port's own: it is a machine's or a router's, and no
    allowed address pair names one. Absent if not: then it may only reserve a virtual address.
    """
    member: MemberNumber | None = None
    """Number of the member of the network that the port belongs to, if the origin publishes it for that member."""
    groups: Annotated[tuple[SecurityGroupName, ...], Field(max_length=MAX_GROUPS_PER_PORT)] | None = None
    """Names of the security groups that the port is in, if the network's `groupMatching` has them published; absent
    if there are none."""

    @property
    def fixed_addresses(self) -> tuple[str, ...]:
        """The addresses that belong to this port alone."""
        return tuple(address for address in self.addresses if address not in (self.pair_addresses or ()))


class ExpansionLinkSpec(ApiModel):
    """What one cloud publishes about one stretched network to one peer."""

    model_config = ConfigDict(
        json_schema_extra=cel_rule(
            "has(self.offer) != has(self.answer)", "the origin's link carries an offer, the receiver's an answer"
        )
    )
    cloud_id: CloudID
    """Cloud that publishes this link."""
    peer_cloud_id: CloudID
    """Cloud that this link is published for."""
    origin: ImmutableOrigin
    """Identity of the network; immutable."""
    state: Literal["Active", "Withdrawn"] = "Active"
    """Active, or Withdrawn: the network is being disconnected, and its tunnel ID stays reserved."""
    offer: Offer | None = None
    """Offer of the network; published by the origin only."""
    answer: Answer | None = None
    """Answer to the offer; published by the receiver only."""
    mtu: MTU
    """Largest MTU in bytes that the publishing cloud can carry; the network gets the smaller one of both clouds."""
    gateway: GatewayName | None = None
    """Active gateway of the network, one of the PeerLink's gateways; absent while there is none."""
    ports: Annotated[tuple[PublishedPort, ...], Field(max_length=MAX_PORTS_PER_LINK)] = ()
    """Ports in the publishing cloud's part of the network, the first 500; empty if they are in PortSlices."""
    port_buckets: BucketCount | None = None
    """Number of PortSlices that hold the ports of this network; absent for a peer that does not read them."""
    reserved_addresses: Annotated[tuple[IPAddress, ...], Field(max_length=MAX_RESERVED_ADDRESSES)] | None = None
    """Addresses that machines of the peer may keep although they are not the peer's: ports reserve them elsewhere.

    Absent if there are none.
    """


class RemoteExpansionLink(ApiModel):
    """The peer's link as last accepted."""

    uid: Annotated[str, Field(max_length=64)]
    """UID of the peer's ExpansionLink."""
    generation: Generation
    """The `metadata.generation` of the peer's ExpansionLink."""
    first_seen: Time
    """Time at which this generation was first read."""
    read_as: ReaderRevision = 1
    """Revision of the reader that understood it; a newer one reads it again."""
    peer_link_uid: ObjectUID = ""
    """UID of the PeerLink published alongside this link. Absence is only trusted while that PeerLink is unchanged."""
    spec: ExpansionLinkSpec
    """What the peer publishes."""


class ExpansionLinkStatus(ApiModel):
    """Observed state of the link. Written by the controller; the peer may read it."""

    observed_generation: ObservedGeneration | None = None
    peer: RemoteExpansionLink | None = None
    """The peer's link as last accepted; absent until there is one."""
    mtu: MTU | None = None
    """Agreed MTU in bytes; absent until both clouds have published theirs."""
    conditions: Conditions = ()
    """Ready, Progressing, Stalled and PeerSeen."""


class ExpansionLink(CustomObject):
    """What this cloud publishes about one stretched network to one peer."""

    registration: ClassVar[Kind] = Kind(
        kind="ExpansionLink",
        plural="expansionlinks",
        short_names=("elink",),
        namespaced=True,
        description=(
            "What this cloud publishes about one stretched network to one peer. "
            "Written by the controller; the peer may read it."
        ),
        columns=(
            PrinterColumn(name="Peer", type="string", path=".spec.peerCloudID"),
            PrinterColumn(name="State", type="string", path=".spec.state"),
            ready_column(),
            ready_column("Reason", field="reason"),
            PrinterColumn(name="MTU", type="integer", path=".status.mtu"),
            PrinterColumn(name="Tunnel-ID", type="integer", path=".spec.offer.tunnelID", priority=1),
            PrinterColumn(name="Gateway", type="string", path=".spec.gateway", priority=1),
            PrinterColumn(name="Offered-Network", type="string", path=_OFFERED + ".networkName", priority=1),
            PrinterColumn(name="Offered-Project", type="string", path=_OFFERED + ".project.name", priority=1),
            ready_column("Message", field="message").model_copy(update={"priority": 1}),
            AGE,
        ),
    )
    spec: ExpansionLinkSpec
    status: ExpansionLinkStatus = ExpansionLinkStatus()
