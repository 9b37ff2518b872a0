"""PeerLink: what this cloud publishes about its agreement with one peer."""

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
from isthmus.model.node.tunnel import EncapsulationName, ModeName
from isthmus.model.protocol import PROTOCOL_VERSION
from isthmus.model.types import CloudID, Generation, ReaderRevision, Time, UDPPort

from .cloudpeer import Authentication, PeerGateway, TunnelIDRange

ProtocolVersion = Annotated[int, Field(ge=1, le=1000)]
ProposalText = Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9_]+(-[a-z0-9_]+)*$")]
Proposals = Annotated[tuple[ProposalText, ...], Field(max_length=8)]
AddressList = Annotated[str, Field(max_length=1024, pattern=r"^[0-9a-f.:,]*$")]  # 16 gateways with two each


class OfferedTunnel(ApiModel):
    """Tunnel parameters of the publishing cloud."""

    encapsulation: EncapsulationName = "VXLAN"
    """Encapsulation of the traffic; clouds that do not say it mean VXLAN."""
    port: UDPPort | None = None
    """UDP port of the tunnel; GRE has none."""
    mode: ModeName = "Transport"
    """Mode of ESP; clouds that do not say it know transport mode alone."""
    id_range: TunnelIDRange
    """Tunnel IDs for this pair of clouds."""


class OfferedIPsec(ApiModel):
    """Authentication of the publishing cloud's gateways, and proposals that it accepts."""

    authentication: Authentication = "PSK"
    """How the publishing cloud's gateways authenticate themselves; clouds that do not say it mean PSK."""
    hybrid_proposals: Proposals = ()
    """IKE proposals with an additional key exchange (RFC 9370), which are preferred to `ikeProposals`. Clouds and
    releases that do not know this field use the others."""
    ike_proposals: Proposals
    """IKE proposals in order of preference, in strongSwan's notation."""
    esp_proposals: Proposals
    """ESP proposals in order of preference, in strongSwan's notation."""

    @property
    def all_ike_proposals(self) -> tuple[str, ...]:
        """In order of preference, those with an additional key exchange first."""
        return (*self.hybrid_proposals, *self.ike_proposals)


class Drain(ApiModel):
    """The end of an agreement that its publisher has announced."""

    since: Time
    """Time at which the publisher began to drain the agreement."""
    deadline: Time
    """Time at which the publisher withdraws its networks, and disconnects those that it has received."""


class PeerLinkSpec(ApiModel):
    """What one cloud publishes about its agreement with one peer."""

    cloud_id: CloudID
    """Cloud that publishes this PeerLink."""
    peer_cloud_id: CloudID
    """Cloud that this PeerLink is published for."""
    protocol_version: ProtocolVersion = PROTOCOL_VERSION
    """Always 1, for clouds that do not read `protocolVersions`."""
    protocol_versions: Annotated[tuple[ProtocolVersion, ...], Field(min_length=1, max_length=16)] = (PROTOCOL_VERSION,)
    """Versions of the protocol (docs/protocol.md) that the publishing cloud speaks; the greatest common one is used."""
    state: Literal["Active", "Cordoned"] = "Active"
    """Active, or Cordoned: the publishing cloud offers and accepts nothing new."""
    drain: Drain | None = None
    """The end of the agreement, if the publishing cloud drains it; `state` is Cordoned then."""
    gateways: Annotated[
        tuple[PeerGateway, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """Gateways of the publishing cloud."""
    tunnel: OfferedTunnel
    """Tunnel parameters of the publishing cloud."""
    ipsec: OfferedIPsec
    """Authentication of the publishing cloud's gateways, and proposals that it accepts."""


class RemotePeerLink(ApiModel):
    """The peer's PeerLink as last accepted."""

    uid: Annotated[str, Field(max_length=64)]
    """UID of the peer's PeerLink."""
    generation: Generation
    """The `metadata.generation` of the peer's PeerLink."""
    first_seen: Time
    """Time at which this generation was first read."""
    read_as: ReaderRevision = 1
    """Revision of the reader that understood it; a newer one reads it again."""
    spec: PeerLinkSpec
    """What the peer publishes."""


class PeerLinkStatus(ApiModel):
    """Observed state of the agreement. Written by the controller; the peer may read it."""

    observed_generation: ObservedGeneration | None = None
    peer: RemotePeerLink | None = None
    """The peer's PeerLink as last accepted; absent until there is one."""
    gateways: AddressList | None = None
    """Addresses of this cloud's gateways, separated by commas, for `kubectl get`."""
    peer_gateways: AddressList | None = None
    """Addresses of the peer's gateways, separated by commas, for `kubectl get`."""
    conditions: Conditions = ()
    """Agreed, Progressing and Stalled."""


class PeerLink(CustomObject):
    """What this cloud publishes about its agreement with one peer."""

    registration: ClassVar[Kind] = Kind(
        kind="PeerLink",
        plural="peerlinks",
        short_names=("plink",),
        namespaced=True,
        description=(
            "What this cloud publishes about its agreement with one peer. "
            "Written by the controller; the peer may read it."
        ),
        columns=(
            PrinterColumn(name="Cloud", type="string", path=".spec.cloudID"),
            PrinterColumn(name="Peer", type="string", path=".spec.peerCloudID"),
            ready_column("Agreed", condition="Agreed"),
            PrinterColumn(name="State", type="string", path=".spec.state"),
            PrinterColumn(name="Peer-State", type="string", path=".status.peer.spec.state"),
            PrinterColumn(name="Tunnel", type="string", path=".spec.tunnel.encapsulation", priority=1),
            PrinterColumn(name="Port", type="integer", path=".spec.tunnel.port", priority=1),
            PrinterColumn(name="Gateways", type="string", path=".status.gateways", priority=1),
            PrinterColumn(name="Peer-Gateways", type="string", path=".status.peerGateways", priority=1),
            AGE,
        ),
    )
    spec: PeerLinkSpec
    status: PeerLinkStatus = PeerLinkStatus()
