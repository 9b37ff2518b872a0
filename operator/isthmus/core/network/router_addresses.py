"""IPv6 addresses of this cloud's own routers on a network that is stretched in IPv4 only."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network

from isthmus.model.api.v1alpha1.attachment import MAX_ROUTER_ADDRESSES
from isthmus.model.facts.openstack import NetworkFacts, Port

_ROUTER_OWNERS = ("network:router_interface", "network:ha_router_replicated_interface")
_LINK_LOCAL = int(IPv6Address("fe80::"))
_RESERVED = IPv6Network("::/8")  # unspecified, loopback, with an IPv4 address inside (RFC 4291)


def router_addresses(facts: NetworkFacts | None) -> tuple[str, ...]:
    """Gateways of IPv6 subnets, addresses of router ports there, and the link-local ones that machines route to."""
    if facts is None:
        return ()
    routers = [port for port in facts.ports if port.device_owner.startswith(_ROUTER_OWNERS)]
    found = {*(subnet.gateway_ip for subnet in facts.subnets if subnet.gateway_ip), *_of(routers)}
    numbers = sorted({int(IPv6Address(text)) for text in found if ":" in text})
    addresses = [address for number in numbers if _is_router(address := IPv6Address(number))]
    return tuple(map(str, addresses[:MAX_ROUTER_ADDRESSES]))


def _of(routers: Iterable[Port]) -> Iterable[str]:
    for port in routers:
        if any(":" in address for address in port.addresses):
            yield from port.addresses
            if port.mac:
                yield link_local_address(port.mac)


def link_local_address(mac: str) -> str:
    """The link-local address that Neutron's routers form from their MAC address (EUI-64; RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes((octets[0] ^ 0x02, *octets[1:3], 0xFF, 0xFE, *octets[3:]))
    return str(IPv6Address(_LINK_LOCAL | int.from_bytes(identifier)))


def _is_router(address: IPv6Address) -> bool:
    return address not in _RESERVED and not address.is_multicast
