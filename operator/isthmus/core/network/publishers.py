"""What peers publish of the machines of a network, and which addresses are believed of whom.

A peer is believed the addresses that belong to it. A machine that was made again in another cloud keeps its addresses,
which belong to its former cloud: they are believed as well, a few of each peer, if nobody else has them. The former
cloud reserves them by remote ports and says so (`reservedAddresses`), so that they are no conflict. Thus no peer takes
an address from a machine or a gateway, nor many of those that are free.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Final

from isthmus.model.api.v1alpha1.expansionlink import MAX_RESERVED_ADDRESSES
from isthmus.model.facts.openstack import NetworkFacts, Subnet
from isthmus.model.remembered import remembered

from .addressing import Spans, contains, merged, number_of, span_of_network, subtract
from .attachment import remote_ports
from .port_slices import RemotePorts

MAX_MOVED_ADDRESSES: Final = 64
"""Of each peer; those of the ports with the lowest IDs."""


@dataclass(frozen=True)
class Publisher:
    """What one peer publishes of a network, and the addresses that belong to it and to the members behind it."""

    cloud_id: str
    ports: RemotePorts
    belonging: Spans
    moved: frozenset[str] = frozenset()
    """Addresses that belong to other members, and are believed of this one."""

    def believes(self, address: str) -> bool:
        """Whether the address is believed of this peer."""
        return contains(self.belonging, address) or address in self.moved


def with_moved(
    publishers: Iterable[Publisher], facts: NetworkFacts, shared: Collection[str] = ()
) -> tuple[Publisher, ...]:
    """The same publishers, each with the addresses of machines that have moved to it; never one that is shared."""
    publishers = tuple(publishers)
    strays = {publisher.cloud_id: strays_of(publisher, facts) for publisher in publishers}
    if not any(strays.values()):
        return publishers
    taken = {*shared} | _in_use(facts) | {a for p in publishers for a in _published(p) if contains(p.belonging, a)}
    found = list[Publisher]()
    for publisher in publishers:
        moved = [address for address in strays[publisher.cloud_id] if address not in taken][:MAX_MOVED_ADDRESSES]
        taken |= {*moved}
        found.append(replace(publisher, moved=frozenset(moved)))
    return tuple(found)


def strays_of(publisher: Publisher, facts: NetworkFacts) -> tuple[str, ...]:
    """Fixed addresses that a peer publishes although they belong to other members; none that machines form."""
    return _strays(publisher, facts.subnets)


@remembered()
def _strays(publisher: Publisher, subnets: tuple[Subnet, ...]) -> tuple[str, ...]:
    foreign = subtract(_assigned(subnets), publisher.belonging)
    return tuple(address for address in _published(publisher) if contains(foreign, address))


def listed_addresses(addresses: Collection[str]) -> tuple[str, ...]:
    """In order, as many as a link can have."""
    return tuple(sorted(addresses, key=number_of)[:MAX_RESERVED_ADDRESSES])


def _published(publisher: Publisher) -> Iterator[str]:
    ordered = sorted(publisher.ports.ports, key=lambda port: port.id)
    return (address for port in ordered for address in port.fixed_addresses)


def formed_addresses(subnets: Iterable[Subnet]) -> Spans:
    """The addresses that machines form themselves."""
    return merged(span_of_network(ip_network(subnet.cidr)) for subnet in subnets if subnet.is_automatic)


def _assigned(subnets: Iterable[Subnet]) -> Spans:
    """All others of the network."""
    return merged(span_of_network(ip_network(subnet.cidr)) for subnet in subnets if not subnet.is_automatic)


def _in_use(facts: NetworkFacts) -> set[str]:
    """Addresses of this cloud's ports, without remote ones, and of the gateways."""
    remote = {port.id for port in remote_ports(facts)}
    used = {address for port in facts.ports if port.id not in remote for address in port.addresses}
    return used | {subnet.gateway_ip for subnet in facts.subnets if subnet.gateway_ip}
