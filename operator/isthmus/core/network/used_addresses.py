"""The addresses of a subnet that something uses already."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final

from isthmus.model.facts.openstack import Port, Subnet
from isthmus.model.remembered import remembered

from .addressing import Spans, merged, span_of_network, spans_of_addresses

_MAX_PAIR_ADDRESSES: Final = 256


def used_addresses(ports: Iterable[Port], subnet: Subnet) -> Spans:
    """Addresses of the subnet's IP version: of ports, their pairs, its gateway, name servers and next hops.

    Name servers and next hops outside the subnet do no harm. Pairs of more than 256 addresses are permissions for whole
    networks rather than addresses in use.
    """
    others = [*subnet.dns_nameservers, *(nexthop for _, nexthop in subnet.host_routes), subnet.gateway_ip or ""]
    single = spans_of_addresses(a for a in others if _is_of_version(a, subnet.ip_version))
    return merged((*single, *_used_by(tuple(ports), subnet.ip_version)))


def gateway_of(subnet: Subnet) -> Spans:
    """Neutron rejects pools with the gateway; a tenant may have moved it into a slice that was not in the pools."""
    return spans_of_addresses([subnet.gateway_ip] if subnet.gateway_ip else [])


@remembered("ports")
def _used_by(ports: tuple[Port, ...], ip_version: int) -> Spans:
    single = spans_of_addresses(a for port in ports for a in port.addresses if _is_of_version(a, ip_version))
    return merged((*single, *(pair for port in ports for pair in _pairs(port, ip_version))))


def _is_of_version(address: str, ip_version: int) -> bool:
    return bool(address) and (":" in address) == (ip_version == 6)


def _pairs(port: Port, ip_version: int) -> Spans:
    networks = map(ip_network, port.allowed_addresses)
    return tuple(
        span_of_network(n) for n in networks if n.version == ip_version and n.num_addresses <= _MAX_PAIR_ADDRESSES
    )
