"""Whose the MAC addresses on a network are, by what each member publishes of its ports.

What a member publishes says that nobody else may use it, so it is believed only while no other member says the same.
An address that several publish, as while a machine moves or by mistake, has no owner, and passes from everybody as if
nobody had published it: that depends on what is published alone, not on who was first or who sends. But an address
that a port of this cloud has is this cloud's own, whatever others publish: no peer can take it away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from isthmus.model.api.v1alpha1.attachment import MAX_OWNED_MACS, AddressOwner
from isthmus.model.api.v1alpha1.expansionlink import PublishedPort

from .known_addresses import is_machine
from .port_slices import RemotePorts

_MAX_MACS_OF_NETWORK: Final = 2 * MAX_OWNED_MACS
_VIRTUAL_ROUTERS: Final = ("00:00:5e:00:01:", "00:00:5e:00:02:")  # VRRP (RFC 9568): they move between machines


class _Member(NamedTuple):
    """A peer, or a member behind it."""

    cloud_id: str
    number: int | None


def owners(
    ours: Collection[str],
    theirs: Mapping[str, RemotePorts],
    gateway_addresses: Collection[str],
    before: Iterable[AddressOwner],
) -> tuple[AddressOwner, ...]:
    """This cloud and each other member, with the MAC addresses that only it may use, none of them twice.

    `ours` are those of this cloud's ports, `theirs` the ports that each peer publishes, also for the members behind it.
    If not all ports of a peer are known, what belonged to it `before` is taken as published still. Of more than an
    Attachment can have each member has an equal share, those of gateways first and then the lowest ones.
    """
    own = frozenset(filter(_has_one_place, ours))
    published = {member: {*found} for member, found in _published(theirs, before).items()}
    claims = Counter(mac for macs in published.values() for mac in macs)
    gateways = _gateways(theirs, gateway_addresses)
    share = min(MAX_OWNED_MACS, _MAX_MACS_OF_NETWORK // (len(published) + 1))
    found = [AddressOwner(macs=_first(own, gateways, share))]
    for member in sorted(published, key=lambda member: (member.cloud_id, member.number or 0)):
        alone = {mac for mac in published[member] if claims[mac] == 1} - own
        found.append(AddressOwner(**member._asdict(), macs=_first(alone, gateways, share)))
    return tuple(owner for owner in found if owner.macs)


def _published(theirs: Mapping[str, RemotePorts], before: Iterable[AddressOwner]) -> dict[_Member, set[str]]:
    found: dict[_Member, set[str]] = {}
    for cloud_id, ports in theirs.items():
        found.setdefault(_Member(cloud_id, None), set())
        for port in ports.ports:
            if _has_one_place(port.mac):
                found.setdefault(_Member(cloud_id, port.member), set()).add(port.mac)
    for owner in before:
        if owner.cloud_id is not None and owner.cloud_id in theirs and not theirs[owner.cloud_id].complete:
            found.setdefault(_Member(owner.cloud_id, owner.number), set()).update(owner.macs)
    return found


def _gateways(theirs: Mapping[str, RemotePorts], addresses: Collection[str]) -> set[str]:
    wanted = {*addresses}
    return {port.mac for port in _ports(theirs) if not wanted.isdisjoint(port.addresses)}


def _ports(theirs: Mapping[str, RemotePorts]) -> Iterator[PublishedPort]:
    for ports in theirs.values():
        yield from ports.ports


def _first(macs: Collection[str], gateways: Collection[str], share: int) -> tuple[str, ...]:
    """So many of them, ordered, so that an Attachment changes only if they do."""
    chosen = macs if len(macs) <= share else sorted(macs, key=lambda mac: (mac not in gateways, mac))[:share]
    return tuple(sorted(chosen))


def _has_one_place(mac: str) -> bool:
    """Whether it is in one place at a time by its kind: neither a group's, nobody's, nor a virtual router's."""
    return is_machine(mac) and not mac.startswith(_VIRTUAL_ROUTERS)
