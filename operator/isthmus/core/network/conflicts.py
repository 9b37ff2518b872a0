"""Address conflicts: addresses that one cloud uses although they belong to the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network

from isthmus.model.api.v1alpha1.expansionlink import Offer, PublishedPort
from isthmus.model.remembered import remembered
from isthmus.model.text import MAX_LISTED

from .addressing import contains_number, number_of, span_of_network, spans_of


@dataclass(frozen=True)
class Conflicts:
    """Address conflicts of a network."""

    messages: tuple[str, ...] = ()
    complete: bool = True
    """Whether all ports of the peers are known: without a message there is no conflict only then."""

    def __add__(self, other: Conflicts) -> Conflicts:
        return Conflicts(self.messages + other.messages, self.complete and other.complete)


@remembered("offer", "ours", "theirs")
def conflicts(
    offer: Offer,
    ours: tuple[PublishedPort, ...],
    theirs: tuple[PublishedPort, ...],
    peer: str,
    *,
    at_origin: bool,
    reserved: frozenset[str] = frozenset(),
) -> tuple[str, ...]:
    """One message for each conflict, ordered by address, as many as are listed; `offer` has the receiver's slices.

    Machines that were made again in the other cloud may keep addresses that are reserved for them, and have alone.

    What ports of both clouds have as allowed address pairs moves between them, as with VRRP, and is no conflict unless
    a port has it as its own in the cloud to which it does not belong. Of an address that the offer shares it suffices
    that no port has it as its own, in either cloud.
    """
    local_ports, remote_ports = _by_address(ours), _by_address(theirs)
    shared = _paired(ours) & _paired(theirs)
    local_own, remote_own = _own(ours), _own(theirs)
    slices = spans_of(offer.ranges)
    cidrs = tuple(span_of_network(ip_network(subnet.cidr)) for subnet in offer.subnets)
    automatic = tuple(span_of_network(ip_network(subnet.cidr)) for subnet in offer.subnets if subnet.is_automatic)
    messages: list[str] = []
    for value, address in sorted((number_of(address), address) for address in {*local_ports, *remote_ports}):
        if len(messages) >= MAX_LISTED:
            break
        if not contains_number(cidrs, value):
            continue
        if address in offer.shared_addresses:
            holders = [f"our port {local_own[address]}"] if address in local_own else []
            holders += [f"port {remote_own[address]} of {peer}"] if address in remote_own else []
            messages += [f"{holder} has {address} as its own, which is a shared address" for holder in holders]
            continue
        if contains_number(automatic, value):
            if address in local_ports and address in remote_ports and address not in shared:
                ours_, theirs_ = local_ports[address], remote_ports[address]
                messages.append(f"our port {ours_} and port {theirs_} of {peer} both use {address}")
            continue
        owner_is_us = contains_number(slices, value) != at_origin
        intruder = remote_ports.get(address) if owner_is_us else local_ports.get(address)
        if intruder is None or (address in shared and address not in (remote_own if owner_is_us else local_own)):
            continue
        culprit, owner = (f"port {intruder} of {peer}", "our") if owner_is_us else (f"our port {intruder}", f"{peer}'s")
        other = local_ports.get(address) if owner_is_us else remote_ports.get(address)
        if other is None and address in reserved:
            continue
        second = f", as does port {other}" if other else ""
        messages.append(f"{culprit} uses {address}, which is one of {owner} addresses{second}")
    return tuple(messages[:MAX_LISTED])


def _paired(ports: Iterable[PublishedPort]) -> set[str]:
    return {address for port in ports for address in port.pair_addresses or ()}


def _own(ports: Iterable[PublishedPort]) -> dict[str, str]:
    return {address: port.id for port in ports for address in port.fixed_addresses}


def _by_address(ports: Iterable[PublishedPort]) -> dict[str, str]:
    return {address: port.id for port in ports for address in port.addresses}
