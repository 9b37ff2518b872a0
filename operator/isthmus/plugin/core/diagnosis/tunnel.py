"""Layers underlay to bfd, and mtu, of each connection from a gateway node of ours to one of the peer's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from isthmus.model.reasons import Reason

from ..resources import Connection, Node
from .catalogue import ROWS, Code
from .evidence import esp_on_the_wire, with_what_is_in_force
from .installation import hidden_layers
from .layers import Layer
from .subject import Subject
from .verdicts import Blocked, Fault, Fine, Undecided, Unread, Verdict

Check = Callable[[Connection], Verdict]

_NOT_PLANNED: Final = frozenset(
    {
        Reason.ADDRESS_FAMILIES_DIFFER,
        Reason.ENCAPSULATION_NEEDS_IPV4,
        Reason.INNER_ENDS_COLLIDE,
        Reason.NOBODY_REACHABLE,
        Reason.TRANSPORT_THROUGH_NAT,
        Reason.KEY_NOT_FOUND,
        Reason.INVALID_KEY,
        Reason.HYBRID_NOT_SUPPORTED,
        Reason.CERTIFICATE_NOT_FOUND,
        Reason.INVALID_CERTIFICATE,
        Reason.CERTIFICATE_KEY_DIFFERS,
        Reason.CERTIFICATE_CHAIN_TOO_LONG,
    }
)
"""Why an agent gives charon no connection."""
_KNOWN_ALIVE: Final = frozenset({Reason.AUTHENTICATION_FAILED, Reason.CERTIFICATE_REVOKED, Reason.SELECTORS_NARROWED})


def layer_verdicts(subject: Subject, layer: Layer) -> Iterator[Verdict]:
    """The verdict on each connection to the peer."""
    if (cause := subject.readings.unread.get("gatewaynodes")) is not None:
        yield Unread(cause)
    connections = list(_connections(subject))
    every = [connection.in_force for _, connection in connections]
    for node, connection in connections:
        yield with_what_is_in_force(_judged(subject, node, connection)[layer], layer, connection.in_force, every)
    if not connections and subject.readings.cloud.nodes and layer is Layer.UNDERLAY:
        yield from _without_connections(subject)


def _without_connections(subject: Subject) -> Iterator[Verdict]:
    if all(Layer.UNDERLAY in hidden_layers(node, subject.readings) for node in subject.readings.cloud.nodes):
        yield Blocked(Layer.INSTALLATION)
    elif subject.peer is not None and not subject.peer.gateways:
        yield Fault(Reason.PEER_HAS_NO_GATEWAY, Layer.UNDERLAY, "the peer publishes no gateway")
    elif subject.peer is not None:
        yield Undecided("no gateway node of ours has a connection yet")


def blocking_layer(subject: Subject, node_name: str, gateway: str) -> Layer | None:
    """The layer for which nothing can pass between a node of ours and a gateway of the peer."""
    for node, connection in _connections(subject):
        if (node.name, connection.gateway) == (node_name, gateway):
            verdicts = _judged(subject, node, connection)
            return next((layer for layer in CHECKS if _stops(verdicts[layer])), None)
    return None if subject.readings.unread.get("gatewaynodes") else Layer.UNDERLAY


def _connections(subject: Subject) -> Iterator[tuple[Node, Connection]]:
    for node in subject.readings.cloud.nodes:
        for connection in node.connections:
            if connection.cloud_id == subject.cloud_id:
                yield node, connection


def _judged(subject: Subject, node: Node, connection: Connection) -> dict[Layer, Verdict]:
    """All layers of one connection: what fails in one of them is not blamed on the next."""
    hidden, verdicts = hidden_layers(node, subject.readings), dict[Layer, Verdict]()
    blocking: Layer | None = None
    for layer, check in CHECKS.items():
        verdict = Blocked(Layer.INSTALLATION) if layer in hidden else _checked(connection, check)
        if blocking is not None and not isinstance(verdict, Fine):
            verdict = Blocked(blocking)
        elif _stops(verdict):
            blocking = layer
        verdicts[layer] = _labelled(node, connection, verdict)
    return verdicts


def _checked(connection: Connection, check: Check) -> Verdict:
    """The verdict, unless there is no connection because of the agreement."""
    row = ROWS.get(connection.reason)
    if row is not None and row.layer is Layer.AGREEMENT and not connection.is_up:
        return Blocked(Layer.AGREEMENT)
    return check(connection)


def _stops(verdict: Verdict) -> bool:
    return not isinstance(verdict, Fine)


def _labelled(node: Node, connection: Connection, verdict: Verdict) -> Verdict:
    if isinstance(verdict, Fault):
        label = f"{node.name} to {connection.gateway} ({connection.address})"
        return Fault(verdict.code, verdict.layer, f"{label}: {verdict.evidence}")
    return verdict


def _underlay(connection: Connection) -> Verdict:
    path = connection.path
    if connection.ike == "Established" or path.ike or path.esp or connection.reason in _KNOWN_ALIVE:
        return Fine("packets of the peer's gateway arrive")
    if path.ping:
        return Fine("the peer's gateway answers ICMP echo")
    if path.ping is False:
        text = "it answers neither IKE nor ICMP echo"
        return Fault(Code.PEER_GATEWAY_UNREACHABLE, Layer.UNDERLAY, text)
    if _is_local(connection):
        return Fine("not tried: nothing is sent")
    if not path.is_reported:
        return Fine("not known: the agent's release does not report it")
    return Undecided("it is not known yet if the peer's gateway answers ICMP echo")


def _ike(connection: Connection) -> Verdict:
    """An earlier SA may still be there while the other side refuses a new key."""
    if connection.reason in (Reason.AUTHENTICATION_FAILED, Reason.CERTIFICATE_REVOKED) or _is_not_planned(connection):
        return Fault(connection.reason, Layer.IKE, connection.message)
    if connection.ike == "Established":
        return Fine("IKE SAs are established")
    if _is_local(connection) or not connection.path.is_reported:
        return Fault(connection.reason, Layer.IKE, connection.message)
    if connection.path.ike is False:
        return Fault(Code.IKE_NOT_RECEIVED, Layer.IKE, "no IKE packet arrives, although ICMP echo is answered")
    if connection.path.ike:
        return Fault(Code.IKE_NOT_COMPLETED, Layer.IKE, "IKE packets arrive, and no IKE SA comes of them")
    return Undecided("there has been no IKE SA for a few seconds")


def _is_local(connection: Connection) -> bool:
    """Whether something of this cloud prevents the connection."""
    other = connection.reason in (Reason.INVALID, Reason.CONFLICT, Reason.FORBIDDEN, Reason.INTERNAL_ERROR)
    return connection.ike != "Established" and (_is_not_planned(connection) or other)


def _is_not_planned(connection: Connection) -> bool:
    """Whether its agent gives charon no such connection. What stood before may still be there, and carry traffic."""
    row = ROWS.get(connection.reason)
    return row is not None and row.layer is Layer.IKE and row.code in _NOT_PLANNED


def _esp(connection: Connection) -> Verdict:
    if connection.esp == "Installed" and connection.reason != Reason.SAS_MISSING_IN_KERNEL:
        return Fine("all ESP SAs are installed")
    return Fault(connection.reason, Layer.ESP, connection.message)


def _esp_passes(connection: Connection) -> Verdict:
    path = connection.path
    if connection.bfd == "Up":
        return Fine("ESP passes in both directions")
    if path.esp is False:
        text = f"the SAs are installed, and no ESP packet arrives{esp_on_the_wire(connection.in_force)}"
        return Fault(Code.ESP_NOT_RECEIVED, Layer.ESP_PASSES, text)
    if path.esp and path.peer_receives is False:
        wire = esp_on_the_wire(connection.in_force)
        text = f"ESP arrives, and the peer's gateway reports by BFD that it receives nothing{wire}"
        return Fault(Code.ESP_NOT_RECEIVED_BY_PEER, Layer.ESP_PASSES, text)
    if path.esp:
        return Fine("ESP arrives")
    return Undecided("it is not known yet if ESP arrives")


def _bfd(connection: Connection) -> Verdict:
    if connection.bfd == "Up":
        return Fine("BFD is up")
    row = ROWS.get(connection.reason)
    is_known = row is not None and row.layer is Layer.BFD
    return Fault(connection.reason if is_known else Reason.BFD_DOWN, Layer.BFD, connection.message)


CHECKS: Final[Mapping[Layer, Check]] = MappingProxyType(
    {
        Layer.UNDERLAY: _underlay,
        Layer.IKE: _ike,
        Layer.ESP: _esp,
        Layer.ESP_PASSES: _esp_passes,
        Layer.BFD: _bfd,
    }
)
"""In order."""


def mtu(subject: Subject) -> Iterator[Verdict]:
    """Frames of full size on each connection; nothing is known of one without a network."""
    if (cause := subject.readings.unread.get("gatewaynodes")) is not None:
        yield Unread(cause)
    for node, connection in _connections(subject):
        path = connection.path
        if Layer.MTU in hidden_layers(node, subject.readings):
            yield Blocked(Layer.INSTALLATION)
        elif path.full_size:
            carried = f", and up to {path.carried_mtu} bytes cross whole" if path.carried_mtu is not None else ""
            yield Fine(f"frames of {path.mtu} bytes come back{carried}")
        elif path.full_size is False:
            text = f"frames of {path.mtu} bytes are not reflected, short ones are"
            yield _labelled(node, connection, Fault(Code.LONG_FRAMES_LOST, Layer.MTU, text))
