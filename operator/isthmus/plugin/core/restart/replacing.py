"""One node: when its pod may be deleted, and when the next pod has taken over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from isthmus.model.text import listed

from ..refusals import Misused, Refused
from ..resources import Node
from .workloads import Component, Machine, Pod


@dataclass(frozen=True)
class Before:
    """What a node had before its pod was deleted."""

    node: str
    uids: frozenset[str]
    """Of its pods."""
    connections: frozenset[tuple[str, str]]
    """Cloud IDs and gateways to which it was connected."""


def nodes_of(component: Component, pods: Iterable[Pod], wanted: str | None) -> list[str]:
    """The nodes to restart the component on, in order. Raises Misused or Refused."""
    nodes = sorted({pod.node for pod in pods if pod.node})
    if not nodes:
        raise Refused(
            f"{component.label} has no pods: kubectl describe {component.kind.lower()} -n {component.namespace} "
            f"{component.workload}"
        )
    if wanted is None:
        return nodes
    if wanted not in nodes:
        raise Misused(f"there is no pod of {component.title} on {wanted!r}; there is on {', '.join(nodes)}")
    return [wanted]


def require_ready(component: Component, nodes: Sequence[str], machines: Iterable[Machine]) -> None:
    """Raise Refused if a pod would be deleted on a node that starts no other one."""
    ready = {machine.name for machine in machines if machine.is_ready}
    if missing := [node for node in nodes if node not in ready]:
        raise Refused(f"{', '.join(missing)} is not Ready in Kubernetes: {component.title} would not start again there")


def before(node: str, pods: Iterable[Pod], gateways: Mapping[str, Node]) -> Before:
    """What is on the node now."""
    uids = frozenset(pod.uid for pod in pods if pod.node == node)
    return Before(node, uids, frozenset(_connections(gateways.get(node))))


def missing(earlier: Before, pods: Iterable[Pod], gateways: Mapping[str, Node]) -> str:
    """What the node does not have yet of what it had; empty when the next pod has taken over."""
    here = [pod for pod in pods if pod.node == earlier.node]
    if any(pod.uid in earlier.uids for pod in here):
        return "the previous pod has not ended"
    if not here:
        return "no other pod was created"
    if unready := next((pod for pod in here if not pod.is_ready), None):
        return f"pod {unready.name} is not ready" + (f" ({unready.trouble})" if unready.trouble else "")
    gateway = gateways.get(earlier.node)
    if gateway is None:
        return f"there is no GatewayNode {earlier.node}"
    if down := sorted(earlier.connections - set(_connections(gateway))):
        lost = [f"{name} of {cloud_id}" for cloud_id, name in down]
        return f"not connected to {listed(lost, at_most=5, more=' and {} more')}"
    return ""


def failed(component: Component, node: str, why: str, seconds: int, others: Sequence[str]) -> Refused:
    """Why no other node is touched, and what to do."""
    left = f" Nothing was done on {', '.join(others)}." if others else ""
    return Refused(
        f"{node}: {why}, {seconds} s after the pod of {component.title} was deleted.{left} SAs and flows stay in "
        f"the kernel meanwhile. See kubectl isthmus diagnose, and kubectl describe pod -n {component.namespace} -l "
        f"{component.selector}; then run the command again"
    )


def question(component: Component, nodes: Sequence[str], gateways: Mapping[str, Node]) -> list[str]:
    """What is going to happen, before it is asked for."""
    lines = [
        f"Replaces the pods of {component.title} on {', '.join(nodes)}"
        + (", one node after the other." if nodes[1:] else ".")
    ]
    lines.append("What is stretched stays connected meanwhile: SAs and flows are in the kernel.")
    for node in nodes:
        down = [c for c in (gateways[node].connections if node in gateways else ()) if not c.is_up]
        if down:
            lines.append(f"{node} has {len(down)} connections that are down already: these are not waited for.")
    return lines


def _connections(gateway: Node | None) -> list[tuple[str, str]]:
    return [(c.cloud_id, c.gateway) for c in gateway.connections if c.is_up] if gateway else []
