"""Attachment: what the gateway nodes have to forward for one stretched network; peers cannot read it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

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
from isthmus.model.types import (
    MTU,
    CloudID,
    GatewayName,
    IPAddress,
    IPv4Address,
    MACAddress,
    MemberNumber,
    Message,
    NetworkID,
    ProjectID,
    Ratio,
    ReasonText,
    SubnetCIDR,
    TunnelID,
)

from .cloudpeer import PeerGateway
from .expansionlink import MAX_OFFERED_ROUTERS, MAX_RANGES, MAX_SUBNETS, NetworkIdentity
from .networkexpansion import MAX_PEERS


class AddressRange(ApiModel):
    """Allocation pool of a Neutron subnet."""

    first: IPAddress
    """First address of the pool."""
    last: IPAddress
    """Last address of the pool."""


MAX_POOLS = 256
MAX_WITHHELD = 256
Pools = Annotated[tuple[AddressRange, ...], Field(max_length=MAX_POOLS)]


class PeerSlice(ApiModel):
    """Addresses of one subnet that were taken out of the allocation pools for one peer: its slice, or a range by which
    that has grown."""

    cloud_id: CloudID
    """Cloud ID of the peer."""
    first: IPAddress
    """First address of the range."""
    last: IPAddress
    """Last address of the range."""


class SubnetRecord(ApiModel):
    """What the controller changed or created on one subnet."""

    id: NetworkID
    """ID of the local Neutron subnet (the replica's subnet on the receiver)."""
    origin_id: NetworkID
    """ID of the subnet at the origin."""
    cidr: SubnetCIDR
    """CIDR of the subnet."""
    original_pools: Pools = ()
    """Allocation pools before the controller reduced them (origin only)."""
    slices: Annotated[tuple[PeerSlice, ...], Field(max_length=2 * MAX_PEERS * MAX_RANGES)] = ()
    """Slices of the peers, each peer's ranges in the order in which it got them, including those being restored to the
    pools (origin only)."""
    shared: Annotated[tuple[IPAddress, ...], Field(max_length=MAX_WITHHELD)] = ()
    """Addresses that nobody gets, including those being restored to the pools (origin only)."""
    gateway_port_id: NetworkID | None = None
    """Port that reserves the origin's gateway address on the replica (receiver only)."""


class Record(ApiModel):
    """What the controller created or changed in OpenStack. Written before the change; withdrawal restores from it."""

    domain_id: ProjectID | None = None
    """Keystone domain created for the peer (receiver only)."""
    project_id: ProjectID | None = None
    """The tenant's own project (origin), or the replicated project (receiver)."""
    origin_project_id: ProjectID | None = None
    """Project that owns the network at the origin; identifies the replicated project (receiver only)."""
    network_id: NetworkID | None = None
    """The tenant's own network (origin), or the replica (receiver)."""
    original_mtu: MTU | None = None
    """MTU in bytes before the controller lowered it (origin only)."""
    written_mtu: MTU | None = None
    """MTU in bytes that the controller set before; kept until the new MTU has been set (origin only)."""
    subnets: Annotated[
        tuple[SubnetRecord, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["originID"]},
        ),
    ] = ()
    """One record for each stretched subnet."""


class NodePort(ApiModel):
    """Attachment port on one gateway node, already bound to that node."""

    node: GatewayName
    """Name of the gateway node."""
    port_id: NetworkID
    """ID of the Neutron port."""
    mac: MACAddress
    """MAC address of the Neutron port."""


class KnownAddress(ApiModel):
    """An address of a peer's machine, and the machine's MAC address."""

    address: IPv4Address
    """IPv4 address in the peer's part of the subnet."""
    mac: MACAddress
    """MAC address of the one port that has it."""


MAX_KNOWN_ADDRESSES = 32  # 700 bytes of an agent's memory each, for up to some 10,000 links
MAX_ROUTER_ADDRESSES = 32
GatewayAddresses = Annotated[tuple[IPv4Address, ...], Field(max_length=MAX_SUBNETS)]


MAX_MEMBERS = 14  # besides the origin and the cloud itself, of 16 in all


class MemberPath(ApiModel):
    """Path between a peer and another member of the network that the origin hands frames on for."""

    number: MemberNumber
    """The other member's number in the network."""
    tunnel_id: TunnelID
    """Tunnel ID of frames to and from that member, on the tunnel to the peer."""


class AttachmentLink(ApiModel):
    """Link to one peer's part of the network."""

    cloud_id: CloudID
    """Cloud ID of the peer."""
    tunnel_id: TunnelID
    """Tunnel ID of the network on the tunnel to this peer."""
    gateway: PeerGateway
    """The peer's active gateway of this network."""
    known_addresses: Annotated[tuple[KnownAddress, ...], Field(max_length=MAX_KNOWN_ADDRESSES)] = ()
    """Addresses that the peer publishes; the gateway node answers ARP requests for them. Gateways of subnets first."""
    gateway_addresses: GatewayAddresses = ()
    """Gateway addresses of the peer's own on its replica; ARP for them is accepted from this peer only."""
    ipv6: bool = False
    """Whether IPv6 subnets are stretched to or from the peer: router advertisements of the origin's side cross, and
    router solicitations of the receiver's."""
    number: MemberNumber | None = None
    """The peer's number in the network (at the origin only)."""
    members: Annotated[
        tuple[MemberPath, ...],
        Field(
            max_length=MAX_MEMBERS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["number"]},
        ),
    ] = ()
    """At a receiver, the members that are reached through the peer, which is the origin. At the origin, those that
    frames of the peer are handed on to, and whose frames are handed on to it."""


class DirectPath(ApiModel):
    """Path to another receiver of the network by a tunnel between the two clouds."""

    number: MemberNumber
    """The other member's number in the network."""
    cloud_id: CloudID
    """The other member's cloud ID; it is a peer of this cloud."""
    tunnel_id: TunnelID
    """Tunnel ID of the network on the tunnel to that cloud."""
    gateway: PeerGateway
    """The other member's active gateway of this network."""


MAX_OWNED_ADDRESSES = 10_240  # 200 KB; the controller writes at most twice as many of a kind into one Attachment


class AddressOwner(ApiModel):
    """A member of the network, and the addresses of its ports: no other member may use them."""

    cloud_id: CloudID | None = None
    """Cloud ID of the peer; absent: this cloud."""
    number: MemberNumber | None = None
    """The member's number in the network, if it is behind the peer."""
    macs: Annotated[tuple[MACAddress, ...], Field(max_length=MAX_OWNED_ADDRESSES)]
    """MAC addresses that this member alone publishes, or this cloud's own."""
    addresses: Annotated[tuple[IPAddress, ...], Field(max_length=MAX_OWNED_ADDRESSES)] = ()
    """IP addresses of its machines and routers that nobody takes over."""


class AttachmentSpec(ApiModel):
    """What the gateway nodes have to forward, and the record of what the controller changed."""

    origin: NetworkIdentity
    """Identity of the network."""
    role: Literal["Origin", "Receiver"]
    """Origin if the network is this cloud's own, Receiver if it is a replica of a peer's."""
    mtu: MTU | None = None
    """Agreed MTU of the network in bytes; absent while no peer has accepted the network."""
    active_node: GatewayName | None = None
    """Gateway node that forwards the network's traffic; absent while there is none."""
    ports: Annotated[
        tuple[NodePort, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["node"]},
        ),
    ] = ()
    """Attachment ports, at most one for each gateway node."""
    links: Annotated[
        tuple[AttachmentLink, ...],
        Field(
            max_length=MAX_PEERS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["cloudID"]},
        ),
    ] = ()
    """Links to the peers that the network is connected to."""
    direct_paths: Annotated[
        tuple[DirectPath, ...],
        Field(
            max_length=MAX_MEMBERS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["number"]},
        ),
    ] = ()
    """Other receivers that may be reached without the origin (at a receiver only). One that is also among the members
    of the link to the origin has two paths, and is one member: frames are accepted by both, and sent by one."""
    gateway_addresses: Annotated[tuple[IPAddress, ...], Field(max_length=MAX_SUBNETS + MAX_OFFERED_ROUTERS)] = ()
    """Gateway addresses of the origin's subnets, and at a receiver the IPv6 addresses of the origin's routers. The
    routers are there; ARP and neighbour discovery that claim them are accepted from there only."""
    local_gateway_addresses: GatewayAddresses = ()
    """Gateway addresses of this cloud's own on a replica; ARP for them is accepted from no peer."""
    router_addresses: Annotated[tuple[IPAddress, ...], Field(max_length=MAX_ROUTER_ADDRESSES)] = ()
    """Addresses of this cloud's own routers on the network. Their ARP requests all cross, and no neighbour discovery of
    a peer may claim those of IPv6."""
    owners: Annotated[tuple[AddressOwner, ...], Field(max_length=MAX_PEERS + 1)] = ()
    """Whose the addresses on the network are. Frames with such a MAC address as source, and ARP and neighbour discovery
    that claim such an IP address, are accepted from its owner only, and those with any other one from everybody."""
    record: Record = Record()
    """What the controller created or changed in OpenStack."""


class LinkObservation(ApiModel):
    """State of one link as the node observes it."""

    cloud_id: CloudID
    """Cloud ID of the peer."""
    up: bool
    """Whether probe frames pass through br-cloud on both sides and come back."""
    reason: ReasonText = "ProbeAnswered"
    """Why the link is up or down; docs/conditions.md lists all reasons."""
    message: Message = ""
    """Why the link is down, in a sentence."""


class MemberObservation(ApiModel):
    """State of the paths to another receiver of the network, as the node observes them."""

    number: MemberNumber
    """The member's number in the network."""
    up: bool
    """Whether probe frames reach br-cloud at the member by any path, and come back."""
    path: Literal["Direct", "ThroughOrigin"] | None = None
    """The path by which frames are sent to the member; absent while none is up. They are sent by the last one then."""
    reason: ReasonText = "ProbeAnswered"
    """Why the member is reached or not; docs/conditions.md lists all reasons."""
    message: Message = ""
    """Why it is not reached, or not by its direct path, in a sentence."""


class DropObservation(ApiModel):
    """Frames of a network that br-cloud drops for one reason."""

    cloud_id: CloudID | None = None
    """Cloud ID of the peer that they come from; absent if they are of this cloud."""
    number: MemberNumber | None = None
    """Number in the network of the member that they come from, if that is behind the peer."""
    reason: Annotated[str, Field(max_length=32)]
    """Why they are dropped: storm, for instance. The words are those of metric
    `isthmus_guard_dropped_packets_total`."""


class NodeObservation(ApiModel):
    """State of the attachment on one gateway node. Written by that node's agent only."""

    node: GatewayName
    """Name of the gateway node."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """The `metadata.generation` that the node has applied."""
    plugged: bool = False
    """Whether the patch ports and the flows of the network are in place."""
    links: Annotated[
        tuple[LinkObservation, ...],
        Field(
            max_length=MAX_PEERS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["cloudID"]},
        ),
    ] = ()
    """State of each link; only the active node reports links."""
    members: Annotated[
        tuple[MemberObservation, ...],
        Field(
            max_length=MAX_MEMBERS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["number"]},
        ),
    ] = ()
    """State of the paths to each other receiver (at a receiver only)."""
    dropping: Annotated[tuple[DropObservation, ...], Field(max_length=8 * (MAX_PEERS + 1))] = ()
    """What br-cloud on the node has dropped of the network within the last five minutes, but for what each cloud keeps
    from machines to itself at any time, such as DHCP."""


class AttachmentStatus(ApiModel):
    """Observed state of the attachment. Each entry of `nodes` is written by that node's agent, the rest by the
    controller."""

    observed_generation: ObservedGeneration | None = None
    conditions: Conditions = ()
    """Ready, Progressing, Stalled, Degraded, AddressConflict, RemotePortsIncomplete, GroupsIgnored, GroupsIncomplete
    and, on the receiver, ReplicaInUse."""
    links_up: Ratio | None = None
    """Number of links that the active node reports as up, of all links: `1/2`."""
    nodes: Annotated[
        tuple[NodeObservation, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["node"]},
        ),
    ] = ()
    """State on each gateway node that has a port."""


class Attachment(CustomObject):
    """What the gateway nodes of this cloud have to forward for one stretched network."""

    registration: ClassVar[Kind] = Kind(
        kind="Attachment",
        plural="attachments",
        short_names=("attach",),
        namespaced=True,
        description=(
            "What the gateway nodes of this cloud have to forward for one stretched network. "
            "Written by the controller and the agents; peers cannot read it."
        ),
        columns=(
            PrinterColumn(name="Role", type="string", path=".spec.role"),
            PrinterColumn(name="Network", type="string", path=".spec.record.networkID"),
            PrinterColumn(name="Node", type="string", path=".spec.activeNode"),
            PrinterColumn(name="Links", type="string", path=".status.linksUp"),
            ready_column(),
            ready_column("Reason", field="reason"),
            ready_column("Message", field="message").model_copy(update={"priority": 1}),
            AGE,
        ),
    )
    spec: AttachmentSpec
    status: AttachmentStatus = AttachmentStatus()
