"""Attachment: what the gateway nodes of this cloud must do for one stretched network; never readable by a peer."""

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
    IPv4Address,
    IPv4CIDR,
    MACAddress,
    Message,
    NetworkID,
    ProjectID,
    Ratio,
    ReasonText,
    TunnelID,
)

from .cloudpeer import PeerGateway
from .expansionlink import NetworkIdentity


class AddressRange(ApiModel):
    """An allocation pool of Neutron: both ends belong to it."""

    first: IPv4Address
    last: IPv4Address


MAX_POOLS = 256
Pools = Annotated[tuple[AddressRange, ...], Field(max_length=MAX_POOLS)]


class PeerSlice(ApiModel):
    """Addresses of one subnet that were taken out of our pools for one peer."""

    cloud_id: CloudID
    first: IPv4Address
    last: IPv4Address


class SubnetRecord(ApiModel):
    """What we changed or made on one subnet."""

    id: NetworkID
    """Of the subnet here; at the receiver of the copy."""
    origin_id: NetworkID
    """Of the subnet at its origin."""
    cidr: IPv4CIDR
    original_pools: Pools = ()
    """Pools before we shrank them (origin only)."""
    slices: Annotated[tuple[PeerSlice, ...], Field(max_length=16)] = ()
    """What each peer got, also those that are just being let go (origin only)."""
    gateway_port_id: NetworkID | None = None
    """Our port that reserves the origin's gateway address on the copy (receiver only)."""


class Record(ApiModel):
    """The journal of what we made or changed in OpenStack, written before the change, undone from here."""

    domain_id: ProjectID | None = None
    """Keystone domain that we made for the peer (receiver only)."""
    project_id: ProjectID | None = None
    """Project that we made (receiver), or the tenant's own (origin)."""
    origin_project_id: ProjectID | None = None
    """The project that owns the network at its origin; our copy of it is found again by it (receiver only)."""
    network_id: NetworkID | None = None
    """The network here: the tenant's own (origin), or the copy that we made (receiver)."""
    original_mtu: MTU | None = None
    """MTU before we lowered it (origin only)."""
    written_mtu: MTU | None = None
    """The MTU of ours that was there when another one became due, and is there until that is written (origin only)."""
    subnets: Annotated[
        tuple[SubnetRecord, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["originID"]},
        ),
    ] = ()


class NodePort(ApiModel):
    """The attachment port on one gateway node, already bound to it."""

    node: GatewayName
    port_id: NetworkID
    mac: MACAddress


class AttachmentLink(ApiModel):
    """The way to one peer's part of the network."""

    cloud_id: CloudID
    tunnel_id: TunnelID
    gateway: PeerGateway
    """The peer's active gateway of this network."""


class AttachmentSpec(ApiModel):
    """What the nodes must do, and the controller's record of what it changed."""

    origin: NetworkIdentity
    role: Literal["Origin", "Receiver"]
    mtu: MTU | None = None
    active_node: GatewayName | None = None
    ports: Annotated[
        tuple[NodePort, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["node"]},
        ),
    ] = ()
    links: Annotated[
        tuple[AttachmentLink, ...],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["cloudID"]},
        ),
    ] = ()
    gateway_addresses: Annotated[tuple[IPv4Address, ...], Field(max_length=16)] = ()
    """The subnets' gateway addresses: they live at the origin, and only from there may ARP claim them."""
    record: Record = Record()


class LinkObservation(ApiModel):
    """What a node sees of one link."""

    cloud_id: CloudID
    up: bool
    """The echo frame comes back through both br-clouds."""
    reason: ReasonText = "ProbeAnswered"
    message: Message = ""


class NodeObservation(ApiModel):
    """One node's state of this attachment. Written by that node's agent alone."""

    node: GatewayName
    observed_generation: Annotated[int, Field(ge=0)] = 0
    plugged: bool = False
    """The patch pair and the flows are in place."""
    links: Annotated[
        tuple[LinkObservation, ...],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["cloudID"]},
        ),
    ] = ()


class AttachmentStatus(ApiModel):
    """`conditions` by the controller, each entry of `nodes` by that node's agent (server-side apply)."""

    observed_generation: ObservedGeneration | None = None
    conditions: Conditions = ()
    links_up: Ratio | None = None
    """Number of links over which the active node gets probes answered, of all links: `1/2`."""
    nodes: Annotated[
        tuple[NodeObservation, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["node"]},
        ),
    ] = ()


class Attachment(CustomObject):
    """What the gateway nodes must do for one stretched network."""

    registration: ClassVar[Kind] = Kind(
        kind="Attachment",
        plural="attachments",
        short_names=("attach",),
        namespaced=True,
        description="What this cloud's gateway nodes must do for one stretched network. Written by the operator.",
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
