"""What is known of a node after an observation, and what could not be done to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import DropObservation
from isthmus.model.api.v1alpha1.gatewaynode import GatewayPath
from isthmus.model.names import peer_of_path
from isthmus.model.node.flows import LinkKey, PathKey
from isthmus.model.node.host import NodeView
from isthmus.model.node.ipsec import IkeConnection, IkeView, SecurityAssociation
from isthmus.model.node.switch import BridgeView

from . import ipsec
from .plan import NodePlan


@dataclass(frozen=True)
class Failures:
    """What could not be done in the last reconciliation; everything else was."""

    node: tuple[Problem, ...] = ()
    """What concerns the whole node, or something that is not planned any more."""
    connections: Mapping[str, Problem] = field(default_factory=dict)
    """By name of the connection, which is also that of its tunnel port."""
    networks: Mapping[str, Problem] = field(default_factory=dict)
    """By the network's link name."""

    def __bool__(self) -> bool:
        return bool(self.node or self.connections or self.networks)


@dataclass(frozen=True)
class NodeFacts:
    """What was last observed on the node, and the plan that it was compared with."""

    plan: NodePlan
    bridge: BridgeView
    ike: IkeView | None = None
    """None: charon does not answer."""
    last_ike: IkeView | None = None
    """Charon's last answer while it does not answer: its SAs are in the kernel and keep forwarding."""
    flows_installed: bool = False
    probes: Mapping[PathKey, bool] = field(default_factory=dict)
    """Whether probes of a path are answered; missing until that is decided."""
    direct: Mapping[LinkKey, bool] = field(default_factory=dict)
    """The members with two paths that are sent to directly; all others are through the origin."""
    receiving: frozenset[tuple[str, str]] = frozenset()
    """Links with packets from the peer since their flows were installed; determined while something is not answered."""
    failures: Failures = field(default_factory=Failures)
    charon_problem: Problem | None = None
    """Why charon does not answer."""
    probe_problem: Problem | None = None
    """Why no dataplane probe can be sent; nothing new is known of links then."""
    host: NodeView = field(default_factory=lambda: NodeView(()))
    firewall_problem: Problem | None = None
    """Why the nftables table is not as it must be; the XFRM block policies are in force all the same."""
    lost: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """By connection, the SPIs of children in use whose SAs or policies the kernel does not have."""
    orphaned: frozenset[str] = frozenset()
    """Connections of which charon has nothing and the kernel has SAs, which a killed charon has left."""
    stale: frozenset[SecurityAssociation] = frozenset()
    """States of an earlier charon that are not needed any more: charon has others that are complete."""
    has_former: bool = False
    """The kernel has SAs for tunnels that are not planned any more: their inner ends and fences stay until it has not,
    and are removed then."""
    dropping: Mapping[str, tuple[DropObservation, ...]] = field(default_factory=dict)
    """By the network's link name, what br-cloud drops of it at present."""
    paths: Mapping[str, GatewayPath] = field(default_factory=dict)
    """By connection, what is known of the path to the gateway."""
    carried_by_paths: Mapping[str, int] = field(default_factory=dict)
    """By connection, the largest IP packet of a machine in bytes that crosses to the gateway whole, where known."""
    expiring: Problem | None = None
    """Which of the certificates in use expires soon, or has expired."""
    refused: Mapping[str, Problem] = field(default_factory=dict)
    """By connection that has not come up since, what charon refuses to do for it."""

    @cached_property
    def links_up(self) -> int:
        """The number of links whose probes are answered."""
        return sum(self.probes.values())

    @cached_property
    def answering_peers(self) -> frozenset[str]:
        """Cloud IDs of the peers that answer the probes of any link."""
        found: set[str] = set()
        for (_, path), up in self.probes.items():
            if up and (cloud_id := peer_of_path(path)) is not None and cloud_id not in found:
                found.add(cloud_id)
                if found >= self.plan.gateways.keys():
                    break
        return frozenset(found)

    @cached_property
    def sending_peers(self) -> frozenset[str]:
        """Cloud IDs of the peers from which packets of any network arrive."""
        return frozenset(cloud_id for _, cloud_id in self.receiving)

    @property
    def known_ike(self) -> IkeView | None:
        """What charon has, or had when it last answered."""
        return self.ike or self.last_ike

    def esp_up(self, connection: IkeConnection) -> bool:
        """Whether charon has all SAs of a connection, and the kernel has what charon has."""
        ike = self.known_ike
        return ike is not None and ipsec.up(connection, ike) and connection.name not in self.lost

    def carries(self, name: str) -> bool:
        """Whether a connection that cannot be planned for the moment, and is kept, has all its SAs in the kernel."""
        ike = self.known_ike
        kept = (t for t in self.plan.ports.tunnels if t.name == name and name in self.plan.kept_connections)
        return ike is not None and name not in self.lost and any(ipsec.carries(tunnel, ike) for tunnel in kept)
