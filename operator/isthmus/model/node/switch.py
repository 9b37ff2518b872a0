"""Open vSwitch on a gateway node: ports of br-cloud, wanted and observed."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from isthmus.model import names

from .numbers import Numbers
from .tunnel import Encapsulation, TunnelEnds


@dataclass(frozen=True)
class TunnelPort:
    """A port of br-cloud towards one remote gateway. `key=flow`, `df_default=false`, BFD on."""

    name: str
    encapsulation: Encapsulation
    ends: TunnelEnds


@dataclass(frozen=True)
class EchoPort:
    """A port of br-cloud for packets of one encapsulation between any two ends, which its flows set: `df_default=true`.

    No packet that it sends may be fragmented. What remote gateways send in return enters at their own ports, for those
    are more specific (ovs-vswitchd.conf.db(5)). It has no BFD.
    """

    encapsulation: Encapsulation

    @property
    def name(self) -> str:
        """Of its interface."""
        return names.echo_port(str(self.encapsulation))


@dataclass(frozen=True)
class PatchPair:
    """The patch ports between br-int and br-cloud for one network; the br-int end has the Neutron port's iface-id."""

    integration_name: str
    cloud_name: str
    neutron_port_id: str
    mac: str


@dataclass(frozen=True)
class Ports:
    """Everything of ours in OVSDB, except the bridge itself."""

    tunnels: frozenset[TunnelPort] = frozenset()
    patches: AbstractSet[PatchPair] = frozenset()
    echoes: frozenset[EchoPort] = frozenset()

    @property
    def encapsulating(self) -> frozenset[TunnelPort | EchoPort]:
        """All ports that have packets encapsulated."""
        return self.tunnels | self.echoes


@dataclass(frozen=True)
class BridgeView:
    """Our bridge and ports in OVSDB, OpenFlow port numbers by interface name, BFD state by tunnel port."""

    exists: bool
    ports: Ports
    ofport: Mapping[str, int] = field(default_factory=dict)
    bfd_up: dict[str, bool] = field(default_factory=dict)
    foreign_tunnel_udp_ports: frozenset[int] = frozenset()
    """UDP ports of tunnels on this node that are not ours (Neutron's, other tools')."""
    leftovers: frozenset[str] = frozenset()
    """Ports with our owner key that are not configured as ours must be: they are removed."""
    errors: dict[str, str] = field(default_factory=dict)
    """What Open vSwitch says of a port of ours that it could not make."""
    hostname: str | None = None
    openvswitch_version: str = ""
    numbers: Numbers = field(default_factory=Numbers)
    """The numbers that networks and members have on this node."""
    bfd_init: frozenset[str] = frozenset()
    """Tunnel ports whose BFD session is in state Init: the peer sends, and reports that it receives nothing."""
    gre_is_shared: bool = False
    """Whether a GRE port of this node is not ours: the kernel has one device for all of them."""
