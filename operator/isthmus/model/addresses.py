"""Versions of addresses, and checks that a pattern cannot express."""

from __future__ import annotations

import ipaddress
from typing import Literal

IpVersion = Literal[4, 6]


def canonical_ipv4_address(text: str) -> str:
    """The address itself; raises ValueError where it is none."""
    return str(ipaddress.IPv4Address(text))


def canonical_address(text: str) -> str:
    """The IPv4 or IPv6 address in the form of RFC 5952; raises ValueError where it is none."""
    return str(ipaddress.ip_address(text))


def written_address(text: str) -> str:
    """The same of a setting: raises ValueError also for what is an address of one link alone, or of several hosts."""
    address = ipaddress.ip_address(text)
    _require_routable(address)
    return str(address)


def written_cidr(text: str) -> str:
    """The IPv4 or IPv6 network in canonical form; raises ValueError where host bits are set, or as for an address."""
    network = ipaddress.ip_network(text)
    _require_routable(network.network_address)
    return str(network)


def _require_routable(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if not isinstance(address, ipaddress.IPv6Address):
        return
    if address.is_link_local or address.is_multicast:
        raise ValueError("link-local and multicast addresses of IPv6 are no addresses of gateways")
    if address.ipv4_mapped is not None:
        raise ValueError(f"an IPv4 address is written as such: {address.ipv4_mapped}")


def canonical_cidr(text: str) -> str:
    """The IPv4 or IPv6 network in canonical form; raises ValueError where host bits are set, or it is none."""
    return str(ipaddress.ip_network(text))
