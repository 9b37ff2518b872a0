"""CloudPeer: the agreement with one other cloud, written by our administrator."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from isthmus.model.api.objects import (
    AGE,
    ApiModel,
    Conditions,
    CustomObject,
    Kind,
    LocalReference,
    ObservedGeneration,
    PrinterColumn,
    ready_column,
)
from isthmus.model.types import (
    CloudID,
    GatewayName,
    IPv4Address,
    IPv4CIDR,
    ObjectName,
    ProjectID,
    Ratio,
    TunnelID,
    UDPPort,
)

# What the pattern cannot say the API server must: an object that it stores and we cannot parse would stop us.
CanonicalCIDR = Annotated[
    IPv4CIDR,
    Field(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "isCIDR(self) && cidr(self) == cidr(self).masked()",
                    "message": "must be a network address: no bits set behind the prefix",
                }
            ]
        }
    ),
]


class ApiAccess(ApiModel):
    """How the peer's published half is read."""

    kubeconfig_secret_ref: LocalReference
    """Secret in namespace isthmus-system whose key `kubeconfig` holds the read-only credential the peer gave us."""


class TunnelIDRange(ApiModel):
    """Tunnel IDs of the pair. The cloud ID that sorts first allocates from the lower half."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": "self.last > self.first", "message": "last must be greater than first"}
            ]
        }
    )
    first: TunnelID = 0x100000
    last: TunnelID = 0x10FFFF


class Tunnel(ApiModel):
    """How traffic is encapsulated: VXLAN on a UDP port of our own."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!(self.port in [4789, 6081, 8472])",
                    "message": "ports 4789, 6081 and 8472 belong to Neutron's own tunnels; choose another",
                }
            ]
        }
    )
    port: UDPPort = 14789
    """UDP port of the tunnel; both clouds must name the same."""
    id_range: TunnelIDRange = TunnelIDRange()
    """VXLAN network identifiers of this pair of clouds; both clouds must name the same range."""


class PeerIPsec(ApiModel):
    """How traffic is protected."""

    policy_ref: LocalReference
    """The IPsecPolicy to use."""
    auth_secret_ref: LocalReference
    """Secret in namespace isthmus-ipsec whose key `psk` holds the pre-shared key (32 characters or more)."""


class Quotas(ApiModel):
    """Neutron quotas of each project that we make for this peer."""

    networks: Annotated[int, Field(ge=0, le=10_000)] = 10
    subnets: Annotated[int, Field(ge=0, le=10_000)] = 20
    ports: Annotated[int, Field(ge=0, le=100_000)] = 200


class Limits(ApiModel):
    """What this peer may have here in all."""

    networks: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Networks of the peer that we receive."""


class Agreement(ApiModel):
    """What we accept from the peer, and who of us may expand to it."""

    state: Literal["Active", "Cordoned"] = "Active"
    """Cordoned: what is stretched stays, nothing new is accepted or offered."""
    limits: Limits = Limits()
    quotas: Quotas = Quotas()
    domain: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$", max_length=64)] | None = None
    """Keystone domain of the replicated projects; by default isthmus-<cloudID>."""
    allowed_projects: Annotated[tuple[ProjectID, ...], Field(max_length=1000)] | None = None
    """Local projects that may expand to this peer; absent: every bound project."""


class CloudPeerSpec(ApiModel):
    """The agreement with one other cloud."""

    cloud_id: Annotated[
        CloudID,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "cloudID is immutable"}]
            },
        ),
    ]
    """The peer's cloud ID; its gateways identify themselves in IKE as <gateway>.<cloudID>."""
    api: ApiAccess
    gateway_cidrs: Annotated[tuple[CanonicalCIDR, ...], Field(min_length=1, max_length=16)]
    """Addresses that we accept as the peer's gateways; disjoint between peers and from our own."""
    tunnel: Tunnel = Tunnel()
    ipsec: PeerIPsec
    agreement: Agreement = Agreement()


class PeerGateway(ApiModel):
    """A gateway of the peer as its PeerLink names it."""

    name: GatewayName
    address: IPv4Address


class CloudPeerStatus(ApiModel):
    """What we see of the peer. Written by the controller."""

    observed_generation: ObservedGeneration | None = None
    conditions: Conditions = ()
    namespace: ObjectName | None = None
    """Namespace here that the peer may read."""
    gateways: Annotated[tuple[PeerGateway, ...], Field(max_length=16)] = ()
    tunnels_up: Ratio | None = None
    """Number of connections to the peer's gateways that are up, of all that the gateway nodes report: `2/3`."""
    networks_out: Annotated[int, Field(ge=0)] | None = None
    """Networks of ours that are stretched to the peer."""
    networks_in: Annotated[int, Field(ge=0)] | None = None
    """Networks of the peer that are stretched to us."""


class CloudPeer(CustomObject):
    """The agreement with one other cloud."""

    registration: ClassVar[Kind] = Kind(
        kind="CloudPeer",
        plural="cloudpeers",
        short_names=("cpeer",),
        namespaced=False,
        description="The agreement with one other cloud: who it is, how it is reached, protected, and what it may do.",
        columns=(
            PrinterColumn(name="Cloud-ID", type="string", path=".spec.cloudID"),
            ready_column(),
            ready_column("Reason", field="reason"),
            PrinterColumn(name="State", type="string", path=".spec.agreement.state"),
            PrinterColumn(name="Tunnels", type="string", path=".status.tunnelsUp"),
            PrinterColumn(name="Out", type="integer", path=".status.networksOut"),
            PrinterColumn(name="In", type="integer", path=".status.networksIn"),
            ready_column("Message", field="message").model_copy(update={"priority": 1}),
            AGE,
        ),
    )
    spec: CloudPeerSpec
    status: CloudPeerStatus = CloudPeerStatus()
