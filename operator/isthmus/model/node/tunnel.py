"""Tunnels between gateways: an encapsulation with all that belongs to it, and where a tunnel begins and ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, Self

from .traffic import AnyTraffic, Traffic, UdpPorts

EncapsulationName = Literal["VXLAN", "Geneve", "GRE"]
"""As administrators write it, and clouds publish it."""

ModeName = Literal["Auto", "Transport", "Tunnel"]
"""Mode of ESP, as administrators write it, and clouds publish it."""

_IPPROTO_GRE: Final = 47  # IANA
_UDP_HEADER, _ETHERNET_HEADER = 8, 14


@dataclass(frozen=True)
class TunnelEnds:
    """Addresses of a tunnel's outer packets."""

    local: str
    remote: str

    def __str__(self) -> str:
        return f"{self.local} to {self.remote}"


@dataclass(frozen=True)
class _UdpTunnel:
    """An encapsulation on a UDP port that both gateways listen on. The sender chooses the source port by the flow."""

    udp_port: int

    NAME: ClassVar[EncapsulationName]
    DEVICE_PREFIX: ClassVar[str]
    IP_VERSIONS: ClassVar = frozenset({4, 6})

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> Self | None:
        """The encapsulation of an interface with these options; None if no number is given for its port."""
        port = options.get("dst_port", "")
        return cls(int(port)) if port.isdecimal() else None

    @property
    def options(self) -> dict[str, str]:
        """The interface's options in Open vSwitch's database."""
        return {"dst_port": str(self.udp_port)}

    @property
    def udp_ports(self) -> frozenset[int]:
        """UDP ports that no other tunnel of the node may use; nothing from or to them may pass unprotected."""
        return frozenset({self.udp_port})

    @property
    def device(self) -> str:
        """The kernel's device, which ovs-vswitchd makes with the first port of this kind and deletes with the last."""
        return f"{self.DEVICE_PREFIX}{self.udp_port}"

    @property
    def sent(self) -> Mapping[str, Traffic]:
        """What a gateway sends, by the name of the ESP child that protects it and what the peer sends in return.

        `out` has the packets of tunnels that begin here, `in` the answers to those that begin at the peer.
        """
        return {"out": UdpPorts(destination=self.udp_port), "in": UdpPorts(source=self.udp_port)}

    @property
    def received(self) -> Traffic:
        """What the tunnel port takes in."""
        return UdpPorts(destination=self.udp_port)

    def __str__(self) -> str:
        return f"{self.NAME} on UDP port {self.udp_port}"


@dataclass(frozen=True)
class Vxlan(_UdpTunnel):
    """VXLAN (RFC 7348)."""

    NAME: ClassVar[EncapsulationName] = "VXLAN"
    DEFAULT_UDP_PORT: ClassVar = 14789
    DEVICE_PREFIX: ClassVar = "vxlan_sys_"
    INTERFACE_TYPE: ClassVar = "vxlan"
    """Type of the interface in Open vSwitch's database (ovs-vswitchd.conf.db(5))."""
    HEADER_BYTES: ClassVar = _UDP_HEADER + 8 + _ETHERNET_HEADER
    """UDP, VXLAN and inner Ethernet header."""


@dataclass(frozen=True)
class Geneve(_UdpTunnel):
    """Geneve (RFC 8926), without options."""

    NAME: ClassVar[EncapsulationName] = "Geneve"
    DEFAULT_UDP_PORT: ClassVar = 16081
    DEVICE_PREFIX: ClassVar = "genev_sys_"
    INTERFACE_TYPE: ClassVar = "geneve"
    HEADER_BYTES: ClassVar = _UDP_HEADER + 8 + _ETHERNET_HEADER
    """UDP, Geneve and inner Ethernet header."""


@dataclass(frozen=True)
class Gre:
    """GRE (RFC 2784) with Ethernet frames and the tunnel ID as its key (RFC 2890). It has no ports.

    Open vSwitch has no GRE with keys over IPv6: its port never comes up.
    """

    NAME: ClassVar[EncapsulationName] = "GRE"
    INTERFACE_TYPE: ClassVar = "gre"
    HEADER_BYTES: ClassVar = 4 + 4 + _ETHERNET_HEADER
    """GRE, its key, and inner Ethernet header."""
    IP_VERSIONS: ClassVar = frozenset({4})

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> Gre:
        """All there is to GRE are its ends and its key."""
        return cls()

    @property
    def options(self) -> dict[str, str]:
        """None of its own."""
        return {}

    @property
    def udp_ports(self) -> frozenset[int]:
        """None."""
        return frozenset()

    @property
    def device(self) -> str:
        """The kernel's device for all GRE ports of the node."""
        return "gre_sys"

    @property
    def sent(self) -> Mapping[str, Traffic]:
        """One child for both directions: neither has anything to tell them apart."""
        return {"both": AnyTraffic(_IPPROTO_GRE)}

    @property
    def received(self) -> Traffic:
        """What the tunnel port takes in."""
        return AnyTraffic(_IPPROTO_GRE)

    def __str__(self) -> str:
        return self.NAME


Encapsulation = Vxlan | Geneve | Gre
"""All encapsulations. Whatever else depends on them follows from the properties above."""

ENCAPSULATIONS: Mapping[str, type[Encapsulation]] = {kind.INTERFACE_TYPE: kind for kind in (Vxlan, Geneve, Gre)}
"""By the type of their interfaces."""


def encapsulation_named(name: EncapsulationName, udp_port: int | None) -> Encapsulation:
    """The encapsulation that an administrator means: on its own default port if none is given."""
    match name:
        case "VXLAN":
            return Vxlan(udp_port or Vxlan.DEFAULT_UDP_PORT)
        case "Geneve":
            return Geneve(udp_port or Geneve.DEFAULT_UDP_PORT)
        case "GRE":
            return Gre()
