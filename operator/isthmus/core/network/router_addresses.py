"""Addresses of this cloud's own routers on a network, of either IP version."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import ip_address

from isthmus.model.api.v1alpha1.attachment import MAX_ROUTER_ADDRESSES
from isthmus.model.facts.openstack import NetworkFacts, Port

from .subnet_rules import RESERVED_IPV6

_ROUTER_OWNERS = ("network:router_interface", "network:ha_router_replicated_interface")
_LINK_LOCAL = int(ip_address("fe80::"))


def router_addresses(facts: NetworkFacts | None, of_others: Collection[str] = ()) -> tuple[str, ...]:
    """Addresses of router ports, gateways of IPv6 subnets, and the link-local ones that machines route to.

    IPv4 first, of which a port has few. The gateway of an IPv4 subnet may be the other cloud's; those of IPv6 that are
    have to be in `of_others`.
    """
    if facts is None:
        return ()
    routers = router_ports(facts)
    gateways = {subnet.gateway_ip for subnet in facts.subnets if subnet.gateway_ip and ":" in subnet.gateway_ip}
    found = map(ip_address, {*gateways, *(address for port in routers for address in _of(port))} - {*of_others})
    usable = [address for address in found if address not in RESERVED_IPV6 and not address.is_multicast]
    ordered = sorted(usable, key=lambda address: (address.version, int(address)))
    return tuple(map(str, ordered[:MAX_ROUTER_ADDRESSES]))


def router_ports(facts: NetworkFacts) -> tuple[Port, ...]:
    """The interfaces of this cloud's own routers on the network."""
    return tuple(filter(is_router, facts.ports))


def is_router(port: Port) -> bool:
    """Whether it is the interface of a router of Neutron."""
    return port.device_owner.startswith(_ROUTER_OWNERS)


def _of(router: Port) -> Iterator[str]:
    yield from router.addresses
    if router.mac and any(":" in address for address in router.addresses):
        yield link_local_address(router.mac)


def link_local_address(mac: str) -> str:
    """The link-local address that Neutron's routers form from their MAC address."""
    return str(ip_address(_LINK_LOCAL | interface_identifier(mac)))


def interface_identifier(mac: str) -> int:
    """The last 64 bits of addresses that are formed from a MAC address (EUI-64; RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    return int.from_bytes(bytes((octets[0] ^ 0x02, *octets[1:3], 0xFF, 0xFE, *octets[3:])))
