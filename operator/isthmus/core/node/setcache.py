"""Renders the sets of flows that br-cloud must have, from a node's plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain

from isthmus.model.names import PROBE_PORT, tunnel_port
from isthmus.model.node.flows import (
    FlowSet,
    LinkKey,
    Meter,
    PlannedEnd,
    PlannedLink,
    PlannedNetwork,
    PlannedNetworks,
)
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.pipeline import Direction, bandwidth_meter
from isthmus.model.node.switch import TunnelPort
from isthmus.model.tracked import Tracked, changes, differing

from .answers import known_per_link
from .flows import LINKS_PER_PATH_TO_RECEIVER, Echo, End, Link, Network, Relay, common_set, network_set, peer_set
from .ownership import owner_set
from .plan import NodePlan

_NONE_DIRECT: Mapping[LinkKey, bool] = Tracked()


class SetCache:
    """Renders the sets of a plan; a set whose inputs are as before is the same object as before.

    What a plan has in common with the one before, if it was made from that, costs nothing. Of any other plan
    everything is rendered. After an exception the cache must not be used any more.
    """

    def __init__(self) -> None:
        self._common = common_set()
        self._peers: Mapping[int, FlowSet] = {}
        self._networks = _NetworkSets(_Shared({}, {}, {}, 0, frozenset()))
        self._sets: Tracked[int, FlowSet] = Tracked()
        self.meters: Tracked[int, Meter] = Tracked()
        """All meters that the sets use, by ID."""

    def sets(
        self,
        plan: NodePlan,
        numbers: Numbers,
        ofport: Mapping[str, int],
        installed: AbstractSet[TunnelPort] | None = None,
        direct: Mapping[LinkKey, bool] = _NONE_DIRECT,
    ) -> Tracked[int, FlowSet]:
        """The sets by cookie; `ofport` maps interfaces to OpenFlow ports. What has no port yet is left out.

        Of members that have two paths, those that `direct` has are sent to directly, all others through the origin.

        Echoes are sent only where one of the `installed` tunnel ports leads, for that was made behind fences and a
        loaded connection. None: all of the plan are.
        """
        tunnels = _tunnels(plan, numbers, ofport)
        ports = {name: ofport[name] for name in (PROBE_PORT, *chain.from_iterable(tunnels.values()))}
        echoes = _echoes(plan, ofport, plan.ports.tunnels if installed is None else installed)
        gone: dict[int, FlowSet | None] = dict.fromkeys(self._peers)
        links = len(plan.networks.probe_macs)
        limited = frozenset(plan.bandwidth_mbps.keys() & tunnels.keys())
        shared = _Shared(ports, echoes, numbers.members, known_per_link(links), limited)
        if not self._networks.can_continue(plan.networks, shared):
            gone |= dict.fromkeys(self._networks.cookies())
            self._networks = _NetworkSets(shared)
        changed = self._networks.update(plan.networks, numbers.networks, ofport, direct)
        limits = plan.bandwidth_mbps
        peers = (self._peer_set(id_, names, numbers, ports, limits.get(id_)) for id_, names in tunnels.items())
        self._peers = {found.cookie: found for found in peers}
        before = self._sets
        self._sets = before.updated({self._common.cookie: self._common, **gone, **changed, **self._peers})
        self.meters = self.meters.updated(_changed_meters(before, self._sets))
        return self._sets

    def _peer_set(
        self,
        cloud_id: str,
        names: Iterable[str],
        numbers: Numbers,
        ports: Mapping[str, int],
        megabits_per_second: int | None,
    ) -> FlowSet:
        tunnels, links = sorted(ports[name] for name in names), self._networks.links[cloud_id]
        member = numbers.members[cloud_id]
        return peer_set(cloud_id, member, tunnels, links, ports[PROBE_PORT], megabits_per_second)


@dataclass(frozen=True)
class _Shared:
    """What the sets of all networks are rendered from besides the networks."""

    ports: Mapping[str, int]
    """OpenFlow ports of the probe port and of the tunnels."""
    echoes: Mapping[str, Echo]
    """By tunnel port."""
    members: Mapping[str, int]
    known: int
    """How many known addresses of each link have flows."""
    limited: frozenset[str]
    """Cloud IDs of the peers whose bandwidth is limited."""

    def sent_meter(self, cloud_id: str) -> int | None:
        """The bandwidth meter of what is sent to the peer, if it is limited."""
        return bandwidth_meter(self.members[cloud_id], Direction.SENT) if cloud_id in self.limited else None


class _NetworkSets:
    """The sets of all networks, as long as what they share remains as it is."""

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared
        self._networks = PlannedNetworks()
        self._numbers: Mapping[str, int] = {}
        self._ofport: Mapping[str, int] = {}
        self._direct: Mapping[LinkKey, bool] = _NONE_DIRECT
        self._rendered: dict[str, tuple[int, ...]] = {}
        """Cookies by patch port."""
        self.links: Counter[str] = Counter()
        """By the peer's cloud ID, how many links send as many probes as its gateways do to this node."""

    def can_continue(self, networks: PlannedNetworks, shared: _Shared) -> bool:
        """Whether what these sets have in common with those that are to be known is known."""
        return self._shared == shared and changes(self._networks.by_patch_port, networks.by_patch_port) is not None

    def cookies(self) -> Iterable[int]:
        """Those of all sets."""
        return chain.from_iterable(self._rendered.values())

    def update(
        self,
        networks: PlannedNetworks,
        numbers: Mapping[str, int],
        ofport: Mapping[str, int],
        direct: Mapping[LinkKey, bool],
    ) -> dict[int, FlowSet | None]:
        """What changes, by cookie."""
        before, after = self._networks.by_patch_port, networks.by_patch_port
        planned = differing(before, after)
        patch_ports = {*planned, *differing(self._numbers, numbers), *differing(self._ofport, ofport)}
        sent_otherwise = {name for name, _ in differing(self._direct, direct)}
        self._direct = direct
        patch_ports |= {networks.by_name[name].patch_port for name in sent_otherwise if name in networks.by_name}
        for patch_port in planned:
            self._count(before.get(patch_port), -1)
            self._count(after.get(patch_port), 1)
        gone = {cookie for patch_port in patch_ports for cookie in self._rendered.pop(patch_port, ())}
        sets: dict[int, FlowSet] = {}
        for network in filter(None, map(after.get, patch_ports)):
            number, patch = numbers.get(network.patch_port, 0), ofport.get(network.patch_port, 0)
            if number > 0 and patch > 0:
                found = [self._render(network, number, patch), *self._render_owners(network, number)]
                sets |= {each.cookie: each for each in found}
                self._rendered[network.patch_port] = tuple(each.cookie for each in found)
        self._networks, self._numbers, self._ofport = networks, numbers, ofport
        return {**dict.fromkeys(gone), **sets}

    def _count(self, network: PlannedNetwork | None, change: int) -> None:
        for link in network.links if network else ():
            self.links[link.peer] += change * (1 if link.number is None else LINKS_PER_PATH_TO_RECEIVER)
        for relay in network.relays if network else ():
            self.links[relay.source.cloud_id] += change * LINKS_PER_PATH_TO_RECEIVER

    def _render(self, network: PlannedNetwork, number: int, patch: int) -> FlowSet:
        ports, members = self._shared.ports, self._shared.members
        found = [link for link in network.links if link.peer in members and link.tunnel_port in ports]
        other = self._not_taken(network.name, found)
        links = tuple(
            Link(
                link.number_on_node(members),
                ports[link.tunnel_port],
                link.tunnel_id,
                link.probe_mac,
                None if link.is_handed_on else self._shared.echoes.get(link.tunnel_port),
                link.known[: self._shared.known],
                tuple(sorted(link.gateway_addresses)),
                link.direct is not None,
                link.path in other,
                link.ipv6,
                self._shared.sent_meter(link.peer),
            )
            for link in found
        )
        relays = tuple(
            Relay(*(self._end(end) for end in relay))
            for relay in network.relays
            if all(end.cloud_id in members and end.tunnel_port in ports for end in relay)
        )
        addresses = tuple(sorted(network.gateway_addresses))
        routers = tuple(sorted(network.router_addresses))
        local = tuple(sorted(network.local_gateway_addresses))
        numbered = Network(network.name, number, patch, network.at_origin, addresses, links, routers, local, relays)
        return network_set(numbered, ports[PROBE_PORT])

    def _end(self, end: PlannedEnd) -> End:
        shared = self._shared
        meter = shared.sent_meter(end.cloud_id)
        return End(shared.members[end.cloud_id], shared.ports[end.tunnel_port], end.tunnel_id, meter)

    def _render_owners(self, network: PlannedNetwork, number: int) -> Iterator[FlowSet]:
        numbered = ((owner.number_on_node(self._shared.members), owner) for owner in network.owners)
        owners = {n: owner for n, owner in numbered if n is not None and (owner.macs or owner.addresses)}
        if owners:
            yield owner_set(network.name, number, owners)

    def _not_taken(self, network: str, links: Iterable[PlannedLink]) -> set[str]:
        """Names of the paths that nothing is sent by, since the member has another one."""
        by_member: dict[str, list[PlannedLink]] = {}
        for link in links:
            by_member.setdefault(link.member, []).append(link)
        return {
            link.path
            for member, paths in by_member.items()
            for link in (paths if len(paths) > 1 else ())
            if link.is_handed_on == ((network, member) in self._direct)
        }


def _changed_meters(before: Mapping[int, FlowSet], after: Mapping[int, FlowSet]) -> dict[int, Meter | None]:
    """The meters of the sets that differ, by ID; None if it is not used any more."""
    changed = differing(before, after)
    gone = (meter.id for cookie in changed if (old := before.get(cookie)) for meter in old.meters)
    new = (meter for cookie in changed if (found := after.get(cookie)) for meter in found.meters)
    return {**dict.fromkeys(gone), **{meter.id: meter for meter in new}}


def _echoes(plan: NodePlan, ofport: Mapping[str, int], installed: AbstractSet[TunnelPort]) -> dict[str, Echo]:
    """By tunnel port, for those tunnels that exist as planned, and for whose kind there is an echo port."""
    ports = {echo.encapsulation: ofport.get(echo.name, 0) for echo in plan.ports.echoes}
    found = ((tunnel, ports.get(tunnel.encapsulation, 0)) for tunnel in plan.ports.tunnels & installed)
    return {tunnel.name: Echo(port, tunnel.ends) for tunnel, port in found if port > 0}


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
