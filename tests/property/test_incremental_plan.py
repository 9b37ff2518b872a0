"""After any changes, what an agent plans, renders and reports step by step is what it would from scratch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.node import answers, flows
from isthmus.core.node.diff import PortComparison
from isthmus.core.node.facts import Failures, NodeFacts
from isthmus.core.node.numbers import Numbering, number
from isthmus.core.node.observations import Observations, observations
from isthmus.core.node.plan import NodePlan, NodePlanner, plan_node
from isthmus.core.node.setcache import SetCache
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import AddressOwner, Attachment, DropObservation
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.node.flows import FlowSet, LinkKey
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.switch import BridgeView, PatchPair, Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds, Vxlan
from isthmus.model.reasons import Reason
from isthmus.model.tracked import Tracked, TrackedSet, differing
from tests.fakes.nodeobjects import ADDRESS, NODE, OWN, attachment, inputs, link, peer, peerlink

PEERS = ("cloud-b", "cloud-c")
NETWORKS = tuple(f"0000000{index}-9cbb-4d3c-8d4e-000000000001" for index in range(3))
LINK_NAMES = tuple(f"{OWN}.{network}" for network in NETWORKS)
DEFECT = Problem(Reason.INVALID, "refused")

RECEIVER_PATHS = tuple(f"cloud-b/{number}{end}" for number in (2, 3) for end in ("", "@cloud-c"))

network = st.sampled_from(NETWORKS)
link_name = st.sampled_from(LINK_NAMES)
cloud_id = st.sampled_from(PEERS)
gateways = st.integers(1, 2)
kind = st.sampled_from(("VXLAN", "VXLAN", "Geneve", "GRE"))
mostly = st.sampled_from((True, True, True, False))
links = st.dictionaries(cloud_id, st.tuples(st.integers(0, 2), st.sampled_from((1, 1, 1, 2)), st.integers(0, 4)))
receiver_paths = st.tuples(mostly, mostly, st.integers(0, 2), st.sampled_from((1, 1, 2)))
attachments = st.one_of(
    st.tuples(st.just("attach"), network, links, mostly, mostly),
    st.tuples(st.just("replicate"), network, st.lists(receiver_paths, max_size=2).map(tuple)),
    st.tuples(st.just("detach"), network),
    st.tuples(st.just("keep"), network),
)
others = st.one_of(
    st.tuples(st.just("gateway"), cloud_id, gateways, kind),
    st.tuples(st.just("peer"), cloud_id, mostly),
    st.tuples(st.just("keep_peer"), cloud_id, st.booleans()),
    st.tuples(st.just("address"), mostly),
    st.tuples(st.just("patch"), link_name, st.sampled_from((None, -1, 1, 2))),
    st.tuples(st.just("number"), link_name, st.none() | st.integers(-1, 2)),
    st.tuples(st.just("write"), st.booleans()),
    st.tuples(st.just("probe"), link_name, cloud_id, st.sampled_from((None, False, False, True))),
    st.tuples(st.just("probe"), link_name, st.sampled_from(RECEIVER_PATHS), st.sampled_from((None, False, True))),
    st.tuples(st.just("choose"), link_name, st.sampled_from((2, 3)), st.booleans()),
    st.tuples(st.just("receive"), st.sets(st.tuples(link_name, cloud_id))),
    st.tuples(st.just("fail"), st.sets(link_name)),
    st.tuples(st.just("drop"), st.sets(link_name)),
    st.tuples(st.just("flows"), mostly),
    st.tuples(st.just("prober"), mostly),
)


@dataclass
class NodeState:
    """What a node's agent sees. Every method is a change."""

    inputs: NodeInputs
    attachments: Tracked[str, Attachment] = field(default_factory=Tracked)
    patches: TrackedSet[PatchPair] = field(default_factory=TrackedSet)
    ofport: Tracked[str, int] = field(default_factory=lambda: Tracked({names.PROBE_PORT: 1}))
    numbers: Numbers = field(default_factory=Numbers)
    probes: Tracked[LinkKey, bool] = field(default_factory=Tracked)
    direct: Tracked[LinkKey, bool] = field(default_factory=Tracked)
    facts: Mapping[str, Any] = field(default_factory=dict)
    addresses: tuple[NodeAddress, ...] = (NodeAddress(ADDRESS, 1500),)
    writes: bool = True
    """Whether numbers can be written."""

    def attach(self, network: str, links: dict[str, tuple[int, int, int]], active: bool, here: bool) -> None:
        paths = tuple(
            link(0x100000 + id_, peer, _gateway(peer, which))
            | {"knownAddresses": _known(peer, count)}
            | {"gatewayAddresses": [f"10.20.9.{n}" for n in range(1, 1 + count % 3)]}
            for peer, (id_, which, count) in links.items()
        )
        new = attachment(network, paths or (link(0x100000),), active=NODE if active else "gw-a2")
        owners = tuple(_owner(peer, count) for peer, (_, _, count) in links.items() if count % 2)
        new = new.model_copy(update={"spec": new.spec.model_copy(update={"owners": owners})})
        if not here:
            new = new.model_copy(update={"spec": new.spec.model_copy(update={"ports": ()})})
        self._know(new.metadata.name, new, kept=False)

    def replicate(self, network: str, receivers: tuple[tuple[bool, bool, int, int], ...]) -> None:
        """The network is a replica, and cloud-b is its origin; other receivers, by one path or both, are in cloud-c."""
        numbered = [*enumerate(receivers, 2)]
        members = [{"number": n, "tunnelID": 0x100010 + id_} for n, (through, _, id_, _) in numbered if through]
        direct = [
            {"number": n, "cloudID": "cloud-c", "tunnelID": 0x100000 + id_, "gateway": _gateway("cloud-c", which)}
            for n, (_, is_direct, id_, which) in numbered
            if is_direct
        ]
        to_origin = link(0x100000, "cloud-b", _gateway("cloud-b", 1)) | {"members": members}
        found = attachment(network, (to_origin,), role="Receiver").to_wire()
        found["spec"]["origin"]["cloudID"] = "cloud-b"
        found["spec"]["directPaths"] = direct
        self._know(f"{OWN}.{network}", Attachment.from_wire(found), kept=False)

    def detach(self, network: str) -> None:
        self._know(f"{OWN}.{network}", None, kept=False)

    def keep(self, network: str) -> None:
        """Its Attachment is not understood."""
        self._know(f"{OWN}.{network}", None, kept=True)

    def _know(self, link_name: str, attachment: Attachment | None, *, kept: bool) -> None:
        self.attachments = self.attachments.updated({link_name: attachment})
        others = self.inputs.kept_networks - {link_name}
        self.inputs = replace(self.inputs, kept_networks=others | ({link_name} if kept else set()))

    def gateway(self, cloud_id: str, which: int, kind: str) -> None:
        others = tuple(link for link in self.inputs.peerlinks if _peer_of(link) != cloud_id)
        found = peerlink(cloud_id, _gateway(cloud_id, which), encapsulation=kind)
        self.inputs = replace(self.inputs, peerlinks=(*others, found))

    def peer(self, cloud_id: str, known: bool) -> None:
        others = tuple(found for found in self.inputs.peers if found.spec.cloud_id != cloud_id)
        self.inputs = replace(self.inputs, peers=(*others, *([_peer(cloud_id)] if known else [])))

    def keep_peer(self, cloud_id: str, kept: bool) -> None:
        others = {peer: found for peer, found in self.inputs.kept_peers.items() if peer != cloud_id}
        new = {cloud_id: (PeerGateway.model_validate(_gateway(cloud_id, 1)),)} if kept else {}
        self.inputs = replace(self.inputs, kept_peers=others | new)

    def address(self, known: bool) -> None:
        self.addresses = (NodeAddress(ADDRESS, 1500),) if known else ()

    def patch(self, link_name: str, ofport: int | None) -> None:
        name = names.patch_in_cloud_bridge(link_name)
        number = f"1{link_name.removeprefix(f'{OWN}.')[1:]}"
        pair = PatchPair(names.patch_in_integration_bridge(link_name), name, number, "fa:16:3e:00:00:01")
        gone, new = ({pair}, set[PatchPair]()) if ofport is None else (set[PatchPair](), {pair})
        self.patches = self.patches.updated(gone, new)
        self.ofport = self.ofport.updated({name: ofport and ofport * (10 + LINK_NAMES.index(link_name))})
        if ofport is None:
            self.number(link_name, None)

    def number(self, link_name: str, number: int | None) -> None:
        """Somebody changes a number."""
        known = Tracked(self.numbers.networks)
        changed = known.updated({names.patch_in_cloud_bridge(link_name): number})
        self.numbers = replace(self.numbers, networks=changed)

    def write(self, works: bool) -> None:
        self.writes = works

    def probe(self, link_name: str, cloud_id: str, answered: bool | None) -> None:
        self.probes = self.probes.updated({(link_name, cloud_id): answered})

    def choose(self, link_name: str, number: int, direct: bool) -> None:
        self.direct = self.direct.updated({(link_name, names.member("cloud-b", number)): direct or None})

    def receive(self, receiving: set[LinkKey]) -> None:
        self.facts = {**self.facts, "receiving": frozenset(receiving)}

    def fail(self, failing: set[str]) -> None:
        self.facts = {**self.facts, "failures": Failures(networks=dict.fromkeys(failing, DEFECT))}

    def drop(self, dropping: set[str]) -> None:
        self.facts = {**self.facts, "dropping": dict.fromkeys(dropping, (DropObservation(reason="storm"),))}

    def flows(self, installed: bool) -> None:
        self.facts = {**self.facts, "flows_installed": installed}

    def prober(self, works: bool) -> None:
        self.facts = {**self.facts, "probe_problem": None if works else DEFECT}

    def observed(self, plan: NodePlan) -> NodeFacts:
        bridge = BridgeView(True, Ports(plan.ports.tunnels, self.patches), self.ofport, numbers=self.numbers)
        return NodeFacts(plan, bridge, probes=self.probes, direct=self.direct, **self.facts)


class Incremental:
    """The parts of an agent that remember."""

    def __init__(self) -> None:
        self.planner, self.cache, self.numbering = NodePlanner(), SetCache(), Numbering()
        self.ports, self.observations = PortComparison(), Observations(NODE)
        self.before: Mapping[int, FlowSet] = {}

    def check(self, state: NodeState) -> None:
        wanted = replace(state.inputs, attachments=state.attachments)
        seen = wanted, state.addresses, frozenset[int](), Ports(TUNNELS, state.patches)
        plan = self.planner.plan(*seen)
        assert plan == plan_node(*seen)
        assert plan is self.planner.plan(*seen)
        _check_tunnel_ids(plan, wanted)
        facts = state.observed(plan)
        found = self.observations.entries(state.attachments, facts)
        assert found == observations(NODE, state.attachments, facts)
        assert self.ports.missing(plan, facts.bridge, ()).patches == plan.ports.patches - state.patches
        kept = {patch for patch in state.patches if patch.cloud_name in plan.kept_patches}
        assert kept <= plan.ports.patches
        assert self.ports.unwanted(plan, facts.bridge) == PortComparison().unwanted(plan, facts.bridge)
        self._check_flows(plan, state)

    def _check_flows(self, plan: NodePlan, state: NodeState) -> None:
        planned = plan.networks.by_patch_port
        existing = [name for name in planned if state.ofport.get(name, 0) > 0]
        numbers = self.numbering.numbers(state.numbers, planned, state.ofport, plan.gateways)
        assert numbers == number(state.numbers, existing, plan.gateways)
        ofport = state.ofport.updated(
            {tunnel.name: 2 + n for n, tunnel in enumerate(sorted(plan.ports.tunnels, key=str))}
        )
        sets = self.cache.sets(plan, numbers, ofport, direct=state.direct)
        again = SetCache()
        assert sets == again.sets(plan, numbers, ofport, direct=state.direct)
        assert self.cache.meters == again.meters
        assert {*differing(self.before, sets)} == {*differing(dict(self.before), dict(sets))}
        self.before = sets
        unwritten = {name: n for name, n in numbers.networks.items() if state.numbers.networks.get(name) != n}
        assert self.numbering.unwritten == unwritten
        if state.writes:
            state.numbers = replace(numbers, networks=Tracked({**state.numbers.networks, **unwritten}))


def _changes(steps: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[tuple[Any, ...], bool]]]:
    """The second of each says whether the agent looks before the next change."""
    return st.lists(st.tuples(steps, mostly), min_size=10, max_size=40)


@patch.object(flows, "_PROBE_PACKETS_PER_SECOND", 1)  # so that a meter depends on each link
@patch.object(answers, "_MAX_KNOWN_ON_NODE", 8)  # so that the addresses of each link depend on the number of links
@given(_changes(attachments) | _changes(others) | _changes(st.one_of(attachments, others)))
def test_any_changes_lead_to_what_is_made_from_scratch(changes: list[tuple[tuple[Any, ...], bool]]) -> None:
    peers = tuple(_peer(cloud_id) for cloud_id in PEERS)
    published = tuple(peerlink(cloud_id, _gateway(cloud_id, 1)) for cloud_id in PEERS)
    state, agent = NodeState(inputs(peers=peers, peerlinks=published)), Incremental()
    for id_, (network, link_name) in enumerate(zip(NETWORKS, LINK_NAMES, strict=True)):
        state.attach(network, dict.fromkeys(PEERS, (id_, 1, 1)), active=True, here=True)
        state.patch(link_name, 1)
    state.flows(installed=True)
    for (change, *arguments), looks in changes:
        getattr(state, change)(*arguments)
        if looks:
            agent.check(state)
    agent.check(state)


def _check_tunnel_ids(plan: NodePlan, wanted: NodeInputs) -> None:
    """No tunnel ID is carried for two networks, and no link is left out that has one of its own."""
    here = [a for a in wanted.attachments.values() if a.spec.active_node == NODE and a.spec.ports]
    used = Counter(
        (found.gateway.address, tunnel_id)
        for a in here
        for found in a.spec.links
        for tunnel_id in (found.tunnel_id, *(path.tunnel_id for path in found.members))
    )
    used.update((path.gateway.address, path.tunnel_id) for a in here for path in a.spec.direct_paths)
    tunnels = {tunnel.name: tunnel.ends.remote for tunnel in plan.ports.tunnels}
    carried = Counter((tunnels[k.tunnel_port], k.tunnel_id) for n in plan.networks for k in n.links)
    assert {*carried} == {key for key, count in used.items() if count == 1 and key[0] in tunnels.values()}
    assert {*carried.values()} <= {1}


def _gateway(cloud_id: str, which: int) -> dict[str, str]:
    return {"name": f"gw-{which}", "address": f"198.51.{100 + PEERS.index(cloud_id)}.{which}"}


def _owner(cloud_id: str, count: int) -> AddressOwner:
    """With addresses that the other ones have, too, of which the first one counts."""
    macs = tuple(f"fa:16:3e:00:00:0{number}" for number in range(count))
    return AddressOwner(cloud_id=cloud_id, macs=macs, addresses=tuple(f"10.20.9.{number}" for number in range(count)))


def _known(cloud_id: str, count: int) -> list[dict[str, str]]:
    return [
        {"address": f"10.20.{PEERS.index(cloud_id)}.{number}", "mac": f"fa:16:3e:00:00:0{number}"}
        for number in range(count)
    ]


def _peer(cloud_id: str) -> Any:
    return peer(cloud_id, f"198.51.{100 + PEERS.index(cloud_id)}.0/24")


def _peer_of(found: PeerLink) -> str:
    return (found.metadata.namespace or "").removeprefix(names.peer_namespace(""))


TUNNELS = frozenset(
    TunnelPort(
        names.tunnel_port(cloud_id, _gateway(cloud_id, which)["name"]),
        Vxlan(14789),
        TunnelEnds(ADDRESS, _gateway(cloud_id, which)["address"]),
    )
    for cloud_id in PEERS
    for which in (1, 2)
)
"""Tunnels that exist."""
