"""Writes the agent's statuses to the Kubernetes API, only when they change.

Of an Attachment's status an agent owns one entry of `nodes`, its own.
"""

from __future__ import annotations

from collections.abc import Callable

from isthmus.core.node.facts import NodeFacts
from isthmus.core.node.status import Observations, failed_observation_status, gateway_node_status
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentStatus
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode, GatewayNodeStatus, Software
from isthmus.model.errors import NotFound
from isthmus.ports import Clock, Cluster

from .inputs import Snapshot


class Reports:
    """Writes statuses that differ from the cluster's, as last read or written."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._gateway_node: GatewayNode | None = None
        self._attachments: tuple[Attachment, ...] = ()

    def read(self, snapshot: Snapshot) -> None:
        """Take the objects just read as the cluster's state."""
        self._gateway_node = snapshot.gateway_node
        self._attachments = snapshot.inputs.attachments

    @property
    def known(self) -> bool:
        """Whether the controller has created this node's GatewayNode."""
        return self._gateway_node is not None

    def publish(self, node: str, facts: NodeFacts, software: Software) -> None:
        """Write the statuses that follow from the facts. Raises ExternalError if the API fails."""
        self._publish_node(lambda current: gateway_node_status(current, facts, software, self._clock.now()))
        self._publish_attachments(node, facts)

    def publish_problem(self, node: str, problem: Problem, last_facts: NodeFacts | None) -> None:
        """Report that the node could not be observed; links are reported from `last_facts`. Raises ExternalError."""
        self._publish_node(lambda current: failed_observation_status(current, problem, self._clock.now()))
        if last_facts is not None:
            self._publish_attachments(node, last_facts)

    def _publish_node(self, change: Callable[[GatewayNode], GatewayNodeStatus]) -> None:
        current = self._gateway_node
        if current is None:
            return
        status = change(current)
        if status == current.status:
            return
        try:
            self._gateway_node = self._cluster.apply_status(current.model_copy(update={"status": status}))
        except NotFound:
            self._gateway_node = None

    def _publish_attachments(self, node: str, facts: NodeFacts) -> None:
        observations = Observations(node, facts)
        self._attachments = tuple(self._publish_attachment(a, node, observations) for a in self._attachments)

    def _publish_attachment(self, attachment: Attachment, node: str, observations: Observations) -> Attachment:
        wanted = observations.of(attachment)
        current = next((entry for entry in attachment.status.nodes if entry.node == node), None)
        if wanted == current:
            return attachment
        nodes = () if wanted is None else (wanted,)
        try:
            return self._cluster.apply_status(attachment.model_copy(update={"status": AttachmentStatus(nodes=nodes)}))
        except NotFound:
            return attachment
