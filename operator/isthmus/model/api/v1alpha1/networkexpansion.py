"""NetworkExpansion: a tenant's request to stretch a network to other clouds."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

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
    DisplayName,
    IPAddress,
    IPv4Address,
    Message,
    NetworkID,
    ObjectName,
    ProjectID,
    Ratio,
    ReasonText,
    SubnetCIDR,
    TunnelID,
    cel_rule,
)

MAX_PEERS: Final = 15
"""Peers of one network: with its origin it has 16 members."""
_MAX_REQUESTED_SLICES: Final = MAX_PEERS * 16  # one of each subnet


_SAME_DIVISION: Final = " && ".join(
    f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    for field in ("sliceSize", "slices")
)
MAX_SHARED_ADDRESSES: Final = 16
SharedAddresses = Annotated[
    tuple[IPAddress, ...],
    Field(max_length=MAX_SHARED_ADDRESSES, json_schema_extra={"x-kubernetes-list-type": "set"}),
]
GatewayChoice = Literal["Origin", "Local", "None"]
Topology = Literal["Centralized", "Decentralized", "Hybrid"]
SecurityGroups = Literal["Separate", "ByName", "Carried"]
DefaultGroup = Literal["Separate", "Joined"]


class RequestedSlice(ApiModel):
    """Addresses of one subnet that one peer is to get."""

    peer: ObjectName
    """Name of the CloudPeer."""
    cidr: SubnetCIDR
    """CIDR of the subnet."""
    first: IPAddress
    """First address of the slice."""
    last: IPAddress
    """Last address of the slice."""


class Addressing(ApiModel):
    """Division of the subnets' addresses."""

    slice_size: Annotated[int, Field(ge=2, le=65_536)] | None = None
    """Number of addresses of every subnet that each peer gets; if absent, a quarter of those that are still free, and
    at least 8 of them as long as there are 16; of IPv6 not more than 65,536. Subnets whose machines form their
    addresses themselves (SLAAC) are not divided."""
    slices: Annotated[tuple[RequestedSlice, ...], Field(max_length=_MAX_REQUESTED_SLICES)] = ()
    """Slices that the tenant chooses, such as those of subnets without allocation pools; Isthmus chooses the others."""
    growth: Literal["Auto", "None"] = "Auto"
    """Auto: a peer that has few addresses of a subnet left gets more, as long as this cloud keeps as many free ones.
    None, or a slice that the tenant chose: it has to do with what it has. It may be changed."""
    shared: SharedAddresses = ()
    """Addresses that belong to no cloud and to no port, such as virtual ones that VRRP moves: they are in no slice and
    in no allocation pool, and machines of every cloud may have them as allowed address pairs. It may be changed."""


class PeerReference(ApiModel):
    """Reference to a CloudPeer, and what its machines have as their gateway."""

    name: ObjectName
    """Name of the CloudPeer."""
    gateway: GatewayChoice = "Origin"
    """Default gateway of the machines at the peer: the origin's, or Local, an address of the peer's slice that a router
    there can have, or None."""


class NetworkExpansionSpec(ApiModel):
    """Network to stretch and the peers to stretch it to, written by a tenant."""

    model_config = ConfigDict(
        json_schema_extra=cel_rule(
            "self.defaultGroup == 'Separate' || self.securityGroups != 'Separate'",
            "defaultGroup: Joined needs securityGroups: ByName or Carried",
        )
    )
    network_id: Annotated[
        NetworkID,
        Field(
            json_schema_extra=cel_rule("self == oldSelf", "networkID is immutable"),
        ),
    ]
    """ID of the Neutron network; immutable. It must belong to the project that the namespace is bound to."""
    peers: Annotated[
        tuple[PeerReference, ...],
        Field(
            min_length=1,
            max_length=MAX_PEERS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """Peers to stretch the network to."""
    topology: Topology = "Hybrid"
    """How the peers' machines reach each other. Centralized: through this cloud, and the peers learn each other's
    machines, but not which clouds they are in. Decentralized: by the peers' own tunnels, which they need for it.
    Hybrid: by their own tunnels where they have them, else through this cloud. It may be changed at any time."""
    addressing: Annotated[
        Addressing,
        Field(json_schema_extra=cel_rule(_SAME_DIVISION, "addressing is immutable, but for growth and shared")),
    ] = Addressing()
    """Division of the subnets' addresses; immutable, but for `growth` and `shared`."""
    security_groups: SecurityGroups = "Separate"
    """Whom rules with a remote group admit. Separate: machines of their own cloud. ByName: also those of the other
    clouds that are in a security group of the same name there. Carried: the same, and the groups of this cloud are made
    in the others, with their rules. The other clouds are trusted to say which machines are in a group. It needs remote
    ports, and may be changed at any time."""
    default_group: DefaultGroup = "Separate"
    """Whether ByName and Carried match the groups named `default`, too: Joined. All machines without another group are
    in them."""


class AddressSlice(ApiModel):
    """Addresses of one subnet that a peer may use."""

    cidr: SubnetCIDR
    """CIDR of the subnet."""
    first: IPAddress
    """First address of the slice."""
    last: IPAddress
    """Last address of the slice."""


class ExpansionPeerStatus(ApiModel):
    """State of the expansion towards one peer."""

    name: ObjectName
    """Name of the CloudPeer."""
    cloud_id: CloudID | None = None
    """Cloud ID of the peer; absent if there is no such CloudPeer."""
    ready: bool
    """Whether the network is stretched to the peer and traffic passes."""
    reason: ReasonText
    """Why it is ready or not; docs/conditions.md lists all reasons."""
    message: Message = ""
    """Why it is not ready, in a sentence with what to do."""
    tunnel_id: TunnelID | None = None
    """Tunnel ID of the network on the tunnel to this peer."""
    mtu: MTU | None = None
    """MTU in bytes agreed with this peer."""
    slices: Annotated[tuple[AddressSlice, ...], Field(max_length=256)] = ()
    """Addresses that the peer may use: one slice for each subnet, and the ranges by which it has grown."""
    gateway_addresses: Annotated[tuple[IPv4Address, ...], Field(max_length=16)] = ()
    """Gateways of the peer's own, one for each subnet, if `gateway` is Local; a router there can have them."""


class NetworkExpansionStatus(ApiModel):
    """Observed state of the expansion. Written by the controller."""

    observed_generation: ObservedGeneration | None = None
    conditions: Conditions = ()
    """Ready, Progressing, Stalled, Degraded, AddressConflict, SubnetsStretched, AddressesLow, DistributedRouter,
    QoSPolicy, GatewayIgnored, SharedAddressesIgnored, RemotePortsIncomplete, GroupsIgnored and GroupsIncomplete."""
    network_name: DisplayName | None = None
    """Name of the network in Neutron."""
    project_id: ProjectID | None = None
    """ID of the project that owns the network."""
    mtu: MTU | None = None
    """MTU in bytes that was agreed with all peers; absent while no peer has accepted the network."""
    peers_ready: Ratio | None = None
    """Number of peers that the network is stretched to, of those requested: `1/2`."""
    peers: Annotated[
        tuple[ExpansionPeerStatus, ...],
        Field(
            max_length=MAX_PEERS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """State of the expansion towards each peer."""


class NetworkExpansion(CustomObject):
    """Request of a tenant to stretch a network to peers."""

    registration: ClassVar[Kind] = Kind(
        kind="NetworkExpansion",
        plural="networkexpansions",
        short_names=("netexp",),
        namespaced=True,
        description="Request to stretch a network of the namespace's project to peers. Written by a tenant.",
        columns=(
            PrinterColumn(name="Network", type="string", path=".status.networkName"),
            PrinterColumn(name="Peers", type="string", path=".status.peersReady"),
            ready_column(),
            ready_column("Reason", field="reason"),
            PrinterColumn(name="MTU", type="integer", path=".status.mtu"),
            ready_column("Message", field="message").model_copy(update={"priority": 1}),
            AGE,
        ),
    )
    spec: NetworkExpansionSpec
    status: NetworkExpansionStatus = NetworkExpansionStatus()
