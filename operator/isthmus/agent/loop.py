"""The agent's loop: read all inputs, plan, compare, apply, observe, report. Events only wake it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version

from isthmus.core.node.facts import NodeFacts
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.gatewaynode import Software
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.model.node.host import KernelChange
from isthmus.model.settings import AgentSettings
from isthmus.telemetry.outages import KUBERNETES, OPEN_VSWITCH

from . import gauges
from .associations import Associations
from .attempts import Barrier
from .backends import Backends
from .dataplane import DataPlane, needs_reconcile
from .inputs import Snapshot, read_snapshot
from .prober import Prober
from .reports import Reports
from .statelog import StateLog
from .tunnels import charon_problem

_LOG = logging.getLogger(__name__)
_DEBOUNCE_SECONDS = 0.1
_POLL_SECONDS = 0.25  # how soon a restarted ovs-vswitchd is noticed: it has no flows
_FAST_POLL_SECONDS = 0.5  # how often the node is observed while something is still coming up
_INCOMPLETE_SECONDS = 2.0  # how often inputs are read while one is missing whose arrival is not watched (a Secret)
_API_PAUSE_SECONDS = 5.0
_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.5, 30.0  # after a reconciliation of which something failed


class Agent:
    """One gateway node's agent."""

    def __init__(self, settings: AgentSettings, backends: Backends) -> None:
        self._settings = settings
        self._backends = backends
        self._barrier = Barrier()
        self._data_plane = DataPlane(backends, self._barrier)
        self._associations = Associations(backends.ike, backends.clock)
        self._reports = Reports(backends.cluster, backends.clock)
        self._states = StateLog(settings.node_name)
        self._wake = threading.Event()
        self.prober = Prober(backends.probe, settings.probe_interval_seconds, self._wake.set)
        self._snapshot: Snapshot | None = None
        self._facts: NodeFacts | None = None
        self._last_facts: NodeFacts | None = None
        """The facts of the last successful iteration; kept while the node cannot be observed."""
        self._vswitchd = ""
        self._inputs_changed = True
        self._read_at = self._api_pause_until = float("-inf")
        self._retries = 0
        self._retry_at = float("inf")

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set. The data plane is left as it is."""
        self._backends.watch.start(self._on_event)
        self._start_monitor()
        self.prober.start()
        try:
            while not stop.is_set():
                self.iterate()
                self._wait(stop)
        finally:
            self.prober.stop()
            self._backends.monitor.stop()
            self._backends.watch.stop()

    def iterate(self) -> None:
        """One iteration. Failures, of external systems and of our own, are reported and not raised."""
        fresh = self._read_inputs()
        if self._snapshot is None:
            return  # without inputs nothing may be changed
        try:
            self._facts = facts = self._reconcile_if_needed(self._snapshot, fresh)
        except Exception as error:
            problem = self._barrier.problem(error)
            self._backends.metrics.errors.labels("node", problem.reason).inc()
            self._facts = None
            # The probe needs the data path only: its results stay valid while the node cannot be observed.
            last_facts = self._last_facts and replace(self._last_facts, probes=self.prober.up())
            self._states.record(self._snapshot.inputs.attachments, last_facts, problem)
            self._report(lambda: self._reports.publish_problem(self._settings.node_name, problem, last_facts))
        else:
            self._last_facts = facts
            self._backends.outages[OPEN_VSWITCH].succeeded()
            self._states.record(self._snapshot.inputs.attachments, facts, None)
            self._report(lambda: self._reports.publish(self._settings.node_name, facts, self._software(facts)))

    def _reconcile_if_needed(self, snapshot: Snapshot, fresh: bool) -> NodeFacts:
        facts = None if fresh else self._observed()
        if facts is None:
            facts = self._reconcile(snapshot)
        refused: Mapping[str, Problem] = {}
        if facts.ike is not None:
            try:
                refused = self._associations.advance(facts.plan, facts.ike, facts.lost)
            except Unavailable as error:
                facts = replace(facts, ike=None, charon_problem=charon_problem(error))
        failures = replace(facts.failures, connections={**refused, **facts.failures.connections})
        facts = replace(facts, probes=self.prober.up(), probe_problem=self.prober.problem, failures=failures)
        gauges.publish_state(self._backends.metrics, facts, self.prober.rtt_seconds())
        return facts

    def _reconcile(self, snapshot: Snapshot) -> NodeFacts:
        self._vswitchd = self._backends.openflow.instance()
        with self._backends.metrics.reconciling("node"):
            facts = self._data_plane.reconcile(snapshot.inputs)
        gauges.publish_traffic(self._backends.metrics, self._data_plane.flows.traffic(facts.plan))
        gauges.publish_drops(self._backends.metrics, self._data_plane.protection.firewall.dropped)
        self._vswitchd = self._vswitchd or self._backends.openflow.instance()
        self.prober.follow({(n.name, k.cloud_id): k.probe_mac for n in facts.plan.networks for k in n.links})
        self._schedule_retry(facts)
        return facts

    def _schedule_retry(self, facts: NodeFacts) -> None:
        """Try again what failed, ever less often."""
        self._retries = self._retries + 1 if facts.failures else 0
        pause = min(_RETRY_SECONDS * 2.0 ** min(self._retries - 1, 10), _MAX_RETRY_SECONDS)
        self._retry_at = self._backends.clock.monotonic_seconds() + pause if facts.failures else float("inf")

    def _observed(self) -> NodeFacts | None:
        """The node observed again; None if it must be reconciled.

        That is so in the first iteration, with a new ovs-vswitchd, after a change by others, and after failures.
        """
        if self._facts is None or self._backends.openflow.instance() != self._vswitchd:
            return None
        if self._backends.clock.monotonic_seconds() >= self._retry_at:
            return None
        facts = self._data_plane.observe(self._facts)
        return None if needs_reconcile(self._facts, facts) else facts

    def _read_inputs(self) -> bool:
        """Read the inputs if that is due; whether they were read."""
        now = self._backends.clock.monotonic_seconds()
        if now < self._read_due():
            return False
        self._inputs_changed = False
        self._read_at = now
        try:
            snapshot = read_snapshot(self._backends.cluster, self._settings)
        except ExternalError as error:
            self._pause(error)
            return False
        self._backends.outages[KUBERNETES].succeeded()
        self._snapshot = snapshot
        self._reports.read(snapshot)
        return True

    def _read_due(self) -> float:
        incomplete = not self._reports.known or (self._facts is not None and self._facts.plan.peer_problems)
        interval = _INCOMPLETE_SECONDS if incomplete else self._settings.resync_seconds
        due = self._read_at if self._inputs_changed else self._read_at + interval
        return max(due, self._api_pause_until)

    def _report(self, write: Callable[[], None]) -> None:
        if self._backends.clock.monotonic_seconds() < self._api_pause_until:
            return
        try:
            write()
        except ExternalError as error:
            self._pause(error)
        except Exception as error:
            self._barrier.problem(error)

    def _pause(self, error: ExternalError) -> None:
        # A call may hang until its timeout: do not let an unreachable API block the data plane more often than this.
        self._backends.outages[KUBERNETES].failed(str(error))
        self._api_pause_until = self._backends.clock.monotonic_seconds() + _API_PAUSE_SECONDS
        self._inputs_changed = True

    def _on_event(self) -> None:
        self._inputs_changed = True
        self._wake.set()

    def _start_monitor(self) -> None:
        try:
            self._backends.monitor.start(self._on_kernel_change)
        except ExternalError as error:
            seconds = self._settings.probe_interval_seconds
            _LOG.warning("no kernel notifications, polling every %g s instead: %s", seconds, error)

    def _on_kernel_change(self, change: KernelChange) -> None:
        """Restore both fences, on the monitor's thread: the loop may be waiting for an external system."""
        try:
            self._data_plane.protection.restore(change)
        except ExternalError as error:
            _LOG.warning("restoring XFRM block policies failed: %s", error)
        self._wake.set()

    def _wait(self, stop: threading.Event) -> None:
        """Sleep until woken, until the next observation or read is due, or until ovs-vswitchd was restarted."""
        clock = self._backends.clock
        observe_at = clock.monotonic_seconds() + self._observe_interval()
        while clock.monotonic_seconds() < min(observe_at, self._read_due()) and not stop.is_set():
            if self._wake.wait(_POLL_SECONDS):
                break
            if self._backends.openflow.instance() != self._vswitchd:
                break
        if self._wake.is_set():
            stop.wait(_DEBOUNCE_SECONDS)  # changes that arrive together are read together
            self._wake.clear()

    def _observe_interval(self) -> float:
        coming_up = self._facts is not None and not all_up(self._facts)
        return _FAST_POLL_SECONDS if coming_up else self._settings.probe_interval_seconds

    def _software(self, facts: NodeFacts) -> Software:
        return Software(
            kernel=facts.host.kernel,
            openvswitch=facts.bridge.openvswitch_version,
            strongswan=facts.ike.version if facts.ike else "",
            isthmus=version("isthmus"),
        )


def all_up(facts: NodeFacts) -> bool:
    """Whether every connection, tunnel and link of the plan is up."""
    keys = facts.ike is not None and all(facts.esp_up(connection) for connection in facts.plan.connections)
    links = {(network.name, link.cloud_id) for network in facts.plan.networks for link in network.links}
    return keys and all(facts.bridge.bfd_up.values()) and all(facts.probes.get(link) for link in links)
