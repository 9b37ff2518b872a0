"""The controller's loop: read everything, reconcile each peer and network, write statuses. Events only wake it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from isthmus.core.snapshot.index import Snapshot
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.errors import ExternalError
from isthmus.model.settings import ControllerSettings
from isthmus.telemetry.outages import KUBERNETES, OPENSTACK

from .availability import OpenStackAvailability
from .backends import Backends
from .cycle import Cycle
from .gateway_health import GatewayHealth
from .gauges import publish
from .inputs import read_snapshot
from .scopes import FactCaches, GatewayNodesScope, network_scopes, peer_scopes

_DEBOUNCE_SECONDS = 0.2
_FIRST_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """Result of a cycle."""

    actions: int = 0
    """Number of actions performed, statuses included."""
    failures: Mapping[str, Problem] = field(default_factory=dict)
    snapshot: Snapshot | None = None


class Controller:
    """The controller of one cloud."""

    def __init__(
        self, settings: ControllerSettings, backends: Backends, is_active: Callable[[], bool] = lambda: True
    ) -> None:
        """Without `is_active`, the election of one of several replicas, this one acts."""
        self._is_active = is_active
        self._settings = settings
        self._backends = backends
        self._openstack = OpenStackAvailability(backends.cloud, backends.outages[OPENSTACK])
        self._facts = FactCaches(backends, self._openstack.require)
        self._gateways = GatewayHealth(backends, settings.gateway_failover_seconds)
        self._failures: Mapping[str, Problem] = {}
        self._stop, self._wake = threading.Event(), threading.Event()
        self._resync_at = self._retry_seconds = 0.0

    def stop(self) -> None:
        """End after the current cycle. Nothing is withdrawn: the data plane keeps forwarding."""
        self._stop.set()
        self._wake.set()

    def wake(self) -> None:
        """Begin the next cycle at once."""
        self._wake.set()

    def run(self) -> None:
        """Run until stopped."""
        self._resync_at = self._backends.clock.monotonic_seconds()
        self._backends.watch.start(self._wake.set)
        self._backends.peers.start(lambda _: self._wake.set())
        self._gateways.start(self._wake.set)
        try:
            while not self._stop.is_set():
                self._wake.clear()
                pause_seconds = self._iterate()
                if self._wake.wait(pause_seconds):
                    self._stop.wait(_DEBOUNCE_SECONDS)
        finally:
            self._gateways.stop()
            self._backends.peers.stop()
            self._backends.watch.stop()

    def cycle(self, *, resync: bool) -> Outcome:
        """Reconcile everything once; a resync fetches all facts again, also those of scopes without changes.

        Raises ExternalError if the inputs cannot be read; failures of one scope are part of the outcome.
        """
        self._facts.begin_cycle(resync=resync)
        snapshot = read_snapshot(self._settings, self._backends)
        self._gateways.observe(snapshot.all(GatewayNode))
        snapshot = snapshot.with_gateway_health(self._gateways.health())
        cycle = Cycle(self._backends, snapshot, known_failures=self._failures)
        peers = peer_scopes(cycle.snapshot, self._facts)
        cycle.reconcile(GatewayNodesScope())
        for peer in peers:
            cycle.reconcile(peer)
        self._openstack.begin_cycle(resync=resync)
        self._record_openstack(cycle)
        for network in network_scopes(cycle.snapshot, self._facts):
            cycle.reconcile(network)
            if network.name in cycle.failures:
                self._openstack.after_failure()
                self._record_openstack(cycle)
            cycle.write_statuses(network)
        for peer in peers:
            cycle.write_statuses(peer)
        self._failures = cycle.end()
        return Outcome(cycle.actions, cycle.failures, cycle.snapshot)

    def _record_openstack(self, cycle: Cycle) -> None:
        cycle.snapshot = cycle.snapshot.with_openstack_problem(self._openstack.problem)
        if self._openstack.problem is not None:
            cycle.failures[OPENSTACK] = self._openstack.problem

    def _iterate(self) -> float:
        """Run one cycle; returns the seconds to wait for an event before the next one."""
        now = self._backends.clock.monotonic_seconds()
        if not self._is_active():
            self._resync_at = now  # what is cached is old when this replica becomes active
            return self._settings.resync_seconds
        resync = now >= self._resync_at
        outcome = self._measured_cycle(resync)
        if resync:
            self._resync_at = now + self._settings.resync_seconds
        if outcome.failures:
            return self._retry_after()
        self._retry_seconds = 0.0
        return 0.0 if outcome.actions else max(0.0, self._resync_at - self._backends.clock.monotonic_seconds())

    def _measured_cycle(self, resync: bool) -> Outcome:
        metrics = self._backends.metrics
        with metrics.reconciling("controller"):
            try:
                outcome = self.cycle(resync=resync)
                self._backends.outages[KUBERNETES].succeeded()
            except ExternalError as error:
                self._backends.outages[KUBERNETES].failed(str(error))
                outcome = Outcome(failures={"snapshot": Problem(error.reason, str(error))})
        for problem in outcome.failures.values():
            metrics.errors.labels("controller", problem.reason).inc()
        if outcome.snapshot is not None:
            publish(outcome.snapshot, metrics)
        return outcome

    def _retry_after(self) -> float:
        """Seconds until the next attempt: doubled each time, at most the resync interval."""
        self._retry_seconds = min(max(_FIRST_RETRY_SECONDS, 2 * self._retry_seconds), self._settings.resync_seconds)
        return self._retry_seconds
