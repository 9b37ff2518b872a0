"""From what a node is to have and what it has: what to do, in an order that never lets a clear packet out."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.model.names import TUNNEL_PREFIX
from isthmus.model.node.flows import FlowTable, FlowView
from isthmus.model.node.ipsec import BlockPolicy, IkeConnection, IkeView, SecurityAssociation, XfrmView
from isthmus.model.node.pipeline import COOKIE_SHIFT
from isthmus.model.node.switch import BridgeView, Ports

from . import ipsec
from .plan import NodePlan


def blocks_to_add(plan: NodePlan, xfrm: XfrmView) -> frozenset[BlockPolicy]:
    """First of all: nothing unprotected may pass from now on."""
    return plan.blocks - xfrm.blocks


def connections_to_load(plan: NodePlan, ike: IkeView) -> tuple[IkeConnection, ...]:
    """What charon does not have, or has otherwise. A new charon has nothing."""
    return tuple(c for c in plan.connections if ike.loaded.get(c.name) != c.digest)


def ports_to_add(plan: NodePlan, bridge: BridgeView, loaded: Iterable[str]) -> Ports:
    """Tunnel ports only where the connection is loaded, so that its traps are in place."""
    guarded = frozenset(loaded)
    return Ports(
        frozenset(t for t in plan.ports.tunnels - bridge.ports.tunnels if t.name in guarded),
        plan.ports.patches - bridge.ports.patches,
    )


def flows_to_replace(table: FlowTable, flows: FlowView) -> bool:
    """Whether the installed flows are not exactly these. Learned flows are the switch's own."""
    count = flows.count_by_cookie
    ours = {cookie for cookie in count if cookie >> COOKIE_SHIFT == table.cookie >> COOKIE_SHIFT}
    return ours != {table.cookie} or count[table.cookie] != len(table.flows)


def interfaces_to_remove(plan: NodePlan, bridge: BridgeView) -> frozenset[str]:
    """Our interfaces that are in no plan, or do not look as they must."""
    gone = Ports(bridge.ports.tunnels - plan.ports.tunnels, bridge.ports.patches - plan.ports.patches)
    return _interfaces(gone) | bridge.leftovers


def connections_to_unload(plan: NodePlan, ike: IkeView) -> tuple[str, ...]:
    """Connections of ours whose tunnel ports are gone, or whose SAs the peer opened anew while they were going."""
    ours = {name for name in (*ike.loaded, *ike.states) if name.startswith(TUNNEL_PREFIX)}
    return tuple(sorted(ours - {connection.name for connection in plan.connections}))


def stale_associations(plan: NodePlan, xfrm: XfrmView, ike: IkeView) -> frozenset[SecurityAssociation]:
    """States that an earlier charon left between our tunnel addresses and the peers'."""
    return ipsec.stale_associations(xfrm, ike, plan.connections)


def blocks_to_remove(plan: NodePlan, xfrm: XfrmView) -> frozenset[BlockPolicy]:
    """Last of all."""
    return xfrm.blocks - plan.blocks


def _interfaces(ports: Ports) -> frozenset[str]:
    patches = {name for p in ports.patches for name in (p.integration_name, p.cloud_name)}
    return frozenset(patches | {t.name for t in ports.tunnels})
