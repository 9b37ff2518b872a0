"""NetworkExpansion: a tenant's wish to have a network stretched to other clouds."""

from __future__ import annotations

from typing import Annotated, ClassVar

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
    DisplayName,
    IPv4Address,
    IPv4CIDR,
    Message,
    NetworkID,
    ObjectName,
    ProjectID,
    Ratio,
    ReasonText,
    TunnelID,
)


class Addressing(ApiModel):
    """How the subnet's addresses are divided."""

    slice_size: Annotated[int, Field(ge=2, le=65_536)] | None = None
    """Addresses that each peer gets of every subnet; by default a quarter of the subnet's allocation pools."""


class PeerReference(ApiModel):
    """A CloudPeer by name."""

    name: ObjectName


class NetworkExpansionSpec(ApiModel):
    """This network, to these peers."""

    network_id: Annotated[
        NetworkID,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "networkID is immutable"}]
            },
        ),
    ]
    """The Neutron network; it must belong to the project that this namespace is bound to."""
    peers: Annotated[
        tuple[PeerReference, ...],
        Field(
            min_length=1,
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """The CloudPeers to stretch it to."""
    addressing: Annotated[
        Addressing,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "addressing is immutable"}]
            }
        ),
    ] = Addressing()


class AddressSlice(ApiModel):
    """The run of addresses of one subnet that a peer owns; both ends belong to it."""

    cidr: IPv4CIDR
    first: IPv4Address
    last: IPv4Address


class ExpansionPeerStatus(ApiModel):
    """How far the expansion to one peer is."""

    name: ObjectName
    cloud_id: CloudID | None = None
    ready: bool
    reason: ReasonText
    message: Message = ""
    tunnel_id: TunnelID | None = None
    mtu: MTU | None = None
    slices: Annotated[tuple[AddressSlice, ...], Field(max_length=16)] = ()


class NetworkExpansionStatus(ApiModel):
    """What became of the wish. Written by the controller."""

    observed_generation: ObservedGeneration | None = None
    conditions: Conditions = ()
    network_name: DisplayName | None = None
    project_id: ProjectID | None = None
    mtu: MTU | None = None
    peers_ready: Ratio | None = None
    """Number of peers that the network is stretched to, of those requested: `1/2`."""
    peers: Annotated[
        tuple[ExpansionPeerStatus, ...],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()


class NetworkExpansion(CustomObject):
    """This network, to these peers."""

    registration: ClassVar[Kind] = Kind(
        kind="NetworkExpansion",
        plural="networkexpansions",
        short_names=("netexp",),
        namespaced=True,
        description="A tenant's wish: stretch this network to these peers.",
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
