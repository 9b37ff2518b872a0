"""Applies a node's plan in an order in which no packet ever leaves unprotected.

Additions are made in the order fences, inner ends, connections, ports, flows; removals in the reverse order. Each step
compares before it writes, so it is idempotent. A crash after any step leaves a part of the plan missing, never
traffic without protection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from isthmus.core.node import diff as nodechanges
from isthmus.core.node import ipsec
from isthmus.core.node.facts import NodeFacts
from isthmus.core.node.plan import NodePlan, NodePlanner
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.errors import NoTunnelAddress
from isthmus.model.names import tunnel_port
from isthmus.model.node.flows import LinkKey, PlannedNetworks
from isthmus.model.node.host import NodeView
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.ipsec import IkeView, SecurityAssociation
from isthmus.model.node.switch import BridgeView

from .attempts import Attempts, Barrier
from .backends import Backends
from .bridge import Bridge
from .clamping import Clamping, left_alone, wanted_clamps
from .flows import FlowSets
from .protection import Protection
from .segmentation import Segmentation
from .tunnels import Tunnels

Choose = Callable[[PlannedNetworks, Mapping[str, Attachment]], Mapping[LinkKey, bool]]
"""From the planned networks and their Attachments."""


class DataPlane:
    """The data plane of this node: XFRM policies and states, Open vSwitch, charon."""

    def __init__(self, backends: Backends, barrier: Barrier, choose: Choose) -> None:
        """`choose` returns which of the members with two paths are to be sent to directly, once it has a plan."""
        self._choose = choose
        self._backends = backends
        self._barrier = barrier
        self._planner = NodePlanner(self._barrier.problem)
        self._tunnels = Tunnels(backends.ike)
        self._bridge = Bridge(backends.ovsdb)
        self.clamping = Clamping(backends.clamping, backends.devices)
        self._segmentation = Segmentation(backends.devices)
        self.protection = Protection(backends.xfrm, backends.firewall)
        self.flows = FlowSets(backends.openflow, backends.ovsdb, backends.clock)
        self.carried_by_paths: Mapping[str, int] = {}
        """By connection, the largest IP packet of a machine in bytes that crosses whole, where that is known."""

    def forget(self) -> None:
        """Plan, render and compare everything the next time, whatever has changed."""
        self._planner = NodePlanner(self._barrier.problem)
        self._bridge.forget()
        self.clamping.forget()
        self.flows.forget()

    def reconcile(self, inputs: NodeInputs) -> NodeFacts:
        """Observe the node, plan and apply; what cannot be done of the plan is a failure in the facts.

        Raises ExternalError if the node cannot be observed; nothing is changed then.
        """
        backends = self._backends
        host, bridge = backends.netlink.view(), backends.ovsdb.view()
        foreign = bridge.foreign_tunnel_udp_ports | host.tunnel_udp_ports
        key_exchanges = self._tunnels.key_exchanges()
        plan = self._planner.plan(inputs, host.addresses, foreign, bridge.ports, key_exchanges)
        if plan.problem is not None and not inputs.is_empty:
            raise NoTunnelAddress(plan.problem.message)  # remove nothing: the interface may be down briefly
        # Kernel states are read before charon's SAs: a state that charon then does not list is certainly stale.
        associations = self._associations(plan)
        attempts = Attempts(self._barrier.problem)
        ready = self._fence(plan, attempts) - self._without_inner_ends(plan, host, attempts)
        ike = self._tunnels.load(plan, inputs, ready, attempts)
        bridge = self._bridge.add(plan, inputs, bridge, ike, attempts)
        clamps = wanted_clamps(plan, bridge, self.carried_by_paths, self._tunnels.last_view)
        self.clamping.follow(clamps, retry=True)
        self._segmentation.follow(clamps, left_alone(plan, bridge))
        self.flows.direct = self._choose(plan.networks, inputs.attachments)
        in_place = self._install_flows(plan, bridge, attempts)
        bridge = self._bridge.remove(plan, bridge, attempts)
        former = ipsec.former_associations(associations, plan.ports.tunnels)
        if ike is not None:
            flows_done = not bridge.exists or (in_place and not self.flows.problems)
            former = self._remove_connections(plan, bridge, host, ike, attempts, former, flows_done)
        host = backends.netlink.view() if plan.inner_ends or host.inner_ends or host.has_inner_leftovers else host
        facts = NodeFacts(plan, bridge, ike, flows_installed=in_place, failures=attempts.failures(), host=host)
        facts = replace(facts, direct=self.flows.direct)
        return replace(self._completed(facts, associations), has_former=bool(former))

    def switch(self, facts: NodeFacts, direct: Mapping[LinkKey, bool]) -> NodeFacts:
        """Send to exactly these members directly, of those with two paths: nothing else changes, and nothing is read.

        Raises ExternalError if the flows could not be changed.
        """
        self.flows.direct = direct
        in_place = self.flows.ensure(facts.plan, self._backends.ovsdb.view())
        return replace(facts, direct=direct, flows_installed=in_place)

    def observe(self, facts: NodeFacts) -> NodeFacts:
        """The facts with addresses, ports, BFD and SAs read again, which is cheap; missing blocks are restored."""
        self.protection.restore()
        associations = self._associations(facts.plan)
        ike = self._tunnels.view()
        bridge, host = self._backends.ovsdb.view(), self._backends.netlink.view()
        clamps = wanted_clamps(facts.plan, bridge, self.carried_by_paths, self._tunnels.last_view)
        self.clamping.follow(clamps)
        self._segmentation.follow(clamps, left_alone(facts.plan, bridge))
        in_place = facts.flows_installed and not self.flows.differ()
        facts = replace(facts, bridge=bridge, ike=ike, flows_installed=in_place, host=host)
        return self._completed(facts, associations)

    def _completed(self, facts: NodeFacts, associations: frozenset[SecurityAssociation]) -> NodeFacts:
        """With charon's and the fences' problems, what the kernel has lost of what charon has, and has beside that.

        `associations` were read before charon's SAs.
        """
        lost = ipsec.lost_spis(facts.ike, associations, self._backends.xfrm.protect_policies()) if facts.ike else {}
        if lost and facts.ike:  # or negotiated since then
            associations |= self._associations(facts.plan)
            lost = ipsec.lost_spis(facts.ike, associations, self._backends.xfrm.protect_policies())
        wanted = facts.plan.connections
        return replace(
            facts,
            lost=lost,
            orphaned=ipsec.orphaned(associations, facts.ike, wanted) if facts.ike else frozenset(),
            stale=ipsec.stale_associations(associations, facts.ike, wanted) if facts.ike else frozenset(),
            has_former=bool(ipsec.former_associations(associations, facts.plan.ports.tunnels)),
            last_ike=self._tunnels.last_view,
            charon_problem=self._tunnels.problem,
            carried_by_paths=self.carried_by_paths,
            firewall_problem=self.protection.firewall.problem,
        )

    def _associations(self, plan: NodePlan) -> frozenset[SecurityAssociation]:
        """Also those of a tunnel address that the node had before."""
        addresses = {address.address for address in plan.addresses} | {c.ends.remote_address for c in plan.connections}
        return self._backends.xfrm.associations(frozenset(addresses))

    def _fence(self, plan: NodePlan, attempts: Attempts) -> frozenset[str]:
        """Install the fences; returns the names of the connections that have theirs, which alone may be loaded."""
        names = frozenset(connection.name for connection in plan.connections)
        try:
            self.protection.extend(plan.blocks, plan.firewall)
        except Exception as error:
            problem = self._barrier.problem(error)
        else:
            return names
        missing = plan.blocks
        with attempts.node():
            missing = nodechanges.blocks_to_add(plan.blocks, self._backends.xfrm.blocks())
        unfenced = {c.name for c in plan.connections if ipsec.blocks_of_connection(c) & missing}
        for name in unfenced:
            attempts.connection_failed(name, problem)
        if not unfenced:
            attempts.failed(problem)
        return names - unfenced

    def _without_inner_ends(self, plan: NodePlan, host: NodeView, attempts: Attempts) -> frozenset[str]:
        """Make missing inner ends; returns the names of the connections that have none, and must not be loaded."""
        missing = plan.inner_ends - host.inner_ends
        if not missing:
            return frozenset()
        try:
            self._backends.inner.ensure_ends(missing)
        except Exception as error:
            problem = self._barrier.problem(error)
        else:
            return frozenset()
        lacking = frozenset(c.name for c in plan.connections if c.tunnel_ends in missing)
        for name in lacking:
            attempts.connection_failed(name, problem)
        return lacking

    def _install_flows(self, plan: NodePlan, bridge: BridgeView, attempts: Attempts) -> bool:
        """Install the flows of the plan; whether they are installed, except those of rejected sets."""
        in_place = False
        with attempts.node():
            in_place = self.flows.ensure(plan, bridge)
        for owner, problem in self.flows.problems.items():
            if owner.kind == "network":
                attempts.network_failed(owner.name, problem)
            for gateway in plan.gateways.get(owner.name, ()) if owner.kind == "peer" else ():
                attempts.connection_failed(tunnel_port(owner.name, gateway.name), problem)
        return in_place

    def _remove_connections(
        self,
        plan: NodePlan,
        bridge: BridgeView,
        host: NodeView,
        ike: IkeView,
        attempts: Attempts,
        former: frozenset[SecurityAssociation],
        flows_done: bool,
    ) -> frozenset[SecurityAssociation]:
        """Remove what is not planned any more, inner ends and fences last: until nothing is left that needs them.

        SAs of former settings do: what a peer still sends by them has to end on this node. So do flows, unless
        `flows_done`: an echo port sends wherever they say. Returns those of the SAs that are left.
        """
        ports_left = self._bridge.unwanted(plan, bridge)
        unneeded = [name for name in nodechanges.connections_to_unload(plan, ike) if name not in ports_left]
        complete = self._tunnels.unload(unneeded, attempts) and not ports_left and flows_done
        complete = complete and not nodechanges.has_outdated(plan, ike)  # to former addresses, which have former fences
        with attempts.node():
            if complete and former:
                if left := ipsec.unknown_associations(former, ike):
                    self._backends.xfrm.remove_associations(left)
                former = ipsec.former_associations(self._associations(plan), plan.ports.tunnels)
            if complete and not former:
                if host.inner_ends - plan.inner_ends or host.has_inner_leftovers:
                    self._backends.inner.remove_ends_except(plan.inner_ends)
                self.protection.limit(plan.blocks, plan.firewall)
        return former


def needs_reconcile(before: NodeFacts, after: NodeFacts) -> bool:
    """Whether the node must be reconciled again: something changed it, or charon was replaced, by one that can do
    other key exchanges even since the plan was made."""
    if before.has_former and not after.has_former:
        return True
    if before.host != after.host or before.flows_installed != after.flows_installed:
        return True
    switch = (before.bridge.exists, before.bridge.ports, before.bridge.ofport)
    if switch != (after.bridge.exists, after.bridge.ports, after.bridge.ofport) or after.bridge.leftovers:
        return True
    if before.ike is None or after.ike is None:
        return before.ike is not after.ike
    if after.ike.key_exchanges != after.plan.key_exchanges:
        return True
    return (before.ike.instance, before.ike.loaded) != (after.ike.instance, after.ike.loaded)
