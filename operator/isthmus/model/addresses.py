"""Versions of addresses, and checks that a pattern cannot express."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final, Literal

IpVersion = Literal[4, 6]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# "This network", loopback, and multicast with class E, whose addresses ESP tunnel mode has inside (RFC 6890, RFC 1112);
# the unspecified address and loopback, link-local and multicast of IPv6 (RFC 4291).
NEVER_OF_GATEWAYS: Final = ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8")
"""Networks of which no address can be a gateway's. IPv4 link-local ones can: two gateways may share a link."""
NEVER_PUBLIC: Final = (*NEVER_OF_GATEWAYS, "169.254.0.0/16")
"""Networks of which no address can be that of a NAT: nor link-local ones, which no router forwards (RFC 3927)."""
_NEVER_OF_GATEWAYS: Final = tuple(map(ipaddress.ip_network, NEVER_OF_GATEWAYS))
_NEVER_PUBLIC: Final = tuple(map(ipaddress.ip_network, NEVER_PUBLIC))


def canonical_ipv4_address(text: str) -> str:
    """The address itself; raises ValueError where it is none."""
    return str(ipaddress.IPv4Address(text))


@lru_cache(maxsize=1 << 16)  # of thousands of ports, which are read again and again
def canonical_address(text: str) -> str:
    """The IPv4 or IPv6 address in the form of RFC 5952; raises ValueError where it is none."""
    return str(ipaddress.ip_address(text))


def is_possible_gateway(address: str) -> bool:
    """Whether a gateway can have the IPv4 or IPv6 address, by the kind of address that it is."""
    return not any(ipaddress.ip_address(address) in network for network in _NEVER_OF_GATEWAYS)


def public_address(text: str) -> str:
    """The same of a setting, as peers reach a node: raises ValueError also for what no NAT can have."""
    address = ipaddress.ip_address(text)
    _require_unmapped(address)
    if any(address in network for network in _NEVER_PUBLIC):
        raise ValueError(f"no gateway is reached at an address of {', '.join(NEVER_PUBLIC)}")
    return str(address)


def written_cidr(text: str) -> str:
    """The IPv4 or IPv6 network in canonical form.

    Raises ValueError where host bits are set, it is none, or no address in it can be a gateway's.
    """
    network = ipaddress.ip_network(text)
    _require_unmapped(network.network_address)
    if any(_contains(never, network) for never in _NEVER_OF_GATEWAYS):
        raise ValueError(f"no gateway has an address of {', '.join(NEVER_OF_GATEWAYS)}")
    return str(network)


def _contains(outer: Network, inner: Network) -> bool:
    return inner.network_address in outer and inner.broadcast_address in outer


def _require_unmapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise ValueError(f"an IPv4 address is written as such: {address.ipv4_mapped}")


def canonical_cidr(text: str) -> str:
    """The IPv4 or IPv6 network in canonical form; raises ValueError where host bits are set, or it is none."""
    return str(ipaddress.ip_network(text))
