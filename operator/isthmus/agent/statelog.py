"""The agent's log of changes of state."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from isthmus.core.node.facts import NodeFacts
from isthmus.core.node.states import node_states
from isthmus.core.snapshot.transitions import State, state_transitions
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import NodeObservation

_LOG = logging.getLogger(__name__)


class StateLog:
    """Logs one line for each thing whose state has changed; at the agent's start that is everything."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._states: Mapping[str, State] = {}
        self._last: object = None

    def record(
        self, observations: Mapping[str, NodeObservation], facts: NodeFacts | None, problem: Problem | None
    ) -> None:
        """`facts` are the last ones known; `problem` is why the node could not be observed this time."""
        if (observations, facts, problem) == self._last:
            return
        self._last = observations, facts, problem
        states = node_states(self._node, observations, facts, problem)
        for transition in state_transitions(self._states, states):
            _LOG.info("%s", transition)
        self._states = states
