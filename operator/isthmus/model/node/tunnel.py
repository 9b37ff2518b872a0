"""Tunnels between gateways: an encapsulation with all that belongs to it, and where a tunnel begins and ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from .traffic import Traffic, UdpPorts


@dataclass(frozen=True)
class TunnelEnds:
    """Addresses of a tunnel's outer packets."""

    local: str
    remote: str

    def __str__(self) -> str:
        return f"{self.local} to {self.remote}"


@dataclass(frozen=True)
class Vxlan:
    """VXLAN (RFC 7348) on a UDP port that both gateways listen on. The sender chooses the source port by the flow."""

    udp_port: int

    INTERFACE_TYPE: ClassVar = "vxlan"
    """Type of the interface in Open vSwitch's database (ovs-vswitchd.conf.db(5))."""
    HEADER_BYTES: ClassVar = 8 + 8 + 14
    """UDP, VXLAN and inner Ethernet header."""

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> Vxlan | None:
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
        return f"UDP port {self.udp_port}"


Encapsulation = Vxlan
"""All encapsulations. Whatever else depends on them follows from the properties above."""

ENCAPSULATIONS: Mapping[str, type[Encapsulation]] = {kind.INTERFACE_TYPE: kind for kind in (Vxlan,)}
"""By the type of their interfaces."""
