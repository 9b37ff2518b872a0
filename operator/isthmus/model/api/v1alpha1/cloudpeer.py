"""CloudPeer: the agreement with one other cloud, written by an administrator."""

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
from isthmus.model.node.tunnel import EncapsulationName, ModeName
from isthmus.model.reasons import ConditionType
from isthmus.model.types import (
    CloudID,
    DisplayName,
    GatewayCIDR,
    GatewayName,
    IPAddress,
    IPv6Address,
    ObjectName,
    ObjectUID,
    ProjectID,
    Ratio,
    TunnelID,
    UDPPort,
    cel_rule,
    cel_rules,
)


class ApiAccess(ApiModel):
    """Access to the peer's Kubernetes API."""

    kubeconfig_secret_ref: LocalReference
    """Secret in namespace isthmus-system whose key `kubeconfig` holds the read-only credential from the peer."""


class TunnelIDRange(ApiModel):
    """Range of tunnel IDs of a pair of clouds. The cloud whose ID sorts first allocates from its lower part."""

    model_config = ConfigDict(json_schema_extra=cel_rule("self.last > self.first", "last must be greater than first"))
    first: TunnelID = 0x100000
    """First tunnel ID of the range."""
    last: TunnelID = 0x10FFFF
    """Last tunnel ID of the range."""


class Tunnel(ApiModel):
    """Encapsulation of the traffic."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            (
                "!has(self.port) || !(self.port in [4789, 6081, 8472])",
                "ports 4789, 6081 and 8472 belong to Neutron's own tunnels; choose another",
            ),
            (
                "!has(self.port) || self.encapsulation != 'GRE'",
                "GRE has no UDP port: remove port, or set it to null, or choose VXLAN or Geneve",
            ),
        )
    )
    encapsulation: EncapsulationName = "VXLAN"
    """VXLAN or Geneve, each on a UDP port of its own, or GRE; must be the same in both clouds."""
    port: UDPPort | None = None
    """UDP port of the tunnel; must be the same in both clouds. 14789 for VXLAN and 16081 for Geneve if absent; GRE has
    none."""
    mode: ModeName = "Auto"
    """Mode of ESP. Auto: transport mode, but tunnel mode where a NAT is between two gateways, and between IPv6
    addresses. Transport or Tunnel: that mode alone; the peer must have the same, or Auto."""
    id_range: TunnelIDRange = TunnelIDRange()
    """Tunnel IDs for this pair of clouds: network identifiers of VXLAN or Geneve, or keys of GRE. Must be the same in
    both clouds."""


Authentication = Literal["PSK", "Certificate"]


class PeerIPsec(ApiModel):
    """Protection of the traffic."""

    policy_ref: LocalReference
    """IPsecPolicy to use towards this peer."""
    authentication: Authentication = "PSK"
    """How this cloud's gateways authenticate themselves to the peer: by the pre-shared key, or by a certificate for
    the DNS name <gateway>.<cloudID>. The peer's CloudPeer says it of its own gateways, so that one cloud can move
    after the other."""
    auth_secret_ref: LocalReference
    """Secret in namespace isthmus-ipsec. If one of the clouds uses it, key `psk` holds the pre-shared key, 32
    characters or more. If this cloud uses a certificate, `tls.crt` and `tls.key` hold it and its key; if the peer
    does, `ca.crt` holds the CAs that its certificates are from, and `ca.crl` their revocation lists, if any. `psk`,
    `tls.crt` and `tls.key` of a Secret <name>-<gateway> are preferred on that gateway."""


class Quotas(ApiModel):
    """Neutron quotas of each project that is replicated from this peer."""

    networks: Annotated[int, Field(ge=0, le=10_000)] = 10
    """Maximum number of networks in the project."""
    subnets: Annotated[int, Field(ge=0, le=10_000)] = 20
    """Maximum number of subnets in the project."""
    ports: Annotated[int, Field(ge=0, le=100_000)] = 200
    """Maximum number of ports in the project."""


class ProjectQuotas(ApiModel):
    """Neutron quotas of one project that is replicated from this peer; those that are absent are as for the others."""

    project_id: ProjectID
    """ID of the project at its origin."""
    networks: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """Maximum number of networks in the project."""
    subnets: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """Maximum number of subnets in the project."""
    ports: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Maximum number of ports in the project."""


class Limits(ApiModel):
    """Limits on resources held for this peer. A lower one ends nothing that is accepted."""

    networks: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Maximum number of networks received from the peer."""
    projects: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """Maximum number of projects replicated from the peer; any number if absent."""
    ports: Annotated[int, Field(ge=0, le=100_000_000)] | None = None
    """Maximum number of ports of all projects replicated from the peer together, as their quotas allow them: a new
    project is accepted only if its quota fits. Any number if absent."""
    bandwidth_mbps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Megabits per second of frames of machines that each gateway node sends to the peer, and as much that it takes
    from it, of all networks together; above, frames are dropped. Any number if absent."""


class Draining(ApiModel):
    """How an agreement is drained."""

    grace_seconds: Annotated[int, Field(ge=0, le=2_592_000)] = 3600
    """Seconds from the beginning of draining to its deadline, at which networks are disconnected; up to 30 days."""


class Agreement(ApiModel):
    """What is accepted from the peer, and which projects may stretch networks to it."""

    state: Literal["Active", "Cordoned", "Drained", "Invited"] = "Active"
    """Active, or Cordoned: networks that are stretched stay, nothing new is offered or accepted. Drained: as Cordoned
    until a deadline, which the tenants of both clouds see; then all networks are withdrawn from the peer and its own
    are disconnected here. Or, only from the beginning: Invited: the peer gets an account, and nothing is published or
    configured."""
    drain: Draining = Draining()
    """How an agreement is drained, if its state is Drained."""
    acceptance: Literal["Auto", "Manual"] = "Auto"
    """Auto: each network that the peer offers is accepted. Manual: only those of which an ExpansionApproval says so.
    Networks that are accepted stay accepted when this changes."""
    limits: Limits = Limits()
    """Limits on resources held for this peer."""
    members: Literal["Direct", "ThroughOrigin"] = "Direct"
    """How this cloud and the peer reach each other in a network of a third cloud. Direct: by the tunnel between the
    two, if that cloud names them to each other, and the peer's administrator wants it, too. ThroughOrigin: only so."""
    disclose: bool = True
    """Whether other receivers of this cloud's networks may learn that the peer is one: without it they reach each
    other only through this cloud, and learn of its machines there, but not which cloud they are in."""
    quotas: Quotas = Quotas()
    """Neutron quotas of each project that is replicated from this peer."""
    project_quotas: Annotated[
        tuple[ProjectQuotas, ...],
        Field(
            max_length=1000,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["projectID"]},
        ),
    ] = ()
    """Other quotas for single projects, by their IDs at the origin."""
    accepted_projects: Annotated[tuple[ProjectID, ...], Field(max_length=1000)] | None = None
    """IDs of the peer's projects of which networks are accepted; all if absent. What is accepted already stays."""
    refused_projects: Annotated[tuple[ProjectID, ...], Field(max_length=1000)] = ()
    """IDs of the peer's projects of which no further network is accepted, also if they are in acceptedProjects."""
    domain: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$", max_length=64)] | None = None
    """Name of the Keystone domain for replicated projects; isthmus-<cloudID> if absent."""
    allowed_projects: Annotated[tuple[ProjectID, ...], Field(max_length=1000)] | None = None
    """IDs of the local projects that may stretch networks to this peer; every bound project if absent."""

    @property
    def takes_nothing_new(self) -> bool:
        """Whether nothing new is offered or accepted."""
        return self.state in {"Cordoned", "Drained"}

    def quotas_of(self, project_id: str | None) -> Quotas:
        """Neutron quotas of the replica of that project, by its ID at the origin."""
        own = next((q for q in self.project_quotas if q.project_id == project_id), None)
        if own is None:
            return self.quotas
        return self.quotas.model_copy(update=own.model_dump(exclude={"project_id"}, exclude_none=True))


_RULES = cel_rules(
    (
        "self.agreement.state == 'Invited' || (has(self.gatewayCIDRs) && size(self.gatewayCIDRs) > 0)",
        "gatewayCIDRs is required unless agreement.state is Invited",
    ),
    (
        "self.agreement.state != 'Invited' || oldSelf.agreement.state == 'Invited'",
        "an agreement cannot become Invited: delete the CloudPeer and invite the peer again",
    ),
)


class CloudPeerSpec(ApiModel):
    """Agreement with one other cloud, written by an administrator."""

    model_config = ConfigDict(json_schema_extra=_RULES)
    cloud_id: Annotated[
        CloudID,
        Field(
            json_schema_extra=cel_rule("self == oldSelf", "cloudID is immutable"),
        ),
    ]
    """Cloud ID of the peer; immutable. Its gateways identify themselves in IKE as <gateway>.<cloudID>."""
    api: ApiAccess
    """Access to the peer's Kubernetes API."""
    gateway_cidrs: Annotated[tuple[GatewayCIDR, ...], Field(max_length=16)] = ()
    """IPv4 and IPv6 networks that the peer's gateways may be in. Must not overlap this cloud's own or another peer's.
    Absent only as long as the peer is Invited."""
    tunnel: Tunnel = Tunnel()
    """Encapsulation of the traffic."""
    ipsec: PeerIPsec
    """Protection of the traffic."""
    agreement: Agreement = Agreement()
    """What is accepted from the peer, and which projects may stretch networks to it."""


NatKind = Literal["Behind", "Forwarded"]


class PeerGateway(ApiModel):
    """Gateway as its cloud publishes it."""

    name: GatewayName
    """Name of the gateway."""
    address: IPAddress
    """Tunnel address of the gateway, or the public address of the NAT that it is behind. IPv4 if it has one."""
    ipv6_address: IPv6Address | None = None
    """IPv6 tunnel address of a gateway whose `address` is IPv4. Two gateways use IPv4 if both have it, else IPv6."""
    nat: NatKind | None = None
    """Absent: no NAT is in front of the gateway. Forwarded: IKE from outside reaches it through one. Behind: none does,
    so that it must open all connections itself."""
    ike_port: UDPPort | None = None
    """Forwarded: UDP port of the address that leads to the gateway's UDP port 4500. If absent, 500 and 4500 lead to the
    same of the gateway."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """One or two, of which none is of the same IP version as the one before it."""
        return (self.address,) if self.ipv6_address is None else (self.address, self.ipv6_address)


MAX_ORPHANS = 100


class Orphan(ApiModel):
    """A network of this cloud that the peer may still have."""

    name: ObjectName
    """Name of the ExpansionLink that was forgotten: the network's cloud ID and ID."""
    tunnel_id: TunnelID
    """Tunnel ID by which the peer knows the network."""


MAX_AWAITING = 100


class AwaitingNetwork(ApiModel):
    """A network of the peer that awaits a decision."""

    name: ObjectName
    """Name of the ExpansionLink, and of the ExpansionApproval that decides: the network's cloud ID and ID."""
    network_name: DisplayName = ""
    """Name of the network at its origin."""


class CloudPeerStatus(ApiModel):
    """Observed state of the peer. Written by the controller."""

    observed_generation: ObservedGeneration | None = None
    conditions: Conditions = ()
    """Ready, Progressing, Stalled, Reachable, Agreed and TunnelUp; Drained while the agreement is."""
    namespace: ObjectName | None = None
    """Namespace of this cloud that the peer may read."""
    account_uid: ObjectUID | None = None
    """UID of the ServiceAccount for which the peer got its kubeconfig; another one voids it."""
    gateways: Annotated[tuple[PeerGateway, ...], Field(max_length=16)] = ()
    """The peer's gateways as last accepted."""
    tunnels_up: Ratio | None = None
    """Number of connections to the peer's gateways that are up, of all that the gateway nodes report: `2/3`."""
    networks_out: Annotated[int, Field(ge=0)] | None = None
    """Number of this cloud's networks that are offered to the peer."""
    networks_in: Annotated[int, Field(ge=0)] | None = None
    """Number of the peer's networks that this cloud has accepted."""
    networks_awaiting: Annotated[int, Field(ge=0)] | None = None
    """Number of the peer's networks that await a decision of this cloud's administrators."""
    awaiting: Annotated[
        tuple[AwaitingNetwork, ...],
        Field(
            max_length=MAX_AWAITING,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """Those networks, the first 100 by name."""
    orphans: Annotated[
        tuple[Orphan, ...],
        Field(
            max_length=MAX_ORPHANS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """Withdrawn networks that were forgotten without the peer's confirmation, and may be left there."""


class CloudPeer(CustomObject):
    """Agreement with one other cloud."""

    registration: ClassVar[Kind] = Kind(
        kind="CloudPeer",
        plural="cloudpeers",
        short_names=("cpeer",),
        namespaced=False,
        description=(
            "Agreement with one other cloud: its identity, its API, the tunnel to it, and what it may do here. "
            "Written by an administrator."
        ),
        columns=(
            PrinterColumn(name="Cloud-ID", type="string", path=".spec.cloudID"),
            ready_column(),
            ready_column("Reason", field="reason"),
            PrinterColumn(name="State", type="string", path=".spec.agreement.state"),
            PrinterColumn(name="Tunnel", type="string", path=".spec.tunnel.encapsulation"),
            PrinterColumn(name="Tunnels", type="string", path=".status.tunnelsUp"),
            ready_column("OpenStack", ConditionType.OPENSTACK_AVAILABLE),
            PrinterColumn(name="Out", type="integer", path=".status.networksOut"),
            PrinterColumn(name="In", type="integer", path=".status.networksIn"),
            PrinterColumn(name="Awaiting", type="integer", path=".status.networksAwaiting"),
            ready_column("Message", field="message").model_copy(update={"priority": 1}),
            AGE,
        ),
    )
    spec: CloudPeerSpec
    status: CloudPeerStatus = CloudPeerStatus()
