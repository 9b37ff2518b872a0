"""What an agent reports: its GatewayNode's status, and its node's entry in the status of each Attachment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Literal

from isthmus.core.snapshot.conditions import false, readiness, true, true_unless, with_transition_times
from isthmus.core.snapshot.summary import ratio
from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.attachment import Attachment, LinkObservation, NodeObservation
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.api.v1alpha1.gatewaynode import (
    GatewayConnection,
    GatewayNode,
    GatewayNodeStatus,
    Software,
    TunnelAddress,
)
from isthmus.model.names import IPSEC_NAMESPACE, tunnel_port
from isthmus.model.node.host import NodeView
from isthmus.model.node.ipsec import IkeConnection, IkeView
from isthmus.model.node.switch import BridgeView
from isthmus.model.reasons import ConditionType, Reason

from . import ipsec
from .plan import NodePlan

_OF_READINESS = frozenset({ConditionType.READY, ConditionType.PROGRESSING, ConditionType.STALLED})
_ADDRESS_IN_USE = "Address already in use"  # strerror(EADDRINUSE), which Open vSwitch quotes
_LOST = "the kernel has lost SAs or policies that charon lists as installed; they are being negotiated again"


@dataclass(frozen=True)
class NodeFacts:
    """What was last observed on the node, and the plan that it was compared with."""

    plan: NodePlan
    bridge: BridgeView
    ike: IkeView | None = None
    """None: charon does not answer."""
    flows_installed: bool = False
    probes: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    """Whether probes of a link are answered, by link name and the peer's cloud ID; missing until that is decided."""
    problem: Problem | None = None
    """Why the plan could not be applied completely."""
    host: NodeView = field(default_factory=lambda: NodeView(()))
    firewall_problem: Problem | None = None
    """Why the nftables table is not as it must be; the XFRM block policies are in force all the same."""
    lost: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """By connection, the SPIs of children in use whose SAs or policies the kernel does not have."""

    def esp_up(self, connection: IkeConnection) -> bool:
        """Whether charon has all SAs of a connection, and the kernel has what charon has."""
        return self.ike is not None and ipsec.up(connection, self.ike) and connection.name not in self.lost


def gateway_node_status(node: GatewayNode, facts: NodeFacts, software: Software, now: datetime) -> GatewayNodeStatus:
    """The complete status of this node's GatewayNode."""
    generation = node.metadata.generation
    conditions = (*readiness(facts.plan.problem or facts.problem), _peers(facts), _fenced(facts))
    reported = tuple(connections(facts))
    addresses = tuple(TunnelAddress(address=a.address, mtu=a.mtu) for a in facts.plan.addresses)
    return GatewayNodeStatus(
        observed_generation=generation,
        conditions=with_transition_times(node.status.conditions, conditions, generation, now),
        addresses=addresses,
        neutron_host=facts.bridge.hostname,
        software=software,
        peers_up=ratio(_peers_up(reported)),
        connections=reported,
    )


def failed_observation_status(node: GatewayNode, problem: Problem, now: datetime) -> GatewayNodeStatus:
    """The status after a failed observation: only Ready changes; the rest keeps its last known value."""
    previous, generation = node.status, node.metadata.generation
    others = (c for c in previous.conditions if c.type not in _OF_READINESS)
    new = (*readiness(problem), *others)
    conditions = with_transition_times(previous.conditions, new, generation, now)
    return previous.model_copy(update={"observed_generation": generation, "conditions": conditions})


def observation(attachment: Attachment, node: str, facts: NodeFacts) -> NodeObservation | None:
    """This node's entry in the Attachment's status; None if the Attachment has no port on this node."""
    port = next((port for port in attachment.spec.ports if port.node == node), None)
    if port is None:
        return None
    network = next((n for n in facts.plan.networks if n.name == attachment.metadata.name), None)
    patched = port.port_id in {p.neutron_port_id for p in facts.bridge.ports.patches}
    return NodeObservation(
        node=node,
        observed_generation=attachment.metadata.generation or 0,
        plugged=patched and (network is None or facts.flows_installed),
        links=tuple(links(attachment, node, facts)) if network else (),
    )


def links(attachment: Attachment, node: str, facts: NodeFacts) -> Iterator[LinkObservation]:
    """The attachment's links as this node observes them; a link that no probe has decided yet keeps its entry."""
    previous = {k.cloud_id: k for entry in attachment.status.nodes if entry.node == node for k in entry.links}
    for link in attachment.spec.links:
        key = (attachment.metadata.name, link.cloud_id)
        problem = facts.plan.link_problems.get(key)
        probe = facts.probes.get(key)
        if problem is None and probe is None and link.cloud_id in previous:
            yield previous[link.cloud_id]
            continue
        if problem is None and not probe:
            problem = Problem(
                Reason.PROBE_UNANSWERED, f"dataplane probes are not answered by gateway {link.gateway.name}"
            )
        yield LinkObservation(
            cloud_id=link.cloud_id,
            up=problem is None,
            reason=problem.reason if problem else Reason.PROBE_ANSWERED,
            message=problem.message if problem else "",
        )


def _fenced(facts: NodeFacts) -> Condition:
    """Whether unprotected tunnel traffic meets two fences; the node works with one."""
    return true_unless(ConditionType.FENCED, facts.firewall_problem, good=Reason.BOTH_FENCES)


def _peers(facts: NodeFacts) -> Condition:
    """Whether the tunnels of every CloudPeer could be planned; a missing key is reported here."""
    problems = sorted(facts.plan.peer_problems.items())
    if not problems:
        return true(ConditionType.PEERS_CONFIGURED, Reason.CONFIGURED)
    text = "; ".join(f"{cloud_id}: {problem.message}" for cloud_id, problem in problems)
    return false(ConditionType.PEERS_CONFIGURED, problems[0][1].reason, text)


def connections(facts: NodeFacts) -> Iterator[GatewayConnection]:
    """The connections to all gateways of all peers, in the order of cloud IDs."""
    planned = {connection.name: connection for connection in facts.plan.connections}
    for cloud_id, gateways in sorted(facts.plan.gateways.items()):
        for gateway in gateways:
            connection = planned.get(tunnel_port(cloud_id, gateway.name))
            problem = facts.plan.peer_problems.get(cloud_id)
            yield _connection(cloud_id, gateway, connection, problem, facts)


def _peers_up(reported: Iterable[GatewayConnection]) -> Iterator[bool]:
    """For each peer, whether every connection to it is up."""
    for _, group in groupby(reported, key=lambda connection: connection.cloud_id):
        yield all(connection.up for connection in group)


def _connection(
    cloud_id: str,
    gateway: PeerGateway,
    connection: IkeConnection | None,
    problem: Problem | None,
    facts: NodeFacts,
) -> GatewayConnection:
    name = tunnel_port(cloud_id, gateway.name)
    ike, esp = _ike_state(name, connection, facts)
    bfd = _bfd_state(name, facts.bridge)
    problem = (
        problem
        or _authentication_problem(connection, esp, facts.ike)
        or _tunnel_port_problem(name, connection, facts.bridge)
        or _connection_problem(ike, esp, bfd, lost=name in facts.lost)
    )
    return GatewayConnection(
        cloud_id=cloud_id,
        gateway=gateway.name,
        address=gateway.address,
        up=problem is None,
        ike=ike,
        esp=esp,
        bfd=bfd,
        reason=problem.reason if problem else Reason.UP,
        message=problem.message if problem else "",
    )


def _ike_state(
    name: str, connection: IkeConnection | None, facts: NodeFacts
) -> tuple[Literal["Established", "Connecting", "Down"], Literal["Installed", "Missing"]]:
    if connection is None or facts.ike is None or name not in facts.ike.loaded:
        return "Down", "Missing"
    state = facts.ike.states.get(name)
    established = state is not None and state.established
    return "Established" if established else "Connecting", "Installed" if facts.esp_up(connection) else "Missing"


def _bfd_state(name: str, bridge: BridgeView) -> Literal["Up", "Down", "Unknown"]:
    if name not in bridge.bfd_up:
        return "Unknown"
    return "Up" if bridge.bfd_up[name] else "Down"


def _authentication_problem(connection: IkeConnection | None, esp: str, ike: IkeView | None) -> Problem | None:
    if connection is None or ike is None or connection.name not in ike.authentication_failed or esp == "Installed":
        return None
    # A responder answers with one and the same notification to a wrong key, an identity that it does not expect and a
    # peer that it has no connection for (RFC 7296, 2.21.2).
    text = (
        "a gateway rejected the other's IKE authentication: the pre-shared keys differ (here Secret "
        f"{IPSEC_NAMESPACE}/{connection.secret_name}), or the identities do (ours is {connection.local_identity}, we "
        f"expect {connection.remote_identity}), or the peer's gateway has not loaded a connection for us yet"
    )
    return Problem(Reason.AUTHENTICATION_FAILED, text)


def _tunnel_port_problem(name: str, connection: IkeConnection | None, bridge: BridgeView) -> Problem | None:
    error = bridge.errors.get(name)
    if error is None:
        return None
    if connection is not None and _ADDRESS_IN_USE in error:
        text = (
            f"UDP port {connection.udp_port} is in use by another process on this node, so that Open vSwitch cannot "
            f"receive tunnel packets on {connection.local_address}: {error}"
        )
        return Problem(Reason.TUNNEL_PORT_IN_USE, text[:1024])
    return Problem(Reason.TUNNEL_PORT_FAILED, f"Open vSwitch cannot create tunnel port {name}: {error}"[:1024])


def _connection_problem(ike: str, esp: str, bfd: str, *, lost: bool) -> Problem | None:
    if ike != "Established":
        return Problem(Reason.IKE_NOT_ESTABLISHED, "the gateways have not established an IKE SA")
    if lost:
        return Problem(Reason.SAS_MISSING_IN_KERNEL, _LOST)
    if esp != "Installed":
        return Problem(Reason.ESP_NOT_INSTALLED, "the IKE SA lacks ESP SAs")
    if bfd != "Up":
        return Problem(Reason.BFD_DOWN, "the SAs are up, but the peer's gateway does not answer BFD through the tunnel")
    return None
