"""What a subnet must be to be stretched, the same for the origin, which checks it first, and for the receiver."""

from __future__ import annotations

from ipaddress import IPv4Network

from .addressing import Spans, contains


def hosts_of(network: IPv4Network) -> Spans:
    """The addresses of a network without the first and the last one."""
    return ((int(network.network_address) + 1, int(network.broadcast_address) - 1),)


def subnet_problem(cidr: str, gateway_ip: str | None) -> str | None:
    """Why an IPv4 subnet cannot be stretched, in words that follow its CIDR; None if it can."""
    try:
        network = IPv4Network(cidr)
    except ValueError:
        return "not an IPv4 network"
    if network.prefixlen > 30 or network.is_multicast or network.is_loopback or network.is_link_local:
        return "not a unicast network of /30 or larger"
    try:
        outside = gateway_ip is not None and not contains(hosts_of(network), gateway_ip)
    except ValueError:
        outside = True
    return f"the gateway {gateway_ip} is outside the subnet" if outside else None
