"""What a gateway node reports of itself and of the networks that are attached to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import NodeObservation
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNodeStatus


@dataclass(frozen=True)
class NodeReport:
    """The state after one iteration of the agent."""

    status: GatewayNodeStatus | None
    """The node's, with conditions that have neither generation nor time; None if the node could not be observed."""
    problem: Problem | None
    """Why the node could not be observed; what was reported of it before is still the last that is known."""
    observations: Mapping[str, NodeObservation] | None
    """By link name, of the networks that have a port on this node; None if the node was never observed."""
