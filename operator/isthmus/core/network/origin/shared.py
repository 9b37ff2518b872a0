"""Addresses that the tenant wants no cloud and no port to have, such as virtual ones that move between machines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from isthmus.core.network.addressing import Spans, contains, number_of
from isthmus.core.network.subnet_rules import hosts_of
from isthmus.core.snapshot.conditions import true
from isthmus.model.api.objects import Condition
from isthmus.model.facts.openstack import Subnet
from isthmus.model.reasons import ConditionType, Reason
from isthmus.model.text import listed

_MAX_MESSAGE_CHARACTERS = 1024


@dataclass(frozen=True)
class Shared:
    """The addresses that are shared, and why others are not, in words."""

    addresses: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def shared_addresses(requested: Iterable[str], subnets: Collection[Subnet], slices: Mapping[str, Spans]) -> Shared:
    """What can be shared of the addresses in `requested`; `slices` are those that are published, by cloud ID."""
    problems = {address: _problem(address, subnets, slices) for address in sorted({*requested}, key=number_of)}
    return Shared(
        tuple(address for address, problem in problems.items() if problem is None),
        tuple(f"{address} {problem}" for address, problem in problems.items() if problem is not None),
    )


def shared_addresses_ignored(shared: Shared) -> list[Condition]:
    """The condition while it is true; none is present otherwise."""
    if not shared.problems:
        return []
    text = f"not shared: {listed(shared.problems, '; ')}"[:_MAX_MESSAGE_CHARACTERS]
    return [true(ConditionType.SHARED_ADDRESSES_IGNORED, Reason.NOT_SHAREABLE, text)]


def _problem(address: str, subnets: Iterable[Subnet], slices: Mapping[str, Spans]) -> str | None:
    subnet = next((s for s in subnets if contains(hosts_of(ip_network(s.cidr)), address)), None)
    if subnet is None:
        return "is no address of a machine in any subnet of the network"
    if address == subnet.gateway_ip:
        return f"is the gateway of {subnet.cidr}"
    holder = next((cloud_id for cloud_id, spans in sorted(slices.items()) if contains(spans, address)), None)
    return f"is in the slice of {holder}, which never changes" if holder is not None else None
