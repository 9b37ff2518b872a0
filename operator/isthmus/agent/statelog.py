"""The agent's log of changes of state."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from isthmus.core.node.facts import NodeFacts
from isthmus.core.node.states import network_states, node_states
from isthmus.core.snapshot.transitions import State, Transition, state_transitions
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import NodeObservation
from isthmus.model.tracked import differing

_LOG = logging.getLogger(__name__)


class StateLog:
    """Logs one line for each thing whose state has changed; at the agent's start that is everything."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._states: Mapping[str, State] = {}
        self._of_networks: dict[str, Mapping[str, State]] = {}
        self._observations: Mapping[str, NodeObservation] = {}
        self._problems: Mapping[str, Problem] = {}
        """Of networks, by link name."""

    def record(
        self, observations: Mapping[str, NodeObservation], facts: NodeFacts | None, problem: Problem | None
    ) -> None:
        """`facts` are the last ones known; `problem` is why the node could not be observed this time."""
        states = node_states(self._node, facts, problem)
        problems = facts.failures.networks if facts is not None else {}
        for transition in (*state_transitions(self._states, states), *self._in_networks(observations, problems)):
            _LOG.info("%s", transition)
        self._states, self._observations, self._problems = states, observations, problems

    def _in_networks(
        self, observations: Mapping[str, NodeObservation], problems: Mapping[str, Problem]
    ) -> Iterator[Transition]:
        changed = {*differing(self._observations, observations), *differing(self._problems, problems)}
        for name in sorted(changed):
            states = network_states(name, observations.get(name), problems.get(name))
            yield from state_transitions(self._of_networks.get(name, {}), states)
            self._of_networks[name] = states
            if not states:
                del self._of_networks[name]
