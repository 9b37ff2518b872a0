"""Packets by their addresses and headers: the selectors of XFRM policies, and the traffic selectors of ESP SAs."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

Prefix = IPv4Network | IPv6Network

# IP protocol numbers (IANA).
_ICMP, _UDP, _ICMPV6 = 1, 17, 58


@dataclass(frozen=True)
class UdpPorts:
    """UDP from and to these ports; None is any."""

    source: int | None = None
    destination: int | None = None

    def protocol_number(self, ip_version: int) -> int:
        return _UDP

    def __str__(self) -> str:
        return _words(sport=self.source, dport=self.destination)


@dataclass(frozen=True)
class IcmpType:
    """ICMP messages, or in IPv6 ICMPv6 messages, of this type and code; None is any."""

    type: int | None = None
    code: int | None = None

    def protocol_number(self, ip_version: int) -> int:
        return _ICMP if ip_version == 4 else _ICMPV6

    def __str__(self) -> str:
        return _words(type=self.type, code=self.code)


@dataclass(frozen=True)
class AnyTraffic:
    """Everything of an IP protocol that is neither UDP nor ICMP, by its number."""

    protocol: int

    def protocol_number(self, ip_version: int) -> int:
        return self.protocol

    def __str__(self) -> str:
        return ""


Traffic = UdpPorts | IcmpType | AnyTraffic


@dataclass(frozen=True)
class Selector:
    """Packets from one prefix to another. Raises ValueError if those are of different IP versions."""

    source: Prefix
    destination: Prefix
    traffic: Traffic

    def __post_init__(self) -> None:
        if self.source.version != self.destination.version:
            raise ValueError(f"{self.source} and {self.destination} are of different IP versions")

    @property
    def protocol(self) -> int:
        """Number of the IP protocol."""
        return self.traffic.protocol_number(self.source.version)

    def __str__(self) -> str:
        return f"src {self.source} dst {self.destination} proto {self.protocol}{self.traffic}"


def _words(**values: int | None) -> str:
    return "".join(f" {name} {value}" for name, value in values.items() if value is not None)
