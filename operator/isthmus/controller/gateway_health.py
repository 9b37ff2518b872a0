"""Observes the gateway nodes over time: readiness, the agents' Leases, and the Kubernetes Nodes of expired ones."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from isthmus.core.placement.gateways import is_ready
from isthmus.core.placement.health import (
    NodeHistory,
    NodeReading,
    first_seen,
    health_of,
    not_counting,
    seen_again,
)
from isthmus.core.snapshot.transitions import State, state_transitions
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.errors import ExternalError
from isthmus.model.facts.gateway import NodeHealth
from isthmus.model.facts.lease import Lease
from isthmus.model.names import agent_lease
from isthmus.model.reasons import ConditionType
from isthmus.ports import Cluster, Manifest

from .backends import Backends

_LOG = logging.getLogger(__name__)
CHECK_SECONDS: Final = 2.5
_LONGEST_GAP_SECONDS: Final = 15.0
"""A longer time between two observations is an outage, which does not count. It exceeds the time-out of a request."""


class GatewayHealth:
    """The health of all gateway nodes. Safe to use from several threads."""

    def __init__(self, backends: Backends, failover_seconds: float) -> None:
        self._backends = backends
        self._failover_seconds = failover_seconds
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._loop = backends.health.loop("gateway-health")
        self._histories: dict[str, NodeHistory] = {}
        self._unready_machines: frozenset[str] = frozenset()
        self._observed_at: float | None = None
        self._logged: Mapping[str, State] = {}

    def start(self, wake: Callable[[], None]) -> None:
        """Observe on a thread of its own, and call `wake` whenever a node's state has changed."""
        threading.Thread(target=self._run, args=(wake,), name="gateway-health", daemon=True).start()

    def stop(self) -> None:
        """Stop soon."""
        self._stop.set()

    def observe(self, nodes: Iterable[GatewayNode]) -> None:
        """Read the Leases and take in these GatewayNodes, as just read. Raises ExternalError."""
        leases = {lease.name: lease for lease in self._backends.leases.list_leases()}
        with self._lock:
            now = self._backends.clock.monotonic_seconds()
            self._take_in({node.metadata.name: self._reading(node, leases) for node in nodes}, now)
            expired = [name for name, history in self._histories.items() if history.is_expired(now)]
        unready = frozenset(name for name in expired if not _machine_is_ready(self._backends.cluster, name))
        with self._lock:
            self._unready_machines = unready
        self._log_changes()

    def health(self) -> Mapping[str, NodeHealth]:
        """The health of every node, by name."""
        with self._lock:
            now = self._backends.clock.monotonic_seconds()
            return {
                name: health_of(
                    history, now, self._failover_seconds, machine_is_ready=name not in self._unready_machines
                )
                for name, history in self._histories.items()
            }

    def _take_in(self, readings: Mapping[str, NodeReading], now: float) -> None:
        gap = now - self._observed_at if self._observed_at is not None else 0.0
        self._observed_at = now
        missed = gap if gap > _LONGEST_GAP_SECONDS else 0.0
        known = {name: not_counting(history, missed) for name, history in self._histories.items()}
        self._histories = {
            name: seen_again(known[name], reading, now) if name in known else first_seen(reading, now)
            for name, reading in readings.items()
        }

    def _reading(self, node: GatewayNode, leases: Mapping[str, Lease]) -> NodeReading:
        condition = condition_of(node.status.conditions, ConditionType.READY)
        transition = (condition.last_transition_time if condition else None) or ""
        age = self._age_seconds(transition) if transition else 0.0
        return NodeReading(is_ready(node), transition, age, leases.get(agent_lease(node.metadata.name)))

    def _age_seconds(self, transition: str) -> float:
        return (self._backends.clock.now() - datetime.fromisoformat(transition)).total_seconds()

    def _log_changes(self) -> None:
        states = {f"GatewayNode {name}": State(health.state) for name, health in self.health().items()}
        with self._lock:
            before, self._logged = self._logged, states
        for transition in state_transitions(before, states):
            _LOG.info("%s", transition)

    def _run(self, wake: Callable[[], None]) -> None:
        before: Mapping[str, str] = {}
        self._loop.begin()
        while not self._stop.wait(CHECK_SECONDS):
            try:
                self.observe(self._backends.cluster.list_objects(GatewayNode))
            except ExternalError as error:
                _LOG.debug("gateway nodes cannot be observed: %s", error)
            else:
                states = {name: health.state for name, health in self.health().items()}
                if states != before:
                    wake()
                before = states
            self._loop.ended()


def _machine_is_ready(cluster: Cluster, name: str) -> bool:
    node: Manifest = cluster.get_manifest("v1", "Node", name) or {}
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
