"""Neutron's rules about the addresses of a subnet, for the fake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv6Network, ip_address, ip_network

from isthmus.model.errors import Conflict, Invalid
from isthmus.model.facts.openstack import Range, Subnet


def addresses_of(pools: Iterable[Range]) -> Iterator[str]:
    """Every address of the pools, in order."""
    for pool in pools:
        for number in range(_number(pool.first), _number(pool.last) + 1):
            yield str(ip_address(number))


def check_pools(cidr: str, gateway_ip: str | None, pools: Sequence[Range]) -> None:
    """Pools are inside the subnet, disjoint, and without the gateway's address."""
    network = ip_network(cidr)
    for index, pool in enumerate(pools):
        if _number(pool.first) > _number(pool.last):
            raise Invalid(f"The allocation pool {pool.first}-{pool.last} is not valid.")
        if ip_address(pool.first) not in network or ip_address(pool.last) not in network:
            raise Invalid(f"The allocation pool {pool.first}-{pool.last} spans beyond the subnet cidr {cidr}.")
        if any(
            _number(pool.first) <= _number(p.last) and _number(p.first) <= _number(pool.last) for p in pools[:index]
        ):
            raise Conflict(f"Found overlapping allocation pools for subnet {cidr}.")
    if gateway_ip and any(_number(p.first) <= _number(gateway_ip) <= _number(p.last) for p in pools):
        raise Conflict(f"Gateway ip {gateway_ip} conflicts with allocation pool.")


def default_pools(cidr: str, gateway_ip: str | None) -> tuple[Range, ...]:
    """Every host address except the gateway's: Neutron's default if no pools are given."""
    network = ip_network(cidr)
    first, last = int(network.network_address) + 1, int(network.broadcast_address) - (network.version == 4)
    if gateway_ip is None or not first <= _number(gateway_ip) <= last:
        return (_range(first, last),)
    gateway = _number(gateway_ip)
    return tuple(_range(a, b) for a, b in ((first, gateway - 1), (gateway + 1, last)) if a <= b)


def is_host(address: str, cidr: str) -> bool:
    """Whether a port can have the address."""
    network, wanted = ip_network(cidr), ip_address(address)
    reserved = (network.network_address, *((network.broadcast_address,) if network.version == 4 else ()))
    return wanted in network and (network.num_addresses <= 2 or wanted not in reserved)


def formed_addresses(subnets: Iterable[Subnet], mac: str) -> tuple[str, ...]:
    """The addresses that a port gets besides those it asks for: of each subnet whose machines form theirs (EUI-64)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = int.from_bytes(bytes((octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:])))
    networks = (IPv6Network(subnet.cidr) for subnet in subnets if subnet.is_automatic)
    return tuple(str(ip_address(int(network.network_address) | identifier)) for network in networks)


def _number(address: str) -> int:
    return int(ip_address(address))


def _range(first: int, last: int) -> Range:
    return Range(str(ip_address(first)), str(ip_address(last)))
