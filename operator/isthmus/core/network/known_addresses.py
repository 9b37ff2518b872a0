"""Addresses of a peer's machines for which ARP requests can be answered in this cloud."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from ipaddress import ip_network

from isthmus.model.actions import Action, ApplyObject
from isthmus.model.api.v1alpha1.attachment import (
    MAX_KNOWN_ADDRESSES,
    Attachment,
    AttachmentLink,
    AttachmentSpec,
    KnownAddress,
)
from isthmus.model.api.v1alpha1.expansionlink import Offer, PublishedPort
from isthmus.model.remembered import remembered

from .addressing import Spans, contains, merged, number_of, span_of_network, spans_of, spans_of_addresses, subtract
from .port_slices import RemotePorts

_NO_MAC = "00:00:00:00:00:00"


def addresses_of_receiver(offer: Offer) -> Spans:
    """The addresses that belong to the receiver of an offer: its slices."""
    return spans_of(offer.ranges)


def addresses_of_origin(offer: Offer) -> Spans:
    """The addresses that belong to the origin of an offer: of its subnets, but neither the receiver's nor shared."""
    subnets = merged(span_of_network(ip_network(subnet.cidr)) for subnet in offer.subnets)
    return subtract(subtract(subnets, addresses_of_receiver(offer)), spans_of_addresses(offer.shared_addresses))


def changes_only_known_addresses(actions: Sequence[Action], attachment: Attachment | None) -> bool:
    """Whether nothing of the Attachment changes but addresses of machines, and whose their MAC addresses are.

    Each machine does that, here or at a peer, and costs no request.
    """
    match actions:
        case (ApplyObject(Attachment() as wanted),) if attachment is not None:
            return _without_known_addresses(wanted.spec) == _without_known_addresses(attachment.spec)
        case _:
            return False


def _without_known_addresses(spec: AttachmentSpec) -> AttachmentSpec:
    links = tuple(link.model_copy(update={"known_addresses": ()}) for link in spec.links)
    return spec.model_copy(update={"links": links, "owners": ()})


def with_known_addresses(
    path: AttachmentLink,
    theirs: RemotePorts,
    belonging: Spans,
    ours: Iterable[PublishedPort],
    gateway_addresses: Collection[str],
    before: Iterable[AttachmentLink],
) -> AttachmentLink:
    """The path with what is known behind it; `belonging` are the addresses that belong to the peer.

    An address is left out if several MAC addresses are published for it, such as a virtual one that moves between
    machines, and if a port of ours may use it, too. If not all ports of the peer are known, as after a restart, what
    was known `before` remains.
    """
    known = tuple(entry for link in before if link.cloud_id == path.cloud_id for entry in link.known_addresses)
    found = _known_addresses(theirs, belonging, tuple(ours), tuple(gateway_addresses), () if theirs.complete else known)
    return path.model_copy(update={"known_addresses": found})


@remembered("theirs", "ours", "before")
def _known_addresses(
    theirs: RemotePorts,
    belonging: Spans,
    ours: tuple[PublishedPort, ...],
    gateway_addresses: tuple[str, ...],
    before: tuple[KnownAddress, ...],
) -> tuple[KnownAddress, ...]:
    local = {address for port in ours for address in port.addresses}
    macs: dict[str, set[str]] = defaultdict(set)
    for port in theirs.ports:
        for address in (a for a in port.addresses if ":" not in a):  # nothing of IPv6 is answered for
            macs[address].add(port.mac)
    found = {address: next(iter(of_address)) for address, of_address in macs.items() if len(of_address) == 1}
    found |= {entry.address: entry.mac for entry in before if entry.address not in macs}
    usable = [a for a, mac in found.items() if a not in local and is_machine(mac) and contains(belonging, a)]
    chosen = _first(usable, gateway_addresses)
    return tuple(KnownAddress(address=address, mac=found[address]) for address in chosen)


def _first(addresses: Iterable[str], gateway_addresses: Collection[str]) -> Sequence[str]:
    """As many as an Attachment can have: every machine asks for the gateways."""
    ordered = sorted(addresses, key=lambda address: (address not in gateway_addresses, number_of(address)))
    return ordered[:MAX_KNOWN_ADDRESSES]


def is_machine(mac: str) -> bool:
    """Whether frames to that MAC address reach one machine: neither a group nor nobody."""
    return mac != _NO_MAC and not int(mac[:2], 16) & 1
