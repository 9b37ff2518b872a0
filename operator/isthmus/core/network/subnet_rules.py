"""What a subnet must be to be stretched, the same for the origin, which checks it first, and for the receiver."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from isthmus.model.facts.openstack import AUTOMATIC_MODES

from .addressing import Spans, contains

_AUTOMATIC_BITS = 64  # of the prefix: the other 64 are formed from the MAC address (RFC 4291, appendix A)
_LINK_LOCAL = IPv6Network("fe80::/10")
RESERVED_IPV6 = IPv6Network("::/8")  # unspecified, loopback, with an IPv4 address inside (RFC 4291)


def hosts_of(network: IPv4Network | IPv6Network) -> Spans:
    """The addresses that hosts can have: not the first one and, of IPv4, not the last one."""
    last = int(network.broadcast_address) - (network.version == 4)
    return ((int(network.network_address) + 1, last),)


def subnet_problem(cidr: str, gateway_ip: str | None, address_mode: str | None = None) -> str | None:
    """Why a subnet cannot be stretched, in words that follow its CIDR; None if it can."""
    try:
        network = ip_network(cidr)
    except ValueError:
        return "not a network"
    if isinstance(network, IPv6Network):
        return _ipv6_problem(network, address_mode) or _gateway_problem(network, gateway_ip)
    if network.prefixlen > 30 or _is_special(network):
        return "not a unicast network of /30 or larger"
    if address_mode is not None:
        return f"{address_mode} is for IPv6 subnets"
    return _gateway_problem(network, gateway_ip)


def _ipv6_problem(network: IPv6Network, address_mode: str | None) -> str | None:
    if network.prefixlen > 126 or _is_special(network) or network.overlaps(RESERVED_IPV6):
        return "not a unicast network of /126 or larger"
    if address_mode in AUTOMATIC_MODES and network.prefixlen != _AUTOMATIC_BITS:
        return f"with {address_mode} it must be a /{_AUTOMATIC_BITS}, since machines form the rest of their addresses"
    return None


def _is_special(network: IPv4Network | IPv6Network) -> bool:
    return network.is_multicast or network.is_loopback or network.is_link_local


def _gateway_problem(network: IPv4Network | IPv6Network, gateway_ip: str | None) -> str | None:
    """The gateway of an IPv6 subnet may be a router's link-local address, or the subnet's own (RFC 4291, 2.6.1).

    Neutron chooses the latter, unless told otherwise.
    """
    own = (str(network.network_address),) if network.version == 6 else ()
    try:
        outside = gateway_ip is not None and gateway_ip not in own and not contains(hosts_of(network), gateway_ip)
        link_local = gateway_ip is not None and network.version == 6 and ip_address(gateway_ip) in _LINK_LOCAL
    except ValueError:
        return f"the gateway {gateway_ip} is outside the subnet"
    return f"the gateway {gateway_ip} is outside the subnet" if outside and not link_local else None
