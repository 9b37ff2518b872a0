"""ExpansionLink: our half of one stretched network towards one peer, as that peer may see it."""

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
from isthmus.model.types import (
    MTU,
    CloudID,
    DisplayName,
    GatewayName,
    Generation,
    IPv4Address,
    IPv4CIDR,
    MACAddress,
    NetworkID,
    ObjectUID,
    ProjectID,
    ReasonText,
    Remark,
    TunnelID,
)

from .networkexpansion import AddressSlice

MAX_PORTS_PER_LINK = 500
MAX_ADDRESSES_PER_PORT = 16
MAX_SUBNETS = 16


class NetworkIdentity(ApiModel):
    """Which network this is, the same in both halves: the cloud that it comes from and its ID there."""

    cloud_id: CloudID
    network_id: NetworkID

    @property
    def link_name(self) -> str:
        """Name of the ExpansionLinks and the Attachment of this network."""
        return names.link_name(self.cloud_id, self.network_id)


class HostRoute(ApiModel):
    """One of a subnet's `host_routes`."""

    destination: IPv4CIDR
    nexthop: IPv4Address


class OfferedSubnet(ApiModel):
    """A subnet of the origin, and the slice of its addresses that the receiver may use."""

    id: NetworkID
    name: DisplayName = ""
    cidr: IPv4CIDR
    gateway_ip: IPv4Address | None = None
    """The origin's router; it serves the stretched network on both sides."""
    enable_dhcp: bool = True
    dns_nameservers: Annotated[tuple[IPv4Address, ...], Field(max_length=16)] = ()
    host_routes: Annotated[tuple[HostRoute, ...], Field(max_length=64)] = ()
    first: IPv4Address
    """First address of the receiver's slice."""
    last: IPv4Address
    """Last address of the receiver's slice."""

    @property
    def slice(self) -> AddressSlice:
        """The receiver's addresses."""
        return AddressSlice(cidr=self.cidr, first=self.first, last=self.last)


class OfferedProject(ApiModel):
    """The project that owns the network at its origin."""

    id: ProjectID
    name: DisplayName = ""


class Offer(ApiModel):
    """What the origin offers: only in the origin's half."""

    tunnel_id: TunnelID
    """Out of the origin's half of the pair's range."""
    project: OfferedProject
    network_name: DisplayName = ""
    subnets: Annotated[
        tuple[OfferedSubnet, ...],
        Field(
            min_length=1,
            max_length=MAX_SUBNETS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
        ),
    ]


class Answer(ApiModel):
    """What the receiver decided about one generation of the offer: only in the receiver's half."""

    uid: Annotated[str, Field(max_length=64)]
    """UID of the origin's ExpansionLink."""
    generation: Generation
    """Its generation that this answers."""
    verdict: Literal["Accepted", "Refused", "Released"]
    """Released: the offer was withdrawn and nothing of ours is joined to it any more."""
    reason: ReasonText = "Accepted"
    message: Remark = ""
    """For the peer's people; names nothing local."""


class PublishedPort(ApiModel):
    """A port in our part of the network, so that the peer can tell whose an address is."""

    id: NetworkID
    mac: MACAddress
    addresses: Annotated[tuple[IPv4Address, ...], Field(max_length=MAX_ADDRESSES_PER_PORT)] = ()


class ExpansionLinkSpec(ApiModel):
    """Our half of one stretched network: offers and decisions made from local facts only."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.offer) != has(self.answer)",
                    "message": "the origin's half carries an offer, the receiver's an answer",
                }
            ]
        }
    )
    cloud_id: CloudID
    """The cloud that publishes this half."""
    peer_cloud_id: CloudID
    """The cloud that it is meant for."""
    origin: Annotated[
        NetworkIdentity,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "origin is immutable"}]
            }
        ),
    ]
    state: Literal["Active", "Withdrawn"] = "Active"
    """Withdrawn: a tombstone that keeps the tunnel ID until the peer has let go."""
    offer: Offer | None = None
    answer: Answer | None = None
    mtu: MTU
    """The largest MTU that we can carry for this network; the smaller one of both halves is written to both copies."""
    gateway: GatewayName | None = None
    """Our active gateway node of this network, one of our PeerLink's gateways."""
    ports: Annotated[tuple[PublishedPort, ...], Field(max_length=MAX_PORTS_PER_LINK)] = ()


class RemoteExpansionLink(ApiModel):
    """The other half as last read and found valid."""

    uid: Annotated[str, Field(max_length=64)]
    generation: Generation
    first_seen: Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
    peer_link_uid: ObjectUID = ""
    """Of the PeerLink that the peer published beside it: the silence of another installation says nothing about it."""
    spec: ExpansionLinkSpec


class ExpansionLinkStatus(ApiModel):
    """The other half, and what both together mean. Written by the controller; readable by the peer."""

    observed_generation: ObservedGeneration | None = None
    peer: RemoteExpansionLink | None = None
    mtu: MTU | None = None
    """The agreed MTU, once both halves are known."""
    conditions: Conditions = ()


class ExpansionLink(CustomObject):
    """Our half of one stretched network towards one peer."""

    registration: ClassVar[Kind] = Kind(
        kind="ExpansionLink",
        plural="expansionlinks",
        short_names=("elink",),
        namespaced=True,
        description="Our half of one stretched network towards one peer, which may read it. Written by the operator.",
        columns=(
            PrinterColumn(name="Peer", type="string", path=".spec.peerCloudID"),
            PrinterColumn(name="State", type="string", path=".spec.state"),
            ready_column(),
            ready_column("Reason", field="reason"),
            PrinterColumn(name="MTU", type="integer", path=".status.mtu"),
            PrinterColumn(name="Tunnel-ID", type="integer", path=".spec.offer.tunnelID", priority=1),
            PrinterColumn(name="Gateway", type="string", path=".spec.gateway", priority=1),
            ready_column("Message", field="message").model_copy(update={"priority": 1}),
            AGE,
        ),
    )
    spec: ExpansionLinkSpec
    status: ExpansionLinkStatus = ExpansionLinkStatus()
