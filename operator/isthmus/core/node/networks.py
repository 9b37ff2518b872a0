"""What a gateway node needs for each network: a function of its Attachment, the peers' tunnels, and used tunnel IDs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentLink, DirectPath
from isthmus.model.node.flows import (
    KnownAddress,
    LinkKey,
    PlannedEnd,
    PlannedLink,
    PlannedNetwork,
    PlannedNetworks,
    PlannedOwner,
    PlannedRelay,
)
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.switch import PatchPair, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds
from isthmus.model.reasons import Reason
from isthmus.model.tracked import Tracked, TrackedSet, differing

from .inner import is_inner

TunnelID = tuple[str, int]
"""The name of a tunnel port, and a tunnel ID on it."""


@dataclass(frozen=True)
class NetworkPlan:
    """What a node needs for one network; nothing if it has no port on the node."""

    patch: PatchPair | None = None
    network: PlannedNetwork | None = None
    """None if another node forwards it."""
    problems: Mapping[LinkKey, Problem] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworksPlan:
    """What a node needs for all networks."""

    patches: TrackedSet[PatchPair] = field(default_factory=TrackedSet)
    networks: PlannedNetworks = field(default_factory=PlannedNetworks)
    problems: Tracked[LinkKey, Problem] = field(default_factory=Tracked)
    kept: frozenset[str] = frozenset()
    """Names of patch ports on br-cloud of networks of which ports and flows stay as they are."""


def plan_network(
    node: str, attachment: Attachment, tunnels: Mapping[str, TunnelPort], is_shared: Callable[[TunnelID], bool]
) -> NetworkPlan:
    """The plan of one network; `is_shared` tells whether a tunnel ID is used more than once."""
    patch = _patch(node, attachment)
    if patch is None or attachment.spec.active_node != node:
        return NetworkPlan(patch)
    name, problems, links = attachment.metadata.name, {}, []
    for link, number, tunnel_id in _paths(attachment):
        problem, member = _path_problem(link, tunnel_id, tunnels, is_shared), names.member(link.cloud_id, number)
        if problem is not None:
            problems[name, member] = problem
        else:
            mac = names.probe_mac(name, member)
            known = tuple(KnownAddress(e.address, e.mac) for e in link.known_addresses) if number is None else ()
            gateways = link.gateway_addresses if number is None else ()
            ipv6 = link.ipv6 and number is None
            links.append(
                PlannedLink(link.cloud_id, _tunnel_name(link), tunnel_id, mac, known, gateways, number, ipv6=ipv6)
            )
    for path in _direct_paths(attachment):
        problem = _path_problem(path, path.tunnel_id, tunnels, is_shared)
        if problem is not None:
            problems[name, direct_name(attachment, path)] = problem
        else:
            mac, origin = names.probe_mac(name, direct_name(attachment, path)), attachment.spec.origin.cloud_id
            tunnel = _tunnel_name(path)
            links.append(PlannedLink(origin, tunnel, path.tunnel_id, mac, number=path.number, direct=path.cloud_id))
    network = PlannedNetwork(
        name,
        patch.cloud_name,
        attachment.spec.role == "Origin",
        tuple(attachment.spec.gateway_addresses),
        tuple(links),
        tuple(attachment.spec.router_addresses),
        tuple(attachment.spec.local_gateway_addresses),
        tuple(_relays(attachment, tunnels, is_shared)),
        tuple(_owners(attachment)),
    )
    return NetworkPlan(patch, network, problems)


class NetworkPlanner:
    """Plans all networks; a network again only if its Attachment changed, or the use of one of its tunnel IDs did."""

    def __init__(self, node: str, tunnels: Mapping[str, TunnelPort]) -> None:
        """`tunnels` are those of all peers, by name."""
        self._node, self._tunnels = node, tunnels
        self._attachments: Mapping[str, Attachment] = {}
        self._single: dict[str, NetworkPlan] = {}
        """By link name."""
        self._users: dict[TunnelID, list[str]] = {}
        """Link names of the networks that use a tunnel ID."""
        self._kept: frozenset[PatchPair] = frozenset()
        """Patches of networks that are kept."""
        self._plan = NetworksPlan()

    def plan(self, inputs: NodeInputs, installed: AbstractSet[PatchPair]) -> NetworksPlan:
        """The plan, which keeps installed patches. After an exception the planner must not be used any more."""
        attachments = inputs.attachments
        changed = differing(self._attachments, attachments)
        affected = {*changed}
        for name in changed:
            affected |= self._use(name, self._tunnel_ids(self._attachments.get(name)), remove=True)
            affected |= self._use(name, self._tunnel_ids(attachments.get(name)), remove=False)
        planned = {name: self._plan_of(attachments.get(name)) for name in affected}
        self._attachments = attachments
        self._plan = self._merged(planned, frozenset(map(names.patch_in_cloud_bridge, inputs.kept_networks)), installed)
        return self._plan

    def _plan_of(self, attachment: Attachment | None) -> NetworkPlan:
        if attachment is None:
            return NetworkPlan()
        return plan_network(self._node, attachment, self._tunnels, lambda used: len(self._users[used]) > 1)

    def _merged(
        self, planned: Mapping[str, NetworkPlan], kept: frozenset[str], installed: AbstractSet[PatchPair]
    ) -> NetworksPlan:
        before = {name: self._single.get(name, NetworkPlan()) for name in planned}
        for name, plan in planned.items():
            if plan == NetworkPlan():
                self._single.pop(name, None)
            else:
                self._single[name] = plan
        problems: dict[LinkKey, Problem | None] = {key: None for plan in before.values() for key in plan.problems}
        for plan in planned.values():
            problems |= plan.problems
        kept_before = self._kept
        self._kept = frozenset(patch for patch in installed if patch.cloud_name in kept) if kept else frozenset()
        merged = NetworksPlan(
            self._plan.patches.updated(
                _patches(before.values()) | kept_before, _patches(planned.values()) | self._kept
            ),
            self._plan.networks.updated({name: plan.network for name, plan in planned.items()}),
            self._plan.problems.updated(problems),
            kept,
        )
        return self._plan if _is_same(merged, self._plan) else merged

    def _tunnel_ids(self, attachment: Attachment | None) -> list[TunnelID]:
        """The tunnel IDs that an Attachment uses on this node."""
        if attachment is None or attachment.spec.active_node != self._node or _patch(self._node, attachment) is None:
            return []
        return [
            (_tunnel_name(link), tunnel_id)
            for link in attachment.spec.links
            for tunnel_id in (link.tunnel_id, *(path.tunnel_id for path in link.members))
        ] + [(_tunnel_name(path), path.tunnel_id) for path in _direct_paths(attachment)]

    def _use(self, name: str, used: Iterable[TunnelID], *, remove: bool) -> set[str]:
        """Note which tunnel IDs a network uses, or no longer; returns the networks that use them, too."""
        users: set[str] = set()
        for key in used:
            of_key = self._users.setdefault(key, [])
            if remove:
                of_key.remove(name)
            else:
                of_key.append(name)
            users |= {*of_key}
            if not of_key:
                del self._users[key]
        return users


def _is_same(one: NetworksPlan, other: NetworksPlan) -> bool:
    """Whether all parts are the same objects, as they are if nothing has changed."""
    same = one.patches is other.patches and one.networks is other.networks and one.problems is other.problems
    return same and one.kept == other.kept


def _patch(node: str, attachment: Attachment) -> PatchPair | None:
    """The patch pair of the attachment port that is bound to this node."""
    port = next((port for port in attachment.spec.ports if port.node == node), None)
    if port is None:
        return None
    name = attachment.metadata.name
    integration = names.patch_in_integration_bridge(name)
    return PatchPair(integration, names.patch_in_cloud_bridge(name), port.port_id, port.mac)


def _patches(plans: Iterable[NetworkPlan]) -> frozenset[PatchPair]:
    return frozenset(plan.patch for plan in plans if plan.patch is not None)


def _paths(attachment: Attachment) -> Iterator[tuple[AttachmentLink, int | None, int]]:
    """Each path of this cloud to a member: the link, the number of a member behind the peer, and the tunnel ID."""
    for link in attachment.spec.links:
        yield link, None, link.tunnel_id
        if attachment.spec.role == "Receiver":
            yield from ((link, path.number, path.tunnel_id) for path in link.members)


def _direct_paths(attachment: Attachment) -> tuple[DirectPath, ...]:
    return attachment.spec.direct_paths if attachment.spec.role == "Receiver" else ()


def direct_name(attachment: Attachment, path: DirectPath) -> str:
    """The name of a direct path of a network."""
    return names.direct_path(names.member(attachment.spec.origin.cloud_id, path.number), path.cloud_id)


def _relays(
    attachment: Attachment, tunnels: Mapping[str, TunnelPort], is_shared: Callable[[TunnelID], bool]
) -> Iterator[PlannedRelay]:
    """What the origin hands on: from each peer to each other one that both name to each other, in its direction."""
    if attachment.spec.role != "Origin":
        return
    links = {link.number: link for link in attachment.spec.links if link.number is not None}
    ends = {
        (number, path.number): PlannedEnd(link.cloud_id, _tunnel_name(link), path.tunnel_id)
        for number, link in links.items()
        for path in link.members
        if _path_problem(link, path.tunnel_id, tunnels, is_shared) is None
    }
    for (source, destination), end in ends.items():
        if (destination, source) in ends and source != destination:
            yield PlannedRelay(end, ends[destination, source])


def _owners(attachment: Attachment) -> Iterator[PlannedOwner]:
    """Each address once: of two flows of one match the switch would keep one, and miss the other."""
    seen: set[str] = set()
    for owner in attachment.spec.owners:
        macs, addresses = (tuple(a for a in of if a not in seen) for of in (owner.macs, owner.addresses))
        yield PlannedOwner(owner.cloud_id, owner.number, macs, addresses)
        seen.update(owner.macs, owner.addresses)


def _path_problem(
    link: AttachmentLink | DirectPath,
    tunnel_id: int,
    tunnels: Mapping[str, TunnelPort],
    is_shared: Callable[[TunnelID], bool],
) -> Problem | None:
    tunnel = tunnels.get(_tunnel_name(link))
    if tunnel is None or not _leads_to(tunnel.ends, link.gateway.addresses):
        return Problem(Reason.NO_TUNNEL, f"no tunnel to gateway {link.gateway.name} of {link.cloud_id} yet")
    if is_shared((tunnel.name, tunnel_id)):
        # Two networks must never be bridged: carry neither rather than the wrong one.
        return Problem(Reason.TUNNEL_ID_IN_USE, f"tunnel ID {tunnel_id} is used by another network, too")
    return None


def _leads_to(ends: TunnelEnds, gateway_addresses: tuple[str, ...]) -> bool:
    """Whether a tunnel is to a gateway of these; one with inner ends is to the gateway of its name alone."""
    return is_inner(ends) or ends.remote in gateway_addresses


def _tunnel_name(link: AttachmentLink | DirectPath) -> str:
    return names.tunnel_port(link.cloud_id, link.gateway.name)
