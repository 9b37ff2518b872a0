"""Applies a node's plan in an order in which no packet ever leaves unprotected.

Additions are made in the order block policies, connections, ports, flows; removals in the reverse order. Each step
compares before it writes, so it is idempotent. A crash after any step leaves a part of the plan missing, never
traffic without protection.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from isthmus.core.node import diff as nodechanges
from isthmus.core.node import flows, ipsec
from isthmus.core.node.plan import NodeInputs, NodePlan, plan_node
from isthmus.core.node.status import NodeFacts
from isthmus.model.actions import Problem
from isthmus.model.errors import ExternalError, NoTunnelAddress, Unavailable
from isthmus.model.names import PROBE_PORT
from isthmus.model.node.flows import FlowTable, FlowView
from isthmus.model.node.ipsec import IkeView, SecurityAssociation
from isthmus.model.node.switch import BridgeView, Ports
from isthmus.model.reasons import Reason

from .backends import Backends
from .protection import Protection

_LOG = logging.getLogger(__name__)


class DataPlane:
    """The data plane of this node: XFRM policies and states, Open vSwitch, charon."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self.protection = Protection(backends.xfrm, backends.firewall)
        self.flows = FlowView({})
        """Flow statistics read by the last `reconcile`."""

    def reconcile(self, inputs: NodeInputs) -> NodeFacts:
        """Observe the node, plan and apply. Raises ExternalError if it cannot be observed; nothing is removed then."""
        backends = self._backends
        host = backends.netlink.view()
        bridge = backends.ovsdb.view()
        foreign = bridge.foreign_tunnel_udp_ports | host.tunnel_udp_ports
        plan = plan_node(inputs, host.addresses, foreign)
        if plan.problem is not None and (inputs.peers or inputs.attachments):
            raise NoTunnelAddress(plan.problem.message)  # remove nothing: the interface may be down briefly
        # Kernel states are read before charon's SAs: a state that charon then does not list is certainly stale.
        associations = self._associations(plan)
        self.protection.extend(plan.blocks, plan.firewall)
        ike, problem = self._load_connections(inputs, plan)
        bridge = self._add_ports(plan, bridge, ike)
        in_place = self._install_flows(plan, bridge)
        bridge = self._remove_ports(plan, bridge)
        if ike is not None:
            for name in nodechanges.connections_to_unload(plan, ike):
                backends.ike.unload(name)
            if stale := ipsec.stale_associations(associations, ike, plan.connections):
                backends.xfrm.remove_associations(stale)
            self.protection.limit(plan.blocks, plan.firewall)
        return self._with_protection(NodeFacts(plan, bridge, ike, in_place, problem=problem, host=host), associations)

    def observe(self, facts: NodeFacts) -> NodeFacts:
        """The facts with addresses, ports, BFD and SAs read again, which is cheap; missing blocks are restored."""
        self.protection.restore()
        associations = self._associations(facts.plan)
        try:
            ike, problem = self._backends.ike.view(), facts.problem
        except ExternalError as error:
            ike, problem = None, _charon_problem(error)
        bridge, host = self._backends.ovsdb.view(), self._backends.netlink.view()
        return self._with_protection(replace(facts, bridge=bridge, ike=ike, problem=problem, host=host), associations)

    def _with_protection(self, facts: NodeFacts, associations: frozenset[SecurityAssociation]) -> NodeFacts:
        """What the kernel has lost of what charon has; `associations` were read before charon's SAs."""
        lost = ipsec.lost_spis(facts.ike, associations, self._backends.xfrm.protect_policies()) if facts.ike else {}
        if lost and facts.ike:  # or negotiated since then
            associations |= self._associations(facts.plan)
            lost = ipsec.lost_spis(facts.ike, associations, self._backends.xfrm.protect_policies())
        return replace(facts, lost=lost, firewall_problem=self.protection.firewall.problem)

    def _associations(self, plan: NodePlan) -> frozenset[SecurityAssociation]:
        """Also those of a tunnel address that the node had before."""
        addresses = {address.address for address in plan.addresses} | {c.remote_address for c in plan.connections}
        return self._backends.xfrm.associations(frozenset(addresses))

    def _load_connections(self, inputs: NodeInputs, plan: NodePlan) -> tuple[IkeView | None, Problem | None]:
        """Load missing connections; return charon's state afterwards.

        If charon is down, existing SAs keep forwarding, since they are in the kernel: nothing is changed.
        """
        try:
            ike = self._backends.ike.view()
            wanted = nodechanges.connections_to_load(plan, ike)
            for connection in wanted:
                key = ipsec.pre_shared_key(inputs.keys[connection.secret_name].content)
                self._backends.ike.load(connection, key)
            return (self._backends.ike.view() if wanted else ike), None
        except ExternalError as error:
            return None, _charon_problem(error)

    def _add_ports(self, plan: NodePlan, bridge: BridgeView, ike: IkeView | None) -> BridgeView:
        wanted = plan.ports != Ports()
        loaded = [c.name for c in plan.connections if ike is not None and ike.loaded.get(c.name) == c.digest]
        missing = nodechanges.ports_to_add(plan, bridge, loaded)
        if not wanted or (bridge.exists and missing == Ports()):
            return bridge
        if not bridge.exists:
            self._backends.ovsdb.ensure_bridge()
        if missing != Ports():
            self._backends.ovsdb.apply(missing, ())
        return self._backends.ovsdb.view()

    def _install_flows(self, plan: NodePlan, bridge: BridgeView) -> bool:
        """Install the flows of the plan; whether they are installed (not if there is no bridge)."""
        if not bridge.exists:
            self.flows = FlowView({})
            return False
        if PROBE_PORT not in bridge.ofport:
            raise Unavailable(f"Open vSwitch has not assigned an OpenFlow port to {PROBE_PORT} yet")
        table: FlowTable = flows.render(plan.networks, bridge.ofport)
        self.flows = self._backends.openflow.view()
        if nodechanges.flows_to_replace(table, self.flows):
            _LOG.info("installing %d flows for %d networks", len(table.flows), len(plan.networks))
            self._backends.openflow.replace(table)
        return True

    def _remove_ports(self, plan: NodePlan, bridge: BridgeView) -> BridgeView:
        unwanted = nodechanges.interfaces_to_remove(plan, bridge)
        if unwanted:
            self._backends.ovsdb.apply(Ports(), unwanted)
        if plan.ports == Ports() and bridge.exists:
            self._backends.ovsdb.remove_bridge()
        elif not unwanted:
            return bridge
        return self._backends.ovsdb.view()


def needs_reconcile(before: NodeFacts, after: NodeFacts) -> bool:
    """Whether the node must be reconciled again: something changed it, charon was replaced, or SAs came up."""
    if before.host != after.host:
        return True
    switch = (before.bridge.exists, before.bridge.ports, before.bridge.ofport)
    if switch != (after.bridge.exists, after.bridge.ports, after.bridge.ofport) or after.bridge.leftovers:
        return True
    if before.ike is None or after.ike is None:
        return before.ike is not after.ike
    if (before.ike.instance, before.ike.loaded) != (after.ike.instance, after.ike.loaded):
        return True
    # Once new SAs are up, states that an earlier charon left in the kernel can be removed.
    return any(ipsec.up(c, after.ike) and not ipsec.up(c, before.ike) for c in before.plan.connections)


def _charon_problem(error: ExternalError) -> Problem:
    return Problem(Reason.CHARON_UNAVAILABLE, str(error)[:1024])
