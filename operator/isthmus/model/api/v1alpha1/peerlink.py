"""PeerLink: our half of the agreement with one peer, as that peer may see it."""

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
from isthmus.model.types import CloudID, Generation, UDPPort

from .cloudpeer import PeerGateway, TunnelIDRange

PROTOCOL_VERSION = 1

ProposalText = Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Proposals = Annotated[tuple[ProposalText, ...], Field(max_length=8)]
AddressList = Annotated[str, Field(max_length=256, pattern=r"^[0-9.,]*$")]


class OfferedTunnel(ApiModel):
    """Where we take VXLAN, and under which tunnel IDs."""

    port: UDPPort
    id_range: TunnelIDRange


class OfferedIPsec(ApiModel):
    """Proposals that we accept, in order of preference, in strongSwan's notation."""

    ike_proposals: Proposals
    esp_proposals: Proposals


class PeerLinkSpec(ApiModel):
    """Our half of the agreement: offers made from local facts only."""

    cloud_id: CloudID
    """The cloud that publishes this half."""
    peer_cloud_id: CloudID
    """The cloud that it is meant for."""
    protocol_version: Annotated[int, Field(ge=1, le=1000)] = PROTOCOL_VERSION
    state: Literal["Active", "Cordoned"] = "Active"
    gateways: Annotated[
        tuple[PeerGateway, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    tunnel: OfferedTunnel
    ipsec: OfferedIPsec


class RemotePeerLink(ApiModel):
    """The other half as last read and found valid."""

    uid: Annotated[str, Field(max_length=64)]
    generation: Generation
    first_seen: Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
    """When this generation was first seen; it does not move by itself."""
    spec: PeerLinkSpec


class PeerLinkStatus(ApiModel):
    """The other half, and what both halves together mean. Written by the controller."""

    observed_generation: ObservedGeneration | None = None
    peer: RemotePeerLink | None = None
    gateways: AddressList | None = None
    """Addresses of this cloud's gateways in one line, for `kubectl get`."""
    peer_gateways: AddressList | None = None
    """Addresses of the peer's gateways in one line, for `kubectl get`."""
    conditions: Conditions = ()


class PeerLink(CustomObject):
    """Our half of the agreement with one peer."""

    registration: ClassVar[Kind] = Kind(
        kind="PeerLink",
        plural="peerlinks",
        short_names=("plink",),
        namespaced=True,
        description="Our half of the agreement with one peer, which that peer may read. Written by the operator.",
        columns=(
            PrinterColumn(name="Cloud", type="string", path=".spec.cloudID"),
            PrinterColumn(name="Peer", type="string", path=".spec.peerCloudID"),
            ready_column("Agreed", condition="Agreed"),
            PrinterColumn(name="State", type="string", path=".spec.state"),
            PrinterColumn(name="Peer-State", type="string", path=".status.peer.spec.state"),
            PrinterColumn(name="Port", type="integer", path=".spec.tunnel.port", priority=1),
            PrinterColumn(name="Gateways", type="string", path=".status.gateways", priority=1),
            PrinterColumn(name="Peer-Gateways", type="string", path=".status.peerGateways", priority=1),
            AGE,
        ),
    )
    spec: PeerLinkSpec
    status: PeerLinkStatus = PeerLinkStatus()
