"""GatewayNode: one gateway node as its agent sees it."""

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
from isthmus.model.types import MTU, CloudID, GatewayName, IPv4Address, Message, Ratio, ReasonText

VersionText = Annotated[str, Field(max_length=128)]


class TunnelAddress(ApiModel):
    """An address of the node inside our own gateway CIDRs, and the MTU of its interface."""

    address: IPv4Address
    mtu: MTU


class Software(ApiModel):
    """Versions on the node."""

    kernel: VersionText = ""
    openvswitch: VersionText = ""
    strongswan: VersionText = ""
    isthmus: VersionText = ""


class GatewayConnection(ApiModel):
    """The connection to one remote gateway."""

    cloud_id: CloudID
    gateway: GatewayName
    address: IPv4Address
    up: bool
    """SA installed and the BFD session over it up."""
    ike: Literal["Established", "Connecting", "Down"]
    esp: Literal["Installed", "Missing"]
    bfd: Literal["Up", "Down", "Unknown"]
    reason: ReasonText = "Up"
    message: Message = ""


class GatewayNodeStatus(ApiModel):
    """Written by that node's agent alone, with server-side apply."""

    observed_generation: ObservedGeneration | None = None
    conditions: Conditions = ()
    addresses: Annotated[tuple[TunnelAddress, ...], Field(max_length=4)] = ()
    neutron_host: Annotated[str, Field(max_length=253)] | None = None
    """What Neutron calls this host (`binding:host_id`): OVSDB's external_ids:hostname."""
    software: Software = Software()
    peers_up: Ratio | None = None
    """Number of peers with every connection up, of all that this node has connections to: `2/3`."""
    connections: Annotated[
        tuple[GatewayConnection, ...],
        Field(
            max_length=256,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["cloudID", "gateway"],
            },
        ),
    ] = ()


class GatewayNode(CustomObject):
    """One gateway node as its agent sees it."""

    registration: ClassVar[Kind] = Kind(
        kind="GatewayNode",
        plural="gatewaynodes",
        short_names=("gwnode",),
        namespaced=False,
        description="A gateway node as its agent sees it. Made by the controller for each labelled node.",
        columns=(
            ready_column(),
            ready_column("Reason", field="reason"),
            PrinterColumn(name="Address", type="string", path=".status.addresses[0].address"),
            PrinterColumn(name="Peers-Up", type="string", path=".status.peersUp"),
            PrinterColumn(name="Neutron-Host", type="string", path=".status.neutronHost", priority=1),
            PrinterColumn(name="Open-vSwitch", type="string", path=".status.software.openvswitch", priority=1),
            PrinterColumn(name="strongSwan", type="string", path=".status.software.strongswan", priority=1),
            ready_column("Message", field="message").model_copy(update={"priority": 1}),
            AGE,
        ),
    )
    status: GatewayNodeStatus = GatewayNodeStatus()
