"""Neutron's rules about the addresses of a subnet, for the fake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network

from isthmus.model.errors import Conflict, Invalid
from isthmus.model.facts.openstack import Range


def addresses_of(pools: Iterable[Range]) -> Iterator[str]:
    """Every address of the pools, in order."""
    for pool in pools:
        for number in range(int(IPv4Address(pool.first)), int(IPv4Address(pool.last)) + 1):
            yield str(IPv4Address(number))


def check_pools(cidr: str, gateway_ip: str | None, pools: Sequence[Range]) -> None:
    """Pools are inside the subnet, disjoint, and without the gateway's address."""
    network = IPv4Network(cidr)
    taken: set[str] = set()
    for pool in pools:
        if IPv4Address(pool.first) > IPv4Address(pool.last):
            raise Invalid(f"The allocation pool {pool.first}-{pool.last} is not valid.")
        if IPv4Address(pool.first) not in network or IPv4Address(pool.last) not in network:
            raise Invalid(f"The allocation pool {pool.first}-{pool.last} spans beyond the subnet cidr {cidr}.")
        inside = set(addresses_of([pool]))
        if inside & taken:
            raise Conflict(f"Found overlapping allocation pools for subnet {cidr}.")
        taken |= inside
    if gateway_ip in taken:
        raise Conflict(f"Gateway ip {gateway_ip} conflicts with allocation pool.")


def default_pools(cidr: str, gateway_ip: str | None) -> tuple[Range, ...]:
    """Every host address except the gateway's: Neutron's default if no pools are given."""
    network = IPv4Network(cidr)
    first, last = int(network.network_address) + 1, int(network.broadcast_address) - 1
    if gateway_ip is None or not first <= int(IPv4Address(gateway_ip)) <= last:
        return (_range(first, last),)
    gateway = int(IPv4Address(gateway_ip))
    return tuple(_range(a, b) for a, b in ((first, gateway - 1), (gateway + 1, last)) if a <= b)


def _range(first: int, last: int) -> Range:
    return Range(str(IPv4Address(first)), str(IPv4Address(last)))
