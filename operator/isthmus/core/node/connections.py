"""The state of the connections to all gateways of all peers, as a GatewayNode reports it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection
from isthmus.model.names import IPSEC_NAMESPACE, REVOCATION_KEY, tunnel_port
from isthmus.model.node.ipsec import CertificateRef, IkeConnection, IkeView
from isthmus.model.node.switch import BridgeView
from isthmus.model.reasons import Reason

from . import inforce
from .facts import NodeFacts

_ADDRESS_IN_USE = "Address already in use"  # strerror(EADDRINUSE), which Open vSwitch quotes
_LOST = "the kernel has lost SAs or policies that charon lists as installed; they are being negotiated again"


def connections(facts: NodeFacts) -> Iterator[GatewayConnection]:
    """The connections to all gateways of all peers, in the order of cloud IDs."""
    planned = {connection.name: connection for connection in facts.plan.connections}
    for cloud_id, gateways in sorted(facts.plan.gateways.items()):
        for gateway in gateways:
            yield _connection(cloud_id, gateway, planned.get(tunnel_port(cloud_id, gateway.name)), facts)


def _connection(
    cloud_id: str, gateway: PeerGateway, connection: IkeConnection | None, facts: NodeFacts
) -> GatewayConnection:
    name = tunnel_port(cloud_id, gateway.name)
    ike, esp = _ike_state(name, connection, facts)
    bfd = _bfd_state(name, facts.bridge)
    problem = of_plan = facts.plan.peer_problems.get(cloud_id) or facts.plan.connection_problems.get(name)
    down = _connection_problem(ike, esp, bfd, cloud_id, facts, lost=name in facts.lost)
    if problem is None and down is not None:
        problem = _cause(name, connection, esp, facts) or down
    return GatewayConnection(
        cloud_id=cloud_id,
        gateway=gateway.name,
        address=connection.ends.remote_address if connection is not None else gateway.address,
        up=down is None and (of_plan is None or facts.carries(name)),
        ike=ike,
        esp=esp,
        bfd=bfd,
        reason=problem.reason if problem else Reason.UP,
        message=problem.message if problem else "",
        key_exchange=_key_exchange(name, facts.known_ike),
        encapsulation=inforce.encapsulation_of(name, connection, facts),
        in_force=inforce.status_of(name, facts.known_ike),
        carried_mtu=facts.carried_by_paths.get(name),
        path=facts.paths.get(name),
    )


def _cause(name: str, connection: IkeConnection | None, esp: str, facts: NodeFacts) -> Problem | None:
    """Why a connection is down, if more is known than which part of it is."""
    return (
        facts.failures.connections.get(name)
        or facts.refused.get(name)
        or facts.charon_problem
        or _selectors_problem(name, facts.ike)
        or _revocation_problem(connection, facts.ike)
        or _authentication_problem(connection, esp, facts.ike)
        or _tunnel_port_problem(name, connection, facts.bridge)
    )


def _ike_state(
    name: str, connection: IkeConnection | None, facts: NodeFacts
) -> tuple[Literal["Established", "Connecting", "Down"], Literal["Installed", "Missing"]]:
    ike = facts.known_ike
    is_known = connection is not None or name in facts.plan.kept_connections
    if not is_known or ike is None or name not in ike.loaded:
        return "Down", "Missing"
    state = ike.states.get(name)
    established = state is not None and state.established
    installed = facts.esp_up(connection) if connection is not None else facts.carries(name)
    return "Established" if established else "Connecting", "Installed" if installed else "Missing"


def _key_exchange(name: str, ike: IkeView | None) -> str | None:
    state = ike.states.get(name) if ike is not None else None
    return state.key_exchange[:64] or None if state is not None else None


def _bfd_state(name: str, bridge: BridgeView) -> Literal["Up", "Down", "Unknown"]:
    if name not in bridge.bfd_up:
        return "Unknown"
    return "Up" if bridge.bfd_up[name] else "Down"


def _selectors_problem(name: str, ike: IkeView | None) -> Problem | None:
    state = ike.states.get(name) if ike is not None else None
    if state is None or not state.narrowed:
        return None
    found = (
        f"{child.name} protects {child.negotiated} instead of {child.configured}"
        for child in sorted(state.narrowed, key=lambda child: child.name)
    )
    text = "the peer has narrowed the traffic selectors of ESP children, and all other packets are dropped: "
    return Problem(Reason.SELECTORS_NARROWED, (text + "; ".join(found))[:1024])


def _revocation_problem(connection: IkeConnection | None, ike: IkeView | None) -> Problem | None:
    if connection is None or ike is None or connection.name not in ike.revoked:
        return None
    secret = f"{IPSEC_NAMESPACE}/{connection.credential.secret_name}"
    text = f"the certificate of {connection.ends.remote_identity} is on a revocation list in {REVOCATION_KEY} of Secret"
    return Problem(Reason.CERTIFICATE_REVOKED, f"{text} {secret}: its SAs were ended")


def _authentication_problem(connection: IkeConnection | None, esp: str, ike: IkeView | None) -> Problem | None:
    if connection is None or ike is None or connection.name not in ike.authentication_failed or esp == "Installed":
        return None
    ends = connection.ends
    secret = f"{IPSEC_NAMESPACE}/{connection.credential.secret_name}"
    keys = f"the pre-shared keys differ (here Secret {secret}), or the identities do"
    if isinstance(connection.credential, CertificateRef):
        keys = f"a certificate is not accepted (here Secret {secret}; charon's log says why), or the identities differ"
    # A responder answers with one and the same notification to a wrong key, an identity that it does not expect and a
    # peer that it has no connection for (RFC 7296, 2.21.2).
    text = (
        f"a gateway rejected the other's IKE authentication: {keys} (ours is "
        f"{ends.local_identity}, we expect {ends.remote_identity}), or the peer's gateway has not loaded a connection "
        "for us yet"
    )
    return Problem(Reason.AUTHENTICATION_FAILED, text)


def _tunnel_port_problem(name: str, connection: IkeConnection | None, bridge: BridgeView) -> Problem | None:
    error = bridge.errors.get(name)
    if error is None:
        return None
    ports = connection.protection.encapsulation.udp_ports if connection is not None else ()
    if connection is not None and ports and _ADDRESS_IN_USE in error:
        text = (
            f"UDP port {', '.join(map(str, sorted(ports)))} is in use by another process on this node, so that Open "
            f"vSwitch cannot receive tunnel packets on {connection.tunnel_ends.local}: {error}"
        )
        return Problem(Reason.TUNNEL_PORT_IN_USE, text[:1024])
    return Problem(Reason.TUNNEL_PORT_FAILED, f"Open vSwitch cannot create tunnel port {name}: {error}"[:1024])


def _arrives(cloud_id: str, facts: NodeFacts) -> str:
    """What arrives from the peer all the same."""
    if cloud_id in facts.answering_peers:
        return ", although dataplane probes are answered"
    if cloud_id in facts.sending_peers:
        return ", although packets of networks arrive from the peer"
    return ""


def _connection_problem(ike: str, esp: str, bfd: str, cloud_id: str, facts: NodeFacts, *, lost: bool) -> Problem | None:
    if ike != "Established":
        return Problem(Reason.IKE_NOT_ESTABLISHED, "the gateways have not established an IKE SA")
    if lost:
        return Problem(Reason.SAS_MISSING_IN_KERNEL, _LOST)
    if esp != "Installed":
        return Problem(Reason.ESP_NOT_INSTALLED, "the IKE SA lacks ESP SAs")
    if bfd != "Up":
        arrives = _arrives(cloud_id, facts)
        text = f"the SAs are up, but the peer's gateway does not answer BFD through the tunnel{arrives}"
        return Problem(Reason.BFD_DOWN, text)
    return None
