"""Which sets of flows br-cloud must have, and what has to be changed so that it has them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from isthmus.model.names import PROBE_PORT, tunnel_port
from isthmus.model.node.flows import Flows, FlowSet, Meter, PlannedNetwork, SetChange
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.pipeline import (
    LEARNED_OF_NETWORK_MASK,
    LEARNED_OWNER,
    OWNER_MASK,
    learned_cookie,
    network_of,
    set_cookie,
)

from .flows import Link, Network, common_set, network_set, peer_set
from .plan import NodePlan

_LEARNS = re.compile(rf"\bcookie=(0x{LEARNED_OWNER:x}[0-9a-f]{{12}})\b")
_PLAIN = re.compile(r"table=\d+,priority=\d+(?:,[^ ]+)? actions=")
_TABLE = re.compile(r"table=(\d+)")
# Not the digits of a name, of an IP address or of a MAC address.
_NUMBER = re.compile(r"(?<![\w.])(?<!::)(?<![0-9a-f]{2}:)(?:0x[0-9a-f]+|\d+)(?![\w.:])")
_EVERYTHING_LEARNED = (LEARNED_OWNER << 48, OWNER_MASK)


@dataclass(frozen=True)
class _Rendered:
    network: PlannedNetwork
    number: int
    patch: int
    flows: FlowSet | None


class SetCache:
    """Renders the sets of a plan; a set whose inputs are as before is the same object as before."""

    def __init__(self) -> None:
        self._common = common_set()
        self._peers: dict[str, FlowSet] = {}
        self._networks: dict[str, _Rendered] = {}
        self._links: Counter[str] = Counter()
        """The number of links by the peer's cloud ID."""
        self._ports: Mapping[str, int] = {}
        """OpenFlow ports of the probe port and of the tunnels."""
        self._members: Mapping[str, int] = {}

    def sets(self, plan: NodePlan, numbers: Numbers, ofport: Mapping[str, int]) -> dict[int, FlowSet]:
        """The sets by cookie; `ofport` maps interfaces to OpenFlow ports. What has no port yet is left out."""
        tunnels = _tunnels(plan, numbers, ofport)
        ports = {name: ofport[name] for name in (PROBE_PORT, *chain.from_iterable(tunnels.values()))}
        if (ports, numbers.members) != (self._ports, self._members):
            self._ports, self._members, self._networks, self._links = ports, numbers.members, {}, Counter()
        sets = [self._common, *self._network_sets(plan.networks, numbers.networks, ofport)]
        sets += (self._peer_set(cloud_id, names) for cloud_id, names in tunnels.items())
        return {found.cookie: found for found in sets}

    def _network_sets(
        self, networks: Iterable[PlannedNetwork], numbers: Mapping[str, int], ofport: Mapping[str, int]
    ) -> Iterator[FlowSet]:
        gone, self._networks = self._networks, {}
        for network in networks:
            number, patch = numbers.get(network.patch_port, 0), ofport.get(network.patch_port, 0)
            known = gone.pop(network.name, None)
            same = known is not None and (known.network is network or known.network == network)
            if known is None or not same or (known.number, known.patch) != (number, patch):
                self._count(known, -1)
                known = _Rendered(network, number, patch, self._render(network, number, patch))
                self._count(known, 1)
            self._networks[network.name] = known
            if known.flows is not None:
                yield known.flows
        for known in gone.values():
            self._count(known, -1)

    def _count(self, rendered: _Rendered | None, change: int) -> None:
        for link in rendered.network.links if rendered else ():
            self._links[link.cloud_id] += change

    def _render(self, network: PlannedNetwork, number: int, patch: int) -> FlowSet | None:
        if number <= 0 or patch <= 0:
            return None
        links = tuple(
            Link(self._members[link.cloud_id], self._ports[link.tunnel_port], link.tunnel_id, link.probe_mac)
            for link in network.links
            if link.cloud_id in self._members and link.tunnel_port in self._ports
        )
        addresses = tuple(sorted(network.gateway_addresses))
        numbered = Network(network.name, number, patch, network.at_origin, addresses, links)
        return network_set(numbered, self._ports[PROBE_PORT])

    def _peer_set(self, cloud_id: str, names: Iterable[str]) -> FlowSet:
        tunnels = sorted(self._ports[name] for name in names)
        found = peer_set(cloud_id, self._members[cloud_id], tunnels, self._links[cloud_id], self._ports[PROBE_PORT])
        if self._peers.get(cloud_id) != found:
            self._peers[cloud_id] = found
        return self._peers[cloud_id]


def _tunnels(plan: NodePlan, numbers: Numbers, ofport: Mapping[str, int]) -> dict[str, list[str]]:
    """The tunnel ports that exist, by the peer's cloud ID."""
    planned = {tunnel.name for tunnel in plan.ports.tunnels}
    found = {
        cloud_id: [
            n for n in (tunnel_port(cloud_id, g.name) for g in gateways) if n in planned and ofport.get(n, 0) > 0
        ]
        for cloud_id, gateways in plan.gateways.items()
        if cloud_id in numbers.members
    }
    return {cloud_id: names for cloud_id, names in found.items() if names}


def differences(wanted: Mapping[int, FlowSet], installed: Mapping[int, Flows]) -> list[SetChange]:
    """What has to be changed, the common flows first. Sets that are installed as wanted are not touched."""
    changes = [
        change(flow_set, installed.get(cookie, frozenset()))
        for cookie, flow_set in wanted.items()
        if not same_flows(flow_set.flows, installed.get(cookie, frozenset()))
    ]
    changes += (_removal(cookie, installed[cookie]) for cookie in installed.keys() - wanted.keys())
    return sorted(changes, key=lambda c: c.cookie != set_cookie())


def same_flows(wanted: Flows, listed: Flows) -> bool:
    """Whether two lists of flows say the same, even if releases of Open vSwitch write numbers or order differently."""
    if wanted is listed or wanted == listed:
        return True
    return len(wanted) == len(listed) and {*map(_normal, wanted)} == {*map(_normal, listed)}


def change(wanted: FlowSet, listed: Flows) -> SetChange:
    """The change of one set: single flows, so that the others keep their counters."""
    gone, new = listed - wanted.flows, wanted.flows - listed
    if not all(_is_plain(flow) for flow in gone):
        return replacement(wanted, listed)
    still_learned = {cookie for flow in wanted.flows for cookie in _LEARNS.findall(flow)}
    learned = {cookie for flow in gone for cookie in _LEARNS.findall(flow)} - still_learned
    return SetChange(
        wanted.cookie,
        wanted.owner,
        delete=tuple(sorted({_match(flow) for flow in gone} - {_match(flow) for flow in new})),
        add=tuple(sorted(new)),
        forget=_forgotten(wanted.cookie, sorted(int(cookie, 16) for cookie in learned)),
    )


def replacement(wanted: FlowSet, listed: Flows) -> SetChange:
    """All flows with the set's cookie are deleted, and those of the set are added."""
    tables = tuple(sorted(_tables(listed)))
    return SetChange(wanted.cookie, wanted.owner, tables, (), tuple(sorted(wanted.flows)), _forgotten(wanted.cookie))


def meters_of(wanted: Mapping[int, FlowSet]) -> Iterator[Meter]:
    """All meters that the sets use."""
    for flow_set in wanted.values():
        yield from flow_set.meters


def _removal(cookie: int, listed: Flows) -> SetChange:
    number = network_of(cookie)
    forget = ((learned_cookie(number), LEARNED_OF_NETWORK_MASK),) if number else ()
    return SetChange(cookie, None, tuple(sorted(_tables(listed))), forget=forget)


def _forgotten(cookie: int, learned: Iterable[int] = ()) -> tuple[tuple[int, int], ...]:
    """Learned flows to delete with a change of a set: all of them if the steps that they are part of change."""
    if cookie == set_cookie():
        return (_EVERYTHING_LEARNED,)
    return tuple((found, 2**64 - 1) for found in learned)


def _tables(flows: Flows) -> set[int]:
    return {int(found[1]) for flow in flows if (found := _TABLE.match(flow))}


def _is_plain(flow: str) -> bool:
    """Whether a flow has no time-outs or flags, so that what is listed before its actions can be used to delete it."""
    return _PLAIN.match(flow) is not None


def _match(flow: str) -> str:
    return flow.split(" actions=", 1)[0]


def _normal(flow: str) -> tuple[tuple[str, ...], str]:
    """A flow with decimal numbers and sorted match fields."""
    text = _NUMBER.sub(lambda number: str(int(number[0], 0)), flow.lower())
    match, _, actions = text.partition(" actions=")
    return tuple(sorted(match.split(","))), actions
