"""Whose the addresses on a network are, by what each member publishes of its ports.

Of MAC addresses those of all ports, of IP addresses those that nobody takes over (see exclusive.py) and that the member
is believed. What it publishes says that nobody else may use an address, so that counts only while no other member says
the same. An address that several publish, as while a machine moves or by mistake, has no owner, and passes from
everybody as if nobody had published it: that depends on what is published alone, not on who was first or who sends. But
what a port of this cloud has is this cloud's own, whatever others publish: no peer can take it away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from isthmus.model.api.v1alpha1.attachment import MAX_OWNED_ADDRESSES, AddressOwner
from isthmus.model.api.v1alpha1.expansionlink import PublishedPort
from isthmus.model.facts.openstack import NetworkFacts, Port
from isthmus.model.remembered import remembered

from .addressing import Spans, contains, number_of
from .attachment import own_macs
from .exclusive import exclusive_ports
from .known_addresses import is_machine
from .publishers import Publisher, formed_addresses, with_moved
from .router_addresses import interface_identifier

_MAX_ADDRESSES_OF_NETWORK: Final = 2 * MAX_OWNED_ADDRESSES
_VIRTUAL_ROUTERS: Final = ("00:00:5e:00:01:", "00:00:5e:00:02:")  # VRRP (RFC 9568): they move between machines
_INTERFACE_IDENTIFIER: Final = (1 << 64) - 1


class _Member(NamedTuple):
    """A peer, or a member behind it."""

    cloud_id: str | None
    number: int | None


_HERE: Final = _Member(None, None)


class Addresses(NamedTuple):
    """What this cloud has, of either kind."""

    macs: frozenset[str] = frozenset()
    exclusive: frozenset[str] = frozenset()
    """IP addresses."""


class _Published(NamedTuple):
    """What a member has, as it is published."""

    macs: set[str]
    exclusive: set[str]


def owners_of(
    facts: NetworkFacts,
    publishers: Iterable[Publisher],
    gateway_addresses: Collection[str],
    before: Iterable[AddressOwner],
    shared: Collection[str] = (),
) -> tuple[AddressOwner, ...]:
    """The owners on a network with these facts, as `owners` finds them; nobody owns a `shared` address."""
    ours = Addresses(own_macs(facts), _exclusive_addresses(facts.ports, tuple(shared)))
    believed, formed = with_moved(publishers, facts, shared), formed_addresses(facts.subnets)
    return owners(ours, believed, tuple(gateway_addresses), tuple(before), formed)


@remembered("ports")
def _exclusive_addresses(ports: tuple[Port, ...], shared: tuple[str, ...]) -> frozenset[str]:
    return frozenset(address for port in exclusive_ports(ports) for address in port.addresses) - {*shared}


@remembered("before")
def owners(
    ours: Addresses,
    publishers: tuple[Publisher, ...],
    gateway_addresses: tuple[str, ...],
    before: tuple[AddressOwner, ...],
    formed: Spans = (),
) -> tuple[AddressOwner, ...]:
    """This cloud and each other member, with the addresses that only it may use, none of them twice.

    `publishers` publish for the members behind them, too; `formed` are addresses that machines form from their MAC
    addresses. If not all ports of a peer are known, what belonged to it `before` is taken as published still. Of more
    than an Attachment can have each member has an equal share, those of gateways first and then the lowest ones.
    """
    published = _published(publishers, formed, before)
    gateways = {*gateway_addresses} | _macs_of_gateways(publishers, gateway_addresses)
    macs = _owned(
        {*filter(_has_one_place, ours.macs)}, {member: found.macs for member, found in published.items()}, gateways
    )
    exclusive = _owned(ours.exclusive, {member: found.exclusive for member, found in published.items()}, gateways)
    members = (_HERE, *sorted(published, key=lambda member: (member.cloud_id or "", member.number or 0)))
    found = (AddressOwner(**m._asdict(), macs=macs[m], addresses=exclusive[m]) for m in members)
    return tuple(owner for owner in found if owner.macs or owner.addresses)


def _published(
    publishers: Iterable[Publisher], formed: Spans, before: Iterable[AddressOwner]
) -> dict[_Member, _Published]:
    found: dict[_Member, _Published] = {}
    incomplete = set[str]()
    for publisher in publishers:
        found.setdefault(_Member(publisher.cloud_id, None), _Published(set(), set()))
        if not publisher.ports.complete:
            incomplete.add(publisher.cloud_id)
        for port in publisher.ports.ports:
            of_member = found.setdefault(_Member(publisher.cloud_id, port.member), _Published(set(), set()))
            if _has_one_place(port.mac):
                of_member.macs.add(port.mac)
            if port.exclusive:
                of_member.exclusive.update(a for a in port.fixed_addresses if _is_believed(publisher, port, a, formed))
    for owner in before:
        if owner.cloud_id in incomplete:
            of_member = found.setdefault(_Member(owner.cloud_id, owner.number), _Published(set(), set()))
            of_member.macs.update(owner.macs)
            of_member.exclusive.update(owner.addresses)
    return found


def _is_believed(publisher: Publisher, port: PublishedPort, address: str, formed: Spans) -> bool:
    if not contains(formed, address):
        return publisher.believes(address)
    return number_of(address) & _INTERFACE_IDENTIFIER == interface_identifier(port.mac)


def _owned(
    ours: Collection[str], published: Mapping[_Member, set[str]], gateways: Collection[str]
) -> dict[_Member, tuple[str, ...]]:
    claims = Counter(address for addresses in published.values() for address in addresses)
    share = min(MAX_OWNED_ADDRESSES, _MAX_ADDRESSES_OF_NETWORK // (len(published) + 1))
    found = {_HERE: _first(ours, gateways, share)}
    for member, addresses in published.items():
        found[member] = _first({a for a in addresses if claims[a] == 1} - {*ours}, gateways, share)
    return found


def _macs_of_gateways(publishers: Iterable[Publisher], addresses: Collection[str]) -> set[str]:
    wanted = {*addresses}
    return {port.mac for each in publishers for port in each.ports.ports if not wanted.isdisjoint(port.addresses)}


def _first(addresses: Collection[str], gateways: Collection[str], share: int) -> tuple[str, ...]:
    """So many of them, ordered, so that an Attachment changes only if they do."""
    chosen = addresses if len(addresses) <= share else sorted(addresses, key=lambda a: (a not in gateways, a))[:share]
    return tuple(sorted(chosen))


def _has_one_place(mac: str) -> bool:
    """Whether it is in one place at a time by its kind: neither a group's, nobody's, nor a virtual router's."""
    return is_machine(mac) and not mac.startswith(_VIRTUAL_ROUTERS)
