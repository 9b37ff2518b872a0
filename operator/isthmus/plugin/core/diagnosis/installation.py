"""Layer installation: the processes of this cloud, and which layers cannot be judged by what they have reported."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.model.names import CONTROLLER, agent_lease
from isthmus.model.reasons import Reason

from ..leases import Lease, duration, is_current
from ..resources import Node
from .catalogue import Code
from .layers import Layer
from .subject import Readings
from .verdicts import Fault, Fine, Unread, Verdict

_OF_CHARON = frozenset({Layer.UNDERLAY, Layer.IKE, Layer.ESP, Layer.ESP_PASSES})
_OF_SWITCH = frozenset({Layer.ESP_PASSES, Layer.BFD, Layer.ECHO, Layer.MTU})
_OF_AGENT = _OF_CHARON | _OF_SWITCH
_OF_NODE = frozenset({Reason.UNAVAILABLE, Reason.CONFLICT, Reason.FORBIDDEN, Reason.INVALID, Reason.INTERNAL_ERROR})


def installation(readings: Readings) -> Iterator[Verdict]:
    """The controller, and every gateway node."""
    if readings.processes is None:
        yield Unread(readings.unread.get("leases", ""))
    else:
        yield _controller(readings.processes.get(CONTROLLER))
    if (cause := readings.unread.get("gatewaynodes")) is not None:
        yield Unread(cause)
    elif not readings.cloud.nodes:
        yield Fault(Reason.NO_GATEWAY_NODE, Layer.INSTALLATION, "this cloud has no GatewayNode")
    for node in readings.cloud.nodes:
        yield _node(node, readings)


def has_controller(readings: Readings) -> bool:
    """Whether what the controller has reported is current, as far as that is known."""
    return _runs(CONTROLLER, readings)


def hidden_layers(node: Node, readings: Readings) -> frozenset[Layer]:
    """Layers that cannot be judged by what this node reports now."""
    if not _has_agent(node, readings):
        return _OF_AGENT
    reason = _problem(node)
    if reason == Reason.CHARON_UNAVAILABLE:
        return _OF_CHARON
    if reason == Reason.MISSING_CAPABILITY:
        return frozenset({Layer.UNDERLAY, Layer.ECHO, Layer.MTU})
    return _OF_SWITCH if reason else frozenset()


def node_fault(node: Node, readings: Readings) -> Fault | None:
    """What is wrong with a gateway node as a whole."""
    verdict = _node(node, readings)
    return verdict if isinstance(verdict, Fault) else None


def _controller(lease: Lease | None) -> Verdict:
    if not is_current(lease):
        return Fault(Code.CONTROLLER_NOT_ACTIVE, Layer.INSTALLATION, f"Lease {CONTROLLER}: {_age(lease)}")
    return Fine(f"controller active {lease.age_seconds} s ago")


def _age(lease: Lease | None) -> str:
    if lease is None:
        return "it does not exist"
    if not lease.holder or lease.age_seconds is None:
        return "nobody holds it"
    return f"renewed {duration(lease.age_seconds)} ago by this computer's clock"


def _has_agent(node: Node, readings: Readings) -> bool:
    return _runs(agent_lease(node.name), readings)


def _runs(lease: str, readings: Readings) -> bool:
    return readings.processes is None or is_current(readings.processes.get(lease))


def _node(node: Node, readings: Readings) -> Verdict:
    if not _has_agent(node, readings):
        lease = (readings.processes or {}).get(agent_lease(node.name))
        text = f"{node.name}: Lease {agent_lease(node.name)}: {_age(lease)}"
        return Fault(Code.AGENT_NOT_RUNNING, Layer.INSTALLATION, text)
    if not (reason := _problem(node)):
        return Fine(f"{node.name}: agent, charon and Open vSwitch answer")
    code = Code.GATEWAY_NODE_UNAVAILABLE if reason in _OF_NODE else reason
    return Fault(code, Layer.INSTALLATION, f"{node.name}: {_message(node)}")


def _problem(node: Node) -> str:
    """Reason for which the node as a whole does not work; empty if it does. What one peer lacks does not count."""
    degraded = node.condition("Degraded")
    reason = degraded.reason if degraded and degraded.status == "True" else ""
    if reason in (Reason.CHARON_UNAVAILABLE, Reason.MISSING_CAPABILITY):
        return reason
    if node.is_ready:
        return reason if reason in _OF_NODE and not _is_of_part(degraded.message if degraded else "") else ""
    return node.ready.reason or Reason.UNAVAILABLE


def _message(node: Node) -> str:
    degraded = node.condition("Degraded")
    is_degraded = degraded is not None and degraded.status == "True"
    return degraded.message if degraded and is_degraded else node.ready.message or "it has not reported anything"


def _is_of_part(message: str) -> bool:
    """Whether a message of condition Degraded is about one gateway or one network (core/node/readiness.py)."""
    return message.startswith(("gateway ", "network "))
