"""Ports of ours that stand for machines of other members: a remote port has a machine's addresses and its MAC address.

So Neutron assigns neither a second time in this cloud, and OVN's routers, which resolve the addresses of ports and ask
nobody, reach the machine. A remote port is bound to no host, and needs no port security: no frame passes it.

Which of the fixed addresses that another member publishes are believed is said in `publishers.py`. Addresses of allowed
address pairs are not taken: several machines may use them. Where machines form IPv6 addresses from their MAC addresses,
Neutron gives a remote port the one of its machine by itself.

A remote port is in security groups only if the tenant of the origin chose it (`security_groups.py`), so that rules
whose remote is a group admit the machine. No rule applies to the port itself, since no frame passes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from itertools import groupby
from types import MappingProxyType
from typing import Final

from isthmus.core.snapshot.conditions import true
from isthmus.model import names
from isthmus.model.actions import Action, CreateRemotePorts, DeletePort, SetRemotePortGroups
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.expansionlink import PublishedPort
from isthmus.model.facts.openstack import NetworkFacts, Port, RequestedPort, Subnet
from isthmus.model.reasons import ConditionType, Reason
from isthmus.model.remembered import remembered
from isthmus.model.text import listed

from .addressing import Span, contains
from .attachment import remote_ports
from .known_addresses import is_machine
from .publishers import Publisher, formed_addresses
from .security_groups import GroupsByName, joined_groups

_NO_GROUPS: Final[GroupsByName] = MappingProxyType({})
_PORTS_PER_REQUEST: Final = 50
_REQUESTS_PER_ROUND: Final = 10
_ADDRESSES_PER_PORT: Final = 5  # Neutron's default of max_fixed_ips_per_port: all of a request fail with one too many
_CHANGES_PER_ROUND: Final = 200  # one request each; what else the network needs is planned between two rounds
_MAX_MESSAGE_CHARACTERS: Final = 1024
_Identity = tuple[str, frozenset[str]]  # MAC address and addresses


@dataclass(frozen=True)
class RemotePortPlan:
    """What is missing and what is too much of the remote ports of a network."""

    to_delete: tuple[str, ...] = ()
    """IDs of ports."""
    to_create: tuple[RequestedPort, ...] = ()
    to_update: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """IDs of ports, each with those of the security groups that it is to be in."""
    collisions: tuple[str, ...] = ()
    """For each machine whose address or MAC address another port has: both ports, in words."""
    too_many_addresses: tuple[str, ...] = ()
    """Machines of which some addresses are left out, in words."""
    left_out: int = 0
    """Number of machines beyond the limit."""


def plan_remote_ports(
    facts: NetworkFacts, publishers: Iterable[Publisher], limit: int, groups: GroupsByName = _NO_GROUPS
) -> RemotePortPlan:
    """The remote ports of a network as they should be; at most `limit` of them, each peer with an equal share.

    What is missing from an incomplete reading of a peer stays, unless something that was read replaces it. `groups` are
    the security groups that remote ports may be in.
    """
    return _plan(facts.ports, facts.own_project_id, facts.subnets, tuple(publishers), limit, groups)


@remembered("ports", "groups")
def _plan(
    ports: tuple[Port, ...],
    own_project_id: str,
    subnets: tuple[Subnet, ...],
    publishers: tuple[Publisher, ...],
    limit: int,
    groups: GroupsByName,
) -> RemotePortPlan:
    facts = NetworkFacts(own_project_id, subnets=subnets, ports=ports)
    wanted = _wanted(_other_ports(facts), subnets, publishers, limit, groups)
    ours = [(_identity(port), port) for port in _with_requested_addresses(facts)]
    existing = {identity for identity, _ in ours}
    missing = [port for identity, port in wanted.ports.items() if identity not in existing]
    superfluous = [port for identity, port in ours if identity not in wanted.ports]
    kept = {port.id: port for port in superfluous if _may_exist(port, publishers)}
    created = _created(missing, kept, limit - (len(ours) - len(superfluous)) - len(kept))
    return RemotePortPlan(
        to_delete=tuple(port.id for port in superfluous if port.id not in kept),
        to_create=tuple(created),
        to_update=tuple(_regrouped(ours, wanted.ports, kept, groups)),
        collisions=wanted.collisions,
        too_many_addresses=wanted.too_many_addresses,
        left_out=wanted.excess + len(missing) - len(created),
    )


@remembered("local", "groups")
def _wanted(
    local: tuple[Port, ...],
    subnets: tuple[Subnet, ...],
    publishers: tuple[Publisher, ...],
    limit: int,
    groups: GroupsByName,
) -> _Wanted:
    """Whatever remote ports there are: each that is created or deleted changes nothing of it."""
    search = _Search(local, subnets, groups)
    ports, excess = _limited([search.ports_of(publisher) for publisher in publishers], limit)
    by_identity = {_requested_identity(port): port for port in ports}
    return _Wanted(by_identity, excess, tuple(search.collisions), tuple(search.too_many_addresses))


def _other_ports(facts: NetworkFacts) -> tuple[Port, ...]:
    ours = {port.id for port in remote_ports(facts)}
    return tuple(port for port in facts.ports if port.id not in ours)


def _created(missing: Iterable[RequestedPort], kept: dict[str, Port], room: int) -> list[RequestedPort]:
    """Those for which there is room, also by ports that they replace, which are taken out of `kept`."""
    holders = {value: port for port in kept.values() for value in (port.mac.lower(), *port.addresses)}
    created = []
    for port in missing:
        values = (port.mac, *(address for _, address in port.addresses))
        replaced = {holders[value].id for value in values if value in holders} & kept.keys()
        if room + len(replaced) > 0:
            for id_ in replaced:
                del kept[id_]
            room += len(replaced) - 1
            created.append(port)
    return created


def _regrouped(
    ours: Iterable[tuple[_Identity, Port]],
    wanted: Mapping[_Identity, RequestedPort],
    kept: Collection[str],
    groups: GroupsByName,
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Ports in other groups than they should be. Those that are kept unread lose the groups that no port may be in."""
    allowed = {group.id for group in groups.values()}
    for identity, port in ours:
        left = tuple(id_ for id_ in port.groups if id_ in allowed) if port.id in kept else port.groups
        should_be = wanted[identity].groups if identity in wanted else left
        if should_be != port.groups:
            yield port.id, should_be


def remote_port_actions(link_name: str, facts: NetworkFacts, plan: RemotePortPlan) -> tuple[Action, ...]:
    """A part of the plan: first whom rules admit, then deletions, whose addresses a port that is created may have."""
    if facts.network is None:
        return ()
    regrouped = (SetRemotePortGroups(port_id, groups) for port_id, groups in plan.to_update)
    changes: tuple[Action, ...] = (*regrouped, *(DeletePort(port_id) for port_id in plan.to_delete))
    if len(changes) > _CHANGES_PER_ROUND:
        return changes[:_CHANGES_PER_ROUND]
    network_id, marker = facts.network.id, names.marker(link_name)
    ports = plan.to_create[: _PORTS_PER_REQUEST * _REQUESTS_PER_ROUND]
    parts = (ports[start : start + _PORTS_PER_REQUEST] for start in range(0, len(ports), _PORTS_PER_REQUEST))
    return (*changes, *(CreateRemotePorts(network_id, part, marker) for part in parts))


def fills_round(actions: Sequence[Action]) -> bool:
    """Whether these are as many changes of remote ports as one round has, so that more may be left."""
    creations = sum(isinstance(action, CreateRemotePorts) for action in actions)
    changes = sum(isinstance(action, SetRemotePortGroups | DeletePort) for action in actions)
    return creations >= _REQUESTS_PER_ROUND or changes >= _CHANGES_PER_ROUND


def delete_remote_ports(facts: NetworkFacts | None) -> tuple[Action, ...]:
    """Delete all remote ports of a network that is stretched no more, a part of them at a time."""
    ports = remote_ports(facts) if facts is not None else ()
    return tuple(DeletePort(port.id) for port in ports[:_CHANGES_PER_ROUND])


def remote_port_conditions(plan: RemotePortPlan | None, limit: int) -> list[Condition]:
    """True if machines of other members have no port here; none is present otherwise."""
    if plan is not None and plan.collisions:
        text = listed(plan.collisions, "; ")[:_MAX_MESSAGE_CHARACTERS]
        return [true(ConditionType.REMOTE_PORTS_INCOMPLETE, Reason.PORTS_COLLIDE, text)]
    if plan is not None and plan.too_many_addresses:
        text = f"only {_ADDRESSES_PER_PORT} addresses count of {listed(plan.too_many_addresses)}"[
            :_MAX_MESSAGE_CHARACTERS
        ]
        return [true(ConditionType.REMOTE_PORTS_INCOMPLETE, Reason.TOO_MANY_ADDRESSES, text)]
    if plan is not None and plan.left_out:
        text = f"{plan.left_out} machines of other clouds have no port here: remote_ports_per_network is {limit}"
        return [true(ConditionType.REMOTE_PORTS_INCOMPLETE, Reason.TOO_MANY_REMOTE_PORTS, text)]
    return []


@dataclass(frozen=True)
class _Wanted:
    """The remote ports that there should be, and what a `RemotePortPlan` says of those that cannot be."""

    ports: Mapping[_Identity, RequestedPort]
    excess: int
    collisions: tuple[str, ...]
    too_many_addresses: tuple[str, ...]


class _Search:
    """Finds out which remote ports are wanted; every address and MAC address once on the network."""

    def __init__(self, local: Sequence[Port], subnets: Iterable[Subnet], groups: GroupsByName) -> None:
        self.collisions: list[str] = []
        self.too_many_addresses: list[str] = []
        self._groups = groups
        self._subnets = [(_hosts(subnet), subnet.id) for subnet in subnets if not subnet.is_automatic]
        self._macs = {port.mac.lower(): port for port in local if port.mac}
        self._addresses = {address: port for port in local for address in port.addresses}
        self._shared = {address for port in local for address in port.allowed_addresses}
        self._taken: dict[str, str] = {}
        """By address and MAC address, the remote port that has it, in words."""

    def ports_of(self, publisher: Publisher) -> list[RequestedPort]:
        """Those for one peer, ordered by its members and the IDs of their ports."""
        ordered = sorted(publisher.ports.ports, key=lambda port: (port.member or 0, port.id))
        found = (self._port(publisher, port) for port in ordered if is_machine(port.mac))
        return [port for port in found if port is not None]

    def _port(self, publisher: Publisher, port: PublishedPort) -> RequestedPort | None:
        """None if it would have no address, or a MAC address that is in use."""
        member = names.member(publisher.cloud_id, port.member)
        usable = [a for a in port.fixed_addresses if publisher.believes(a) and a not in self._shared]
        found = [*self._with_subnets(a for a in usable if self._is_free(a, port, member))]
        addresses = dict(found[:_ADDRESSES_PER_PORT])
        if len(found) > _ADDRESSES_PER_PORT:
            self.too_many_addresses.append(f"port {port.id} of {member}")
        rival = self._local(self._macs.get(port.mac)) or self._taken.get(port.mac)
        if not addresses or rival is not None:
            if addresses and rival != f"port {port.id} of {member}":
                self._collide(port, member, f"MAC address {port.mac}", rival)
            return None
        self._taken |= dict.fromkeys((port.mac, *addresses), f"port {port.id} of {member}")
        pairs = tuple(sorted((subnet_id, address) for address, subnet_id in addresses.items()))
        return RequestedPort(f"isthmus-remote-{member}", port.mac, pairs, joined_groups(port, self._groups))

    def _is_free(self, address: str, port: PublishedPort, member: str) -> bool:
        """Whether no other port has it; the gateway's is reserved by a port of ours already."""
        local = self._addresses.get(address)
        if local is not None and local.device_owner != names.GATEWAY_DEVICE_OWNER:
            self._collide(port, member, f"address {address}", self._local(local))
        return local is None and address not in self._taken

    def _collide(self, port: PublishedPort, member: str, what: str, rival: str | None) -> None:
        self.collisions.append(f"port {port.id} of {member} has the {what} of {rival}")

    @staticmethod
    def _local(port: Port | None) -> str | None:
        return f"port {port.id} of this cloud" if port is not None else None

    def _with_subnets(self, addresses: Iterable[str]) -> Iterator[tuple[str, str]]:
        """The addresses that ports of the network can have, each with the ID of its subnet."""
        for address in addresses:
            subnet_id = next((id_ for hosts, id_ in self._subnets if contains((hosts,), address)), None)
            if subnet_id is not None:
                yield address, subnet_id


def _hosts(subnet: Subnet) -> Span:
    """The addresses of a subnet that Neutron gives to ports: not the first one, nor IPv4's broadcast address."""
    network = ip_network(subnet.cidr)
    reserved = 1 if network.max_prefixlen - network.prefixlen > 1 else 0
    return int(network.network_address) + reserved, int(network.broadcast_address) - reserved * (network.version == 4)


def _limited(found: Iterable[list[RequestedPort]], limit: int) -> tuple[list[RequestedPort], int]:
    """As many as allowed, in turn one of each member, and the number of others."""
    ranked = [(rank, port) for ports in found for rank, port in _ranks(ports)]
    ranked.sort(key=lambda entry: (entry[0], entry[1].name))
    return [port for _, port in ranked[:limit]], len(ranked[limit:])


def _ranks(ports: Iterable[RequestedPort]) -> Iterator[tuple[int, RequestedPort]]:
    """The ports with their places among those of the same member."""
    for _, of_member in groupby(ports, key=lambda port: port.name):
        yield from enumerate(of_member)


def _with_requested_addresses(facts: NetworkFacts) -> tuple[Port, ...]:
    """The remote ports, without the addresses that Neutron gave them by itself."""
    formed = formed_addresses(facts.subnets)
    if not formed:
        return remote_ports(facts)
    return tuple(
        replace(port, addresses=tuple(a for a in port.addresses if not contains(formed, a)))
        for port in remote_ports(facts)
    )


def _identity(port: Port) -> _Identity:
    return port.mac.lower(), frozenset(port.addresses)


def _requested_identity(port: RequestedPort) -> _Identity:
    return port.mac, frozenset(address for _, address in port.addresses)


def _may_exist(port: Port, publishers: Collection[Publisher]) -> bool:
    """Whether the port may stand for a machine that an incomplete reading did not contain: of that peer, or moved."""
    read = [publisher.belonging for publisher in publishers if publisher.ports.complete]
    if len(read) == len(publishers):
        return False
    return any(not any(contains(spans, address) for spans in read) for address in port.addresses)
