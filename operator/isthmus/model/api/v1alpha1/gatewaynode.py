"""GatewayNode: a gateway node as its agent observes it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

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
from isthmus.model.node.inforce import EspMode, Nat
from isthmus.model.node.tunnel import EncapsulationName
from isthmus.model.types import (
    MTU,
    CloudID,
    GatewayName,
    IPAddress,
    Message,
    PublicIPAddress,
    Ratio,
    ReasonText,
    Time,
    UDPPort,
    cel_rules,
)

MAX_VERSION = 128
VersionText = Annotated[str, Field(max_length=MAX_VERSION)]
KeyExchange = Annotated[str, Field(max_length=32)]
MAX_ALGORITHMS = 64
Algorithms = Annotated[str, Field(max_length=MAX_ALGORITHMS)]
MAX_CONNECTIONS = 1600
"""100 peers with 16 gateways each."""
MAX_IN_FORCE = 800
"""Connections with all of `inForce`: an object may have 1.5 MiB in etcd."""


class Uplink(ApiModel):
    """How peers reach the node. Without an uplink they reach its tunnel address, and there is no NAT."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            (
                "has(self.publicAddress) || !self.reachable",
                "set publicAddress, or reachable to false: a node that is reached at its own address needs no uplink",
            ),
            (
                "!has(self.ikePort) || (has(self.publicAddress) && self.reachable)",
                "ikePort is a port of publicAddress by which the node is reachable",
            ),
        )
    )
    public_address: PublicIPAddress | None = None
    """Address that the node's packets have when they arrive at peers; theirs must have it in `gatewayCIDRs`. The node
    needs an address of the same IP version, and peers reach it by that version alone."""
    ike_port: UDPPort | None = None
    """UDP port of `publicAddress` that is forwarded to the node's UDP port 4500. If absent, 500 and 4500 are forwarded
    to the same of the node. Of several nodes behind one address each needs a port of its own."""
    reachable: bool = True
    """Whether peers can open connections to the node. Of two gateways one must be reachable."""


class GatewayNodeSpec(ApiModel):
    """What an administrator says of the node."""

    uplinks: Annotated[tuple[Uplink, ...], Field(max_length=1)] = ()
    """How peers reach the node; at most one."""


class TunnelAddress(ApiModel):
    """Address of the node in this cloud's gateway networks."""

    address: IPAddress
    """Address; the first one of each IP version is used."""
    mtu: MTU
    """MTU in bytes of the interface that has the address."""


class Software(ApiModel):
    """Versions of the software on the node."""

    kernel: VersionText = ""
    """Release of the Linux kernel."""
    openvswitch: VersionText = ""
    """Version of Open vSwitch."""
    strongswan: VersionText = ""
    """Version of strongSwan."""
    isthmus: VersionText = ""
    """Version of Isthmus."""


class GatewayPath(ApiModel):
    """What is known of the path to one gateway of a peer. A field is absent while that is not known."""

    ping: bool | None = None
    """Whether the gateway answers ICMP echo. Tried only while no IKE packet arrives from it."""
    ike: bool | None = None
    """Whether IKE packets arrive from the gateway, or an IKE SA is established."""
    esp: bool | None = None
    """Whether ESP packets arrive from the gateway."""
    peer_receives: bool | None = None
    """Whether the gateway reports, by BFD, that it receives ours."""
    mtu: MTU | None = None
    """MTU in bytes of the network whose longest frames are sent to the gateway as a test."""
    full_size: bool | None = None
    """Whether dataplane probes of that size are reflected."""


class InForceStatus(ApiModel):
    """What protects the traffic with one gateway."""

    # So that an API server notes its owner once, and not for each field: a node may have 1600 of them.
    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    esp_mode: EspMode | None = None
    """Mode of ESP."""
    nat: Nat | None = None
    """Which of the two gateways is behind NAT, as IKE has found out (RFC 7296, 2.23); Local is this node. With NAT, ESP
    is in UDP port 4500."""
    ike_cipher: Algorithms = ""
    """Cipher and pseudo-random function of the IKE SA, in strongSwan's notation: aes256gcm16-prfsha384."""
    esp_cipher: Algorithms = ""
    """Cipher of ESP: aes256gcm16."""
    ike_since: Time | None = None
    """Time at which the IKE SA was established, or rekeyed."""
    esp_since: Time | None = None
    """Time at which the oldest ESP SA in use was installed."""


class GatewayConnection(ApiModel):
    """Connection from this node to one gateway of a peer."""

    cloud_id: CloudID
    """Cloud ID of the peer."""
    gateway: GatewayName
    """Name of the peer's gateway."""
    address: IPAddress
    """Tunnel address of the peer's gateway, of the IP version that the connection has."""
    up: bool
    """Whether the SAs are installed and BFD is up over them."""
    ike: Literal["Established", "Connecting", "Down"]
    """State of the IKE SA."""
    esp: Literal["Installed", "Missing"]
    """Whether all ESP SAs are installed."""
    bfd: Literal["Up", "Down", "Unknown"]
    """State of the BFD session; Unknown if there is no tunnel port."""
    reason: ReasonText = "Up"
    """Why the connection is up or down; docs/conditions.md lists all reasons. Another one than Up of a connection
    that is up says why it could not be established again: existing SAs are kept."""
    message: Message = ""
    """Why the connection is down, or only kept, in a sentence."""
    key_exchange: Annotated[str, Field(max_length=64)] | None = None
    """Key exchange of the IKE SA, in strongSwan's notation: ecp384, or hybrid ecp384-ke1_mlkem768. Of several IKE SAs
    one that is not hybrid, if there is any. Absent without IKE SA."""
    encapsulation: EncapsulationName | None = None
    """Encapsulation of the tunnel; absent without one, as long as nothing is agreed on or no key is there."""
    in_force: InForceStatus | None = None
    """What protects the traffic, as charon reports it of the SAs; while some replace others, of the oldest, which the
    gateway may still use. Absent without IKE SA; after the first 800 connections it has `nat` alone."""
    carried_mtu: MTU | None = None
    """Largest IP packet in bytes of a machine that crosses to the gateway unfragmented, found out by echoes through the
    tunnel; what was found last while the tunnel is down. Absent until then."""
    path: GatewayPath | None = None
    """What is known of the path to the gateway; `kubectl isthmus diagnose` tells faults apart by it."""


class GatewayNodeStatus(ApiModel):
    """Observed state of the gateway node. Written by that node's agent only."""

    observed_generation: ObservedGeneration | None = None
    conditions: Conditions = ()
    """Ready, Degraded, Progressing, Stalled, PeersConfigured and Fenced."""
    addresses: Annotated[tuple[TunnelAddress, ...], Field(max_length=4)] = ()
    """Addresses of the node in this cloud's gateway networks."""
    neutron_host: Annotated[str, Field(max_length=253)] | None = None
    """Host name of the node in Neutron (`binding:host_id`), from `external_ids:hostname` in OVSDB."""
    software: Software = Software()
    """Versions of the software on the node."""
    key_exchanges: Annotated[tuple[KeyExchange, ...], Field(max_length=32)] = ()
    """Which of those that proposals may name the node's charon can do: ecp384, for instance, and mlkem768 and mlkem1024
    for hybrid ones. Empty until charon has answered for the first time."""
    peers_up: Ratio | None = None
    """Number of peers to which every connection is up, of all peers with connections: `2/3`."""
    connections: Annotated[
        tuple[GatewayConnection, ...],
        Field(
            max_length=MAX_CONNECTIONS,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["cloudID", "gateway"],
            },
        ),
    ] = ()
    """Connections to all gateways of all peers."""


class GatewayNode(CustomObject):
    """Gateway node as its agent observes it."""

    registration: ClassVar[Kind] = Kind(
        kind="GatewayNode",
        plural="gatewaynodes",
        short_names=("gwnode",),
        namespaced=False,
        description=(
            "Gateway node as its agent observes it. Created by the controller for each labelled Kubernetes node."
        ),
        columns=(
            ready_column(),
            ready_column("Reason", field="reason"),
            ready_column("Degraded", condition="Degraded"),
            PrinterColumn(name="Address", type="string", path=".status.addresses[0].address"),
            PrinterColumn(name="Peers-Up", type="string", path=".status.peersUp"),
            PrinterColumn(name="Neutron-Host", type="string", path=".status.neutronHost", priority=1),
            PrinterColumn(name="Open-vSwitch", type="string", path=".status.software.openvswitch", priority=1),
            PrinterColumn(name="strongSwan", type="string", path=".status.software.strongswan", priority=1),
            ready_column("Message", field="message").model_copy(update={"priority": 1}),
            AGE,
        ),
    )
    spec: GatewayNodeSpec | None = None
    status: GatewayNodeStatus = GatewayNodeStatus()
