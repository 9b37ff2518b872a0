"""The differences between a node's plan and its observed state; agent/dataplane.py applies them in order."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from isthmus.model.names import TUNNEL_PREFIX
from isthmus.model.node.ipsec import BlockPolicy, BlockView, IkeConnection, IkeView
from isthmus.model.node.switch import BridgeView, EchoPort, PatchPair, Ports
from isthmus.model.node.tunnel import Gre
from isthmus.model.tracked import differing_members

from .plan import NodePlan


def blocks_to_add(wanted: frozenset[BlockPolicy], view: BlockView) -> frozenset[BlockPolicy]:
    """Added first: from then on nothing unprotected can leave."""
    return wanted - (view.blocks - view.outdated)


def connections_to_load(
    plan: NodePlan, ike: IkeView, without_secrets: AbstractSet[str] = frozenset()
) -> tuple[IkeConnection, ...]:
    """Connections that charon does not have as planned, or lacks the keys of; a restarted charon has none."""
    return tuple(c for c in plan.connections if ike.loaded.get(c.name) != c.digest or c.name in without_secrets)


def connections_to_unload(plan: NodePlan, ike: IkeView) -> tuple[str, ...]:
    """Our connections that are not planned, also if only SAs are left: a peer may initiate during the removal."""
    ours = {name for name in (*ike.loaded, *ike.states) if name.startswith(TUNNEL_PREFIX)}
    return tuple(sorted(ours - {connection.name for connection in plan.connections} - plan.kept_connections))


def has_outdated(plan: NodePlan, ike: IkeView) -> bool:
    """Whether charon has a connection of the plan with former settings, since the new ones could not be loaded."""
    return any(ike.loaded.get(c.name, c.digest) != c.digest for c in plan.connections)


def blocks_to_remove(wanted: frozenset[BlockPolicy], view: BlockView) -> frozenset[BlockPolicy]:
    """Removed last."""
    return view.blocks - wanted


class PortComparison:
    """Which ports are missing and which are unwanted; of patches it looks at those that changed since the last time."""

    def __init__(self) -> None:
        self._planned: AbstractSet[PatchPair] = frozenset()
        self._existing: AbstractSet[PatchPair] = frozenset()
        self._differing: set[PatchPair] = set()

    def missing(self, plan: NodePlan, bridge: BridgeView, loaded: Iterable[str]) -> Ports:
        """Ports to add; tunnel ports only if their connection is in `loaded`, so that trap policies are installed."""
        loaded_names = frozenset(loaded)
        usable = {t.encapsulation for t in plan.ports.tunnels if t.name in loaded_names or t in bridge.ports.tunnels}
        return Ports(
            frozenset(t for t in plan.ports.tunnels - bridge.ports.tunnels if t.name in loaded_names),
            frozenset(patch for patch in self._differences(plan, bridge) if patch in plan.ports.patches),
            frozenset(e for e in _echoes(plan, bridge) - bridge.ports.echoes if e.encapsulation in usable),
        )

    def unwanted(self, plan: NodePlan, bridge: BridgeView) -> frozenset[str]:
        """Our interfaces that are not planned, or are configured differently."""
        patches = frozenset(patch for patch in self._differences(plan, bridge) if patch in bridge.ports.patches)
        tunnels, echoes = bridge.ports.tunnels - plan.ports.tunnels, bridge.ports.echoes - _echoes(plan, bridge)
        return bridge.leftovers | _interfaces(Ports(tunnels, patches, echoes))

    def _differences(self, plan: NodePlan, bridge: BridgeView) -> AbstractSet[PatchPair]:
        planned, existing = plan.ports.patches, bridge.ports.patches
        for patch in {*differing_members(self._planned, planned), *differing_members(self._existing, existing)}:
            if (patch in planned) != (patch in existing):
                self._differing.add(patch)
            else:
                self._differing.discard(patch)
        self._planned, self._existing = planned, existing
        return self._differing


def _echoes(plan: NodePlan, bridge: BridgeView) -> frozenset[EchoPort]:
    """Those that get in nobody's way: of two GRE ports for any ends, on whichever bridges, Open vSwitch refuses one."""
    return frozenset(e for e in plan.ports.echoes if not (bridge.gre_is_shared and isinstance(e.encapsulation, Gre)))


def _interfaces(ports: Ports) -> frozenset[str]:
    patches = {name for p in ports.patches for name in (p.integration_name, p.cloud_name)}
    return frozenset(patches | {port.name for port in ports.encapsulating})
