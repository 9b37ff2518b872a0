"""Further gateway nodes of a fake cloud, each with an agent that tests can stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from isthmus.agent.heartbeat import Heartbeat
from isthmus.controller.backends import Backends
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.attachment import (
    Attachment,
    AttachmentStatus,
    LinkObservation,
    MemberObservation,
    NodeObservation,
)
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode, GatewayNodeStatus, TunnelAddress
from isthmus.ports import Cluster

from .networkcloud import FakeNetworkCloud
from .store import Key, Store


class _Cloud(Protocol):
    store: Store
    backends: Backends
    neutron: FakeNetworkCloud


@dataclass
class FakeGateway:
    """One node. What its agent writes: everything that can be up is up, unless `ready` is False."""

    name: str
    address: str
    cluster: Cluster
    cloud: _Cloud
    ready: bool = True
    """Whether the node can forward."""
    agent_runs: bool = True

    @property
    def host(self) -> str:
        """Host name in Neutron."""
        return f"host-{self.name}"

    def machine(self, ready: str | None) -> None:
        """Set condition Ready of the Kubernetes Node, as the kubelet or the node controller does; None: remove it."""
        key = Key("v1", "Node", None, self.name)
        conditions = [{"type": "Ready", "status": ready}] if ready else []
        self.cloud.store.entries[key].manifest["status"] = {"conditions": conditions}

    def die(self) -> None:
        """The whole machine is gone."""
        self.agent_runs = False
        self.machine("Unknown")

    @contextmanager
    def not_ready(self) -> Iterator[None]:
        """The node cannot forward meanwhile."""
        self.ready = False
        self.play()
        yield
        self.ready = True
        self.play()

    def play(self) -> None:
        """One iteration of the agent."""
        if not self.agent_runs:
            return
        clock = self.cloud.backends.clock
        Heartbeat(self.cloud.backends.leases, clock, self.name).renew()
        node = self.cluster.get(GatewayNode, self.name)
        if node is None:
            return
        before = next((c for c in node.status.conditions if c.type == "Ready"), None)
        status = "True" if self.ready else "False"
        since = before.last_transition_time if before and before.status == status else clock.now().isoformat()
        ready = Condition(type="Ready", status=status, reason="Ready", last_transition_time=since)
        address = TunnelAddress(address=self.address, mtu=1500)
        new = GatewayNodeStatus(conditions=(ready,), addresses=(address,), neutron_host=self.host)
        self.cluster.apply_status(node.model_copy(update={"status": new}))
        for attachment in self.cluster.list_objects(Attachment):
            self._report(attachment)

    def _report(self, attachment: Attachment) -> None:
        plugged = attachment.spec.active_node == self.name
        for port in attachment.spec.ports if plugged else ():
            self.cloud.neutron.serve(port.port_id)
        nodes = (entry_of(self.name, attachment),) if plugged else ()
        self.cluster.apply_status(attachment.model_copy(update={"status": AttachmentStatus(nodes=nodes)}))


def entry_of(node: str, attachment: Attachment) -> NodeObservation:
    """What the agent of the active node reports if everything is up."""
    spec = attachment.spec
    behind = {path.number for link in spec.links for path in link.members} if spec.role == "Receiver" else set()
    reached = sorted(behind | {path.number for path in spec.direct_paths})
    return NodeObservation(
        node=node,
        observed_generation=attachment.metadata.generation or 0,
        plugged=True,
        links=tuple(LinkObservation(cloud_id=link.cloud_id, up=True) for link in spec.links),
        members=tuple(MemberObservation(number=number, up=True) for number in reached),
    )
