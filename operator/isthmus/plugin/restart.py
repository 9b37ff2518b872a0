"""`kubectl isthmus restart`: replaces pods of controller, agent or charon without an interruption of the traffic."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from . import terminal
from .core import resources
from .core.answer import Answer, ExitCode
from .core.bundles.numbers import ranged
from .core.documents import Document
from .core.refusals import Misused, Refused
from .core.resources import Node
from .core.restart import image, replacing
from .core.restart.image import Image, Pull
from .core.restart.workloads import COMPONENTS, Component, Machine, Pod, Rollout
from .kubectl import Kubectl, NotRead

_POLL_SECONDS: Final = 0.5
# An agent notices within this time that charon is another one, and that connections are down.
_SETTLE_SECONDS: Final = 10.0


def restart(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """Node by node, or as the Deployment or DaemonSet does it; waits until all is as before."""
    component, seconds = COMPONENTS[chosen.component], ranged("--timeout", chosen.timeout, 180, 3600)
    if chosen.node is not None and component.kind == "Deployment":
        raise Misused("--node is for agent and charon: the controller may run anywhere")
    gateways = _gateways(kubectl)
    found = kubectl.find(f"{component.kind}s.apps".lower(), component.workload, "-n", component.namespace)
    if not found:
        raise component.not_in_pods
    if component.name == "charon" or chosen.node is not None:
        return _node_by_node(kubectl, chosen, component, found[0], gateways, seconds)
    return _rolled_out(kubectl, chosen, component, found[0], seconds)


def _node_by_node(
    kubectl: Kubectl,
    chosen: Namespace,
    component: Component,
    daemonset: Document,
    gateways: Mapping[str, Node],
    seconds: int,
) -> Answer:
    nodes = replacing.nodes_of(component, _pods(kubectl, component), chosen.node)
    machines = {machine.name: machine for machine in map(Machine.parse, kubectl.find("nodes", *nodes))}
    replacing.require_ready(component, nodes, machines.values())
    question = replacing.question(component, nodes, gateways)
    terminal.confirm(question, f"Restart {component.title}?", chosen.yes)
    template = Image.parse(daemonset)
    for number, node in enumerate(nodes):
        if not template.is_on(machines[node]):
            _pull(kubectl, component, template, node, seconds)
        _replace(kubectl, component, node, seconds, nodes[number + 1 :])
    return _answer(component, nodes)


def _pull(kubectl: Kubectl, component: Component, template: Image, node: str, seconds: int) -> None:
    """Have the node pull the image. Raises Refused, and the running pod stays."""
    terminal.report(f"{node}: pulling {template.reference}")
    name = image.pod_name(component, node)
    delete = ("delete", "pod", name, "-n", component.namespace, "--ignore-not-found")
    kubectl.run(*delete)  # of an earlier restart that was interrupted
    kubectl.apply([image.pod(component, template, node)])
    try:
        _wait_for_image(kubectl, component, name, node, seconds)
    finally:
        with suppress(NotRead, Refused):
            kubectl.run(*delete, "--wait=false")


def _wait_for_image(kubectl: Kubectl, component: Component, name: str, node: str, seconds: int) -> None:
    ends_at = time.monotonic() + seconds
    while True:
        found = kubectl.find("pods", name, "-n", component.namespace)
        state, said = image.pull(found[0]) if found else (Pull.FAILED, "somebody has deleted the pod that pulls it")
        if state is Pull.DONE:
            return
        if state is Pull.FAILED or time.monotonic() > ends_at:
            raise Refused(
                f"{node} does not have the image of {component.title}: {said}; no pod was deleted there, and the "
                "running one goes on"
            )
        time.sleep(_POLL_SECONDS)


def _replace(kubectl: Kubectl, component: Component, node: str, seconds: int, others: Sequence[str]) -> None:
    """Delete the pod of a node, and wait until the next one has taken over. Raises Refused if it does not."""
    pods = _pods(kubectl, component)
    earlier = replacing.before(node, pods, _gateways(kubectl))
    terminal.report(f"{node}: replacing the pod of {component.title}")
    for pod in pods:
        if pod.uid in earlier.uids and not pod.is_terminating:
            kubectl.run("delete", "pod", pod.name, "-n", component.namespace, "--ignore-not-found", "--wait=false")
    ends_at, settled_at = time.monotonic() + seconds, None
    while settled_at is None or time.monotonic() < settled_at:
        time.sleep(_POLL_SECONDS)
        why = replacing.missing(earlier, _pods(kubectl, component), _gateways(kubectl))
        if not why:
            settled_at = settled_at or time.monotonic() + _SETTLE_SECONDS
        elif time.monotonic() > ends_at:
            raise replacing.failed(component, node, why, seconds, others)
        else:
            settled_at = None
    terminal.report(f"{node}: ready, connections up: {len(earlier.connections)}")


def _rolled_out(kubectl: Kubectl, chosen: Namespace, component: Component, found: Document, seconds: int) -> Answer:
    """All pods, as the Deployment or the DaemonSet replaces them: the next one first, at most one node at a time."""
    pods = _pods(kubectl, component)
    nodes = replacing.nodes_of(component, pods, None)
    terminal.confirm(replacing.question(component, nodes, {}), f"Restart {component.title}?", chosen.yes)
    kubectl.run("rollout", "restart", component.reference, "-n", component.namespace)
    last, ends_at = Rollout.parse(found), time.monotonic() + seconds
    while True:
        time.sleep(_POLL_SECONDS)
        read = kubectl.find(component.reference, "-n", component.namespace)
        if not read:
            raise component.not_in_pods
        now = Rollout.parse(read[0])
        if now.is_complete:
            return _answer(component, nodes)
        if now != last:
            terminal.report(f"{component.name}: {now.updated} of {now.wanted} pods replaced, {now.available} available")
            last, ends_at = now, time.monotonic() + seconds
        elif time.monotonic() > ends_at:
            raise _stuck(kubectl, component, now, seconds)


def _stuck(kubectl: Kubectl, component: Component, rollout: Rollout, seconds: int) -> Refused:
    unready = next((pod for pod in _pods(kubectl, component) if not pod.is_ready), None)
    why = f": pod {unready.name} on {unready.node or 'no node'} is not ready" if unready else ""
    why += f" ({unready.trouble})" if unready and unready.trouble else ""
    return Refused(
        f"{rollout.updated} of {rollout.wanted} pods of {component.title} are replaced, and nothing has changed for "
        f"{seconds} s{why}. The others go on as they are; to return to the pods before: kubectl rollout undo "
        f"{component.reference} -n {component.namespace}"
    )


def _pods(kubectl: Kubectl, component: Component) -> list[Pod]:
    return list(map(Pod.parse, kubectl.find("pods", "-n", component.namespace, "-l", component.selector)))


def _gateways(kubectl: Kubectl) -> dict[str, Node]:
    """GatewayNodes by name."""
    return {node.name: node for node in resources.cloud(kubectl.get(("gatewaynodes",)).complete()).nodes}


def _answer(component: Component, nodes: Sequence[str]) -> Answer:
    document = {"component": component.name, "nodes": list(nodes)}
    return Answer("restart", ExitCode.FINE, document, lambda _: [f"Restarted {component.title} on {', '.join(nodes)}."])


VERBS = {"restart": restart}
