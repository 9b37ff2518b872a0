"""At the origin: remote ports for the machines of all peers, and what each peer learns of those of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from isthmus.core.federation.peer import agreement_with, has_feature
from isthmus.core.network.addressing import Span, Spans, contains, merged
from isthmus.core.network.attachment import remote_ports
from isthmus.core.network.known_addresses import addresses_of_receiver
from isthmus.core.network.port_slices import RemotePorts, remote_ports_of
from isthmus.core.network.publishers import (
    Publisher,
    listed_addresses,
    strays_of,
    with_moved,
)
from isthmus.core.network.remote_ports import RemotePortPlan, plan_remote_ports
from isthmus.core.network.security_groups import counted_names, groups_by_name
from isthmus.core.snapshot.conditions import true
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.expansionlink import PublishedPort
from isthmus.model.protocol import Feature
from isthmus.model.reasons import ConditionType, Reason
from isthmus.model.text import listed

from .state import Origin

_PORTS_OF_ONE_MEMBER: Final = 1000  # that the others learn: a member must not fill the slices of the others


def planned_remote_ports(origin: Origin) -> RemotePortPlan | None:
    """What is missing and what is too much of the remote ports; None without facts."""
    if origin.facts is None or origin.facts.network is None:
        return None
    limit = origin.snapshot.own.remote_ports_per_network
    groups = groups_by_name(origin.facts, origin.group_matching)
    return plan_remote_ports(origin.facts, publishers_of(origin).values() if limit else (), limit, groups)


def ports_of_others(origin: Origin, cloud_id: str, publishers: Mapping[str, Publisher]) -> tuple[PublishedPort, ...]:
    """What a peer learns of the machines of the other members that it may reach: their fixed addresses.

    As published before where a member's ports are not all known: a shorter list would be taken for a complete one.
    """
    if cloud_id not in origin.joined or not has_feature(origin.snapshot, cloud_id, Feature.REMOTE_PORTS):
        return ()
    found, reachable = list[PublishedPort](), origin.reachable_from(cloud_id)
    for other, number in sorted(origin.joined.items(), key=lambda entry: entry[1]):
        if number not in reachable:
            continue
        theirs = publishers[other]
        ports = {port.id: port for port in _of_member(theirs, number)}
        if not theirs.ports.complete:
            ports = {port.id: port for port in _published_before(origin, cloud_id, number)} | ports
        found += sorted(ports.values(), key=lambda port: port.id)[:_PORTS_OF_ONE_MEMBER]
    matching = origin.matching_with(cloud_id)
    return tuple(port.model_copy(update={"groups": counted_names(port, matching) or None}) for port in found)


def ports_not_passed_on(origin: Origin) -> list[Condition]:
    """The condition while peers have more machines than the other peers learn of; none is present otherwise."""
    limit = _PORTS_OF_ONE_MEMBER
    large = [c for c in origin.joined if len(_ports_of(origin, c).ports) > limit and _is_passed_on(origin, c)]
    publishers = publishers_of(origin) if large else {}
    counts = {c: sum(1 for port in publishers[c].ports.ports if _addresses(publishers[c], port)) for c in large}
    found = [f"{count - limit} of {c}" for c, count in counts.items() if count > limit]
    if not found:
        return []
    text = (
        f"the other peers learn of {limit} machines of each peer, and not of {listed(found)}: these have no port at "
        "the other peers, where rules with a remote group do not admit them"
    )
    return [true(ConditionType.REMOTE_PORTS_INCOMPLETE, Reason.PORTS_NOT_PASSED_ON, text)]


def reserved_for(origin: Origin, cloud_id: str) -> tuple[str, ...]:
    """Addresses that a peer's machines have kept, and that those to whom they belong have reserved for them."""
    if origin.facts is None or cloud_id not in origin.active_links:
        return ()
    publisher, slices = _publisher(origin, cloud_id), list[Span]()
    strays, reserved = {*strays_of(publisher, origin.facts)}, set[str]()
    for other in origin.active_links.keys() if strays else ():
        reserved |= reserved_at(origin, other)
        slices += belonging_to(origin, other)
    own = {a for port in remote_ports(origin.facts) for a in port.addresses if not contains(merged(slices), a)}
    return listed_addresses(strays & (own | reserved))


def reserved_at(origin: Origin, cloud_id: str) -> set[str]:
    """Addresses of a peer's slice that it reserves for machines of other members."""
    theirs, belonging = origin.accepted_spec(cloud_id), belonging_to(origin, cloud_id)
    return {a for a in (theirs.reserved_addresses or () if theirs is not None else ()) if contains(belonging, a)}


def publishers_of(origin: Origin) -> Mapping[str, Publisher]:
    """What all peers publish, by cloud ID: read once for all that it is published to; empty without facts."""
    if origin.facts is None:
        return {}
    found = (_publisher(origin, cloud_id) for cloud_id in sorted(origin.active_links))
    return {each.cloud_id: each for each in with_moved(found, origin.facts, origin.shared.addresses)}


def _publisher(origin: Origin, cloud_id: str) -> Publisher:
    return Publisher(cloud_id, _ports_of(origin, cloud_id), belonging_to(origin, cloud_id))


def _ports_of(origin: Origin, cloud_id: str) -> RemotePorts:
    """The ports of a peer; incomplete as long as it has neither accepted the network nor refused it."""
    snapshot, peer, theirs = origin.snapshot, origin.snapshot.peer_of(cloud_id), origin.accepted_spec(cloud_id)
    if theirs is None:
        return RemotePorts(complete=origin.is_refused(cloud_id))
    if not has_feature(snapshot, cloud_id, Feature.REMOTE_PORTS):
        return RemotePorts(complete=peer is not None and agreement_with(snapshot, peer) is not None)
    return remote_ports_of(snapshot, cloud_id, theirs).own  # a receiver speaks for itself alone


def belonging_to(origin: Origin, cloud_id: str) -> Spans:
    """The addresses of a peer, to which the network is offered: its slices."""
    offer = origin.active_links[cloud_id].spec.offer
    return addresses_of_receiver(offer) if offer is not None else ()


def _is_passed_on(origin: Origin, cloud_id: str) -> bool:
    """Whether any other peer learns of the machines of this one."""
    able = (c for c in origin.joined if has_feature(origin.snapshot, c, Feature.REMOTE_PORTS))
    return any(origin.joined[cloud_id] in origin.reachable_from(c) for c in able)


def _addresses(theirs: Publisher, port: PublishedPort) -> tuple[str, ...]:
    return tuple(address for address in port.fixed_addresses if theirs.believes(address))


def _of_member(theirs: Publisher, number: int) -> Iterator[PublishedPort]:
    for port in theirs.ports.ports:
        if addresses := _addresses(theirs, port):
            yield PublishedPort(
                id=port.id,
                mac=port.mac,
                addresses=addresses,
                exclusive=port.exclusive,
                member=number,
                groups=port.groups,
            )


def _published_before(origin: Origin, cloud_id: str, number: int) -> Iterator[PublishedPort]:
    for held in origin.snapshot.port_slices(cloud_id, origin.name):
        yield from (port for port in held.spec.ports if port.member == number)
