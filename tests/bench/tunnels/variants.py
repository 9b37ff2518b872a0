"""Which tunnels there are: encapsulation, mode of ESP, NAT and IP version of the underlay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from isthmus.core.placement.mtu import inner_mtu
from isthmus.model.addresses import IpVersion
from isthmus.model.node.tunnel import ENCAPSULATIONS, EncapsulationName, ModeName

UNDERLAY_MTU: Final = 1500
_HEADER_BYTES: Final = {kind.NAME: kind.HEADER_BYTES for kind in ENCAPSULATIONS.values()}


@dataclass(frozen=True)
class Protection:
    """How ESP protects the tunnels between two gateways."""

    mode: ModeName
    underlay: IpVersion
    through_nat: bool = False

    def __str__(self) -> str:
        nat = ", NAT" if self.through_nat else ""
        return f"{self.mode.lower()} mode{nat}, IPv{self.underlay}"

    def carries(self, kind: EncapsulationName) -> bool:
        """Whether a tunnel of this kind is possible: GRE's ends are IPv4."""
        return kind != "GRE" or self.mode == "Tunnel" or self.underlay == 4

    def largest(self, kind: EncapsulationName) -> int:
        """Bytes of the largest packet that crosses whole, as the controller computes it."""
        return inner_mtu(
            UNDERLAY_MTU,
            _HEADER_BYTES[kind],
            underlay=self.underlay,
            tunnel_mode=self.mode == "Tunnel",
            through_nat=self.through_nat,
        )


PROTECTIONS: Final = (
    Protection("Transport", 4),
    Protection("Tunnel", 4),
    Protection("Tunnel", 4, through_nat=True),
    Protection("Transport", 6),
    Protection("Tunnel", 6),
    Protection("Tunnel", 6, through_nat=True),
)
"""All that clouds can agree on: transport mode through a NAT is refused."""


@dataclass(frozen=True)
class Overhead:
    """What was found for one kind of tunnel, in bytes of IP packets: those of a machine, and the outer ones."""

    protection: str
    kind: EncapsulationName
    cipher: str
    largest: int
    """The largest packet that crosses in one outer packet."""
    expected: int
    least: int
    """What is added to the largest packet."""
    most: int
    """What is added to another packet, by padding; the most of all that were tried."""
    larger: str
    """What becomes of a packet that has one byte more than the largest: `fragments` or `lost`."""
