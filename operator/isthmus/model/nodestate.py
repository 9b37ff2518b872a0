"""Wanted and observed state of a gateway node: what the agent compares."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from . import names


@dataclass(frozen=True)
class TunnelPort:
    """A VXLAN port of br-cloud towards one remote gateway. `key=flow`, `df_default=false`, BFD on."""

    name: str
    local_address: str
    remote_address: str
    udp_port: int


@dataclass(frozen=True)
class PatchPair:
    """br-int and br-cloud joined for one network; the br-int end carries the Neutron port's iface-id."""

    integration_name: str
    cloud_name: str
    neutron_port_id: str
    mac: str


@dataclass(frozen=True)
class Ports:
    """Everything of ours in OVSDB, except the bridge itself."""

    tunnels: frozenset[TunnelPort] = frozenset()
    patches: frozenset[PatchPair] = frozenset()


@dataclass(frozen=True)
class BridgeView:
    """What OVSDB says: our ports as they are, OpenFlow port numbers by interface name, BFD state by tunnel port."""

    exists: bool
    ports: Ports
    ofport: dict[str, int] = field(default_factory=dict)
    bfd_up: dict[str, bool] = field(default_factory=dict)
    foreign_tunnel_udp_ports: frozenset[int] = frozenset()
    """UDP ports of tunnels on this node that are not ours (Neutron's, other tools')."""
    leftovers: frozenset[str] = frozenset()
    """Ports that carry our owner key but do not look as a port of ours must: to be removed."""
    errors: dict[str, str] = field(default_factory=dict)
    """What Open vSwitch says of a port of ours that it could not make."""
    hostname: str | None = None
    openvswitch_version: str = ""


@dataclass(frozen=True)
class PlannedLink:
    """The way of one network to one peer: a tunnel ID on the tunnel port of the peer's active gateway."""

    cloud_id: str
    tunnel_port: str
    tunnel_id: int
    echo_mac: str
    """Source address of this link's echo frames."""


@dataclass(frozen=True)
class PlannedNetwork:
    """What the flows of one network need, apart from port numbers."""

    name: str
    patch_port: str
    at_origin: bool
    """This cloud is the network's origin: router advertisements and the gateways' ARP come from our side only."""
    gateway_addresses: tuple[str, ...]
    links: tuple[PlannedLink, ...]


@dataclass(frozen=True)
class Meter:
    """A kernel meter that drops above a packet rate."""

    id: int
    packets_per_second: int
    burst_packets: int


@dataclass(frozen=True)
class FlowTable:
    """All flows of br-cloud as `ovs-ofctl add-flows` lines without cookie, and the meters they use.

    `cookie` names this very set: owner in the upper 16 bits, digest of the text below.
    """

    flows: tuple[str, ...]
    meters: tuple[Meter, ...]
    cookie: int


@dataclass(frozen=True)
class Traffic:
    """What a flow has counted since it was put in."""

    packets: int
    bytes: int


@dataclass(frozen=True)
class FlowView:
    """Installed flows by cookie (learned flows carry cookies of their own), and what crossed each link.

    A meter cannot be missing while its flows are there: whoever deletes a meter deletes the flows that use it.
    """

    count_by_cookie: dict[int, int]
    sent: dict[tuple[int, int], Traffic] = field(default_factory=dict)
    """By the network's number and the tunnel port's."""
    received: dict[tuple[int, int], Traffic] = field(default_factory=dict)
    """By the tunnel port's number and the tunnel ID."""


@dataclass(frozen=True)
class BlockPolicy:
    """A static XFRM policy that blocks what must never be unprotected, below charon's priority.

    `direction` is "in" or "out". Exactly one of the others is set: a UDP port of tunnels, or the address of a remote
    gateway that must not be told in the clear that there is no tunnel port, for that message quotes what it refuses.
    """

    direction: str
    source_port: int | None = None
    destination_port: int | None = None
    refusals_to: str | None = None


@dataclass(frozen=True)
class SecurityAssociation:
    """An XFRM state of the kernel between two addresses."""

    source: str
    destination: str
    spi: int
    protocol: str
    reqid: int


@dataclass(frozen=True)
class XfrmView:
    """Our block policies that are there, and the states from or to tunnel addresses of ours.

    States without keys (what the kernel keeps while SAs are being negotiated) are left out.
    """

    blocks: frozenset[BlockPolicy]
    associations: frozenset[SecurityAssociation] = frozenset()


@dataclass(frozen=True)
class IkeConnection:
    """One remote gateway for charon: IKEv2, pre-shared key, two ESP transport children (to and from our UDP port).

    The key itself is not here: it travels apart so that a plan can be logged.
    """

    name: str
    local_address: str
    remote_address: str
    local_identity: str
    remote_identity: str
    udp_port: int
    ike_proposals: tuple[str, ...]
    esp_proposals: tuple[str, ...]
    ike_rekey_time_seconds: int
    esp_rekey_time_seconds: int
    dpd_delay_seconds: int
    initiator: bool
    secret_name: str
    secret_version: str = ""
    """Which version of the Secret the key is from, so that a new key is noticed without a trace of the key itself."""

    @property
    def digest(self) -> str:
        """Names this very connection: what charon has loaded under another digest is to be loaded again."""
        return names.digest(*(f"{field.name}={getattr(self, field.name)}" for field in fields(self)), digits=12)


IKE_CHILDREN = frozenset({"out", "in"})
"""Every connection's children: packets to the peer's UDP port, and packets to ours."""


@dataclass(frozen=True)
class IkeState:
    """Live state of one connection in charon."""

    established: bool
    children_installed: frozenset[str] = frozenset()
    """Those of IKE_CHILDREN that were negotiated for what is loaded now."""
    superseded: bool = False
    """There are also SAs that were negotiated for what was loaded before."""
    spis: frozenset[int] = frozenset()
    """Of all its ESP SAs, superseded ones included."""


@dataclass(frozen=True)
class IkeView:
    """What charon has: loaded connections, live SAs."""

    instance: str
    """Another one whenever charon may be another one: it was lost sight of."""
    loaded: dict[str, str]
    """Connections of ours that charon has, and the digest of what was loaded; empty for a new charon."""
    states: dict[str, IkeState] = field(default_factory=dict)
    version: str = ""
    refused: frozenset[str] = frozenset()
    """Connections that have not come up since one side did not accept the other's key."""


@dataclass(frozen=True)
class EchoResult:
    """Result of the latest echo frames of one link."""

    sent: int
    received: int
    rtt_seconds: float | None


@dataclass(frozen=True)
class NodeAddress:
    """An IPv4 address of the node, and the MTU of its interface."""

    address: str
    mtu: int


@dataclass(frozen=True)
class NodeView:
    """What the node's own network stack says."""

    addresses: tuple[NodeAddress, ...]
    tunnel_udp_ports: frozenset[int] = frozenset()
    """UDP ports of the kernel's tunnel devices that Open vSwitch did not make."""
    kernel: str = ""
