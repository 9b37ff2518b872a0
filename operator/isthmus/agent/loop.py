"""The agent's loop: plan, compare, apply, observe, report.

What is to be done is read, and what became of it is written, on threads of their own (`IntentSource`, `ReportSink`):
the loop waits for the node alone. Events only wake it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import version

from isthmus.core.node import paths
from isthmus.core.node.dropping import Dropping, counted
from isthmus.core.node.expiry import expiring
from isthmus.core.node.facts import NodeFacts
from isthmus.core.node.observations import Observations
from isthmus.core.node.plan import NodePlan
from isthmus.core.node.status import node_status
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.gatewaynode import Software
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.model.node.host import KernelChange
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.report import NodeReport
from isthmus.model.settings import AgentSettings
from isthmus.telemetry.metrics import MEMBER_PATH, MEMBER_PATH_CHANGES, NETWORK_MTU, Labels
from isthmus.telemetry.outages import OPEN_VSWITCH

from . import gauges
from .associations import Associations
from .attempts import Barrier
from .backends import Backends
from .clamping import carried_by_interfaces
from .dataplane import DataPlane, needs_reconcile
from .pathchooser import PathChooser
from .pathprober import PathProber
from .prober import Prober
from .statelog import StateLog
from .tunnels import charon_problem
from .wholeprober import WholeProber

_LOG = logging.getLogger(__name__)
_DEBOUNCE_SECONDS = 0.05
_POLL_SECONDS = 0.25  # how soon a restarted ovs-vswitchd is noticed, which has no flows, or a peer's new charon
_FAST_POLL_SECONDS = 0.5  # how often the node is observed while something is still coming up
_FORGET_SECONDS = 300.0  # how often everything is planned, rendered and compared, whatever has changed
_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.5, 30.0  # after a reconciliation of which something failed
_VERSION = version("isthmus")


class Agent:
    """One gateway node's agent."""

    def __init__(self, settings: AgentSettings, backends: Backends) -> None:
        self._settings = settings
        self._backends = backends
        self._barrier = Barrier()
        self._associations = Associations(backends.ike, backends.xfrm, backends.clock)
        self._states = StateLog(settings.node_name)
        self._wake = threading.Event()
        publish_probes = partial(gauges.publish_probes, backends.metrics)
        self.prober = Prober(
            backends.probe, settings.probe_interval_seconds, self._wake.set, publish_probes, backends.health
        )
        self.path_chooser = PathChooser(
            settings.node_name,
            backends.probe,
            self.prober.longest_round_trip,
            self._wake.set,
            backends.clock,
            backends.health,
        )
        self._data_plane = DataPlane(backends, self._barrier, self.path_chooser.follow)
        self.path_prober = PathProber(
            backends.probe,
            backends.ping,
            settings.probe_interval_seconds,
            self._longest,
            self.prober.up,
            self._wake.set,
            backends.health,
        )
        self.whole_prober = WholeProber(
            backends.probe,
            settings.probe_interval_seconds,
            self._carried_by_interfaces,
            self._longest,
            self.prober.up,
            self._wake.set,
            backends.clock,
            backends.health,
        )
        self._watches: dict[str, paths.Watch] = {}
        self._facts: NodeFacts | None = None
        self._last_facts: NodeFacts | None = None
        """The facts of the last successful iteration; kept while the node cannot be observed."""
        self._vswitchd = ""
        self._planned_from: NodeInputs | None = None
        self._resync_at = self._forget_at = float("-inf")
        """When to reconcile at the latest, and when to do so without what is remembered of earlier times."""
        self._published_listing: object = None
        self._dropping = Dropping()
        self._retries = 0
        self._retry_at = float("inf")
        self._observations = Observations(settings.node_name)
        self._reported: tuple[NodeInputs, NodeFacts | None, Problem | None] | None = None
        self._loop = backends.health.loop("node", must_complete=True)
        backends.metrics.follow(NETWORK_MTU, self._network_mtus)
        backends.metrics.follow(MEMBER_PATH, self._member_paths)
        backends.metrics.follow(MEMBER_PATH_CHANGES, self.path_chooser.changes)

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set. The data plane is left as it is.

        Raises Unavailable if only another process can reach Open vSwitch again.
        """
        self._backends.intents.start(self._wake.set)
        self._backends.reports.start()
        self._start_monitor()
        self.prober.start()
        self.path_chooser.start()
        self.path_prober.start()
        self.whole_prober.start()
        self._loop.begin()
        try:
            while not stop.is_set():
                self.iterate()
                self._loop.ended()
                self._require_directory()
                self._wait(stop)
        finally:
            self.whole_prober.stop()
            self.path_prober.stop()
            self.path_chooser.stop()
            self.prober.stop()
            self._backends.monitor.stop()
            self._backends.reports.stop()
            self._backends.intents.stop()

    def iterate(self) -> None:
        """One iteration. Failures, of external systems and of our own, are reported and not raised."""
        inputs = self._backends.intents.latest()
        if inputs is None:
            return  # without inputs nothing may be changed
        try:
            self._switch_paths()
            self._facts = self._last_facts = self._reconcile_if_needed(inputs)
            self._backends.outages[OPEN_VSWITCH].succeeded()
            self._loop.completed()
            problem = None
        except Exception as error:
            problem = self._barrier.problem(error)
            self._backends.metrics.errors.labels("node", problem.reason).inc()
            self._facts = None
        try:
            self._report(inputs, problem)
        except Exception as error:
            self._barrier.problem(error)

    def _report(self, inputs: NodeInputs, problem: Problem | None) -> None:
        """Log and publish what changed; after a failed iteration (`problem`), by the last facts known."""
        facts = self._last_facts
        if facts is not None and problem is not None:
            # The probe needs the data path only: its results stay valid while the node cannot be observed.
            facts = replace(facts, probes=self.prober.up())
        if self._is_reported(inputs, facts, problem):
            return
        found = self._observations.entries(inputs.attachments, facts) if facts is not None else None
        self._states.record(found or {}, facts, problem)
        if facts is not None or problem is not None:
            status = node_status(facts, _software(facts)) if facts is not None and problem is None else None
            self._backends.reports.publish(NodeReport(status, problem, found))
        self._reported = inputs, facts, problem

    def _is_reported(self, inputs: NodeInputs, facts: NodeFacts | None, problem: Problem | None) -> bool:
        """Whether nothing has changed since the last report. Another plan is reported even if it is equal."""
        if self._reported is None or self._reported[0] is not inputs:
            return False
        plans = [known.plan if known else None for known in (self._reported[1], facts)]
        return plans[0] is plans[1] and self._reported[1:] == (facts, problem)

    def _reconcile_if_needed(self, inputs: NodeInputs) -> NodeFacts:
        self._data_plane.carried_by_paths = self.whole_prober.largest
        facts = self._observed(inputs)
        if facts is None:
            facts = self._reconcile(inputs)
        refused: Mapping[str, Problem] = {}
        if facts.ike is not None:
            try:
                refused = self._associations.advance(facts, facts.ike)
            except Unavailable as error:
                facts = replace(facts, ike=None, charon_problem=charon_problem(error))
        facts = replace(facts, probes=self.prober.up(), probe_problem=self.prober.problem, refused=refused)
        facts = replace(facts, dropping=self._dropping.by_network)
        facts = replace(facts, expiring=expiring(facts.plan.expiries, self._backends.clock.now()))
        facts = self._with_paths(facts)
        self.path_chooser.observe(facts.bridge.bfd_up)
        if facts.links_up < len(facts.probes) or not all(facts.bridge.bfd_up.values()):
            facts = replace(facts, receiving=self._data_plane.flows.receiving(facts.plan))
        gauges.publish_state(self._backends.metrics, facts)
        return facts

    def _switch_paths(self) -> None:
        """Before anything else: until then what is sent by a path that has failed is lost."""
        if self._facts is not None and self._facts.direct is not self.path_chooser.direct:
            self._facts = self._data_plane.switch(self._facts, self.path_chooser.direct)

    def _with_paths(self, facts: NodeFacts) -> NodeFacts:
        now, prober = self._backends.clock.monotonic_seconds(), self.path_prober
        self._watches = paths.watched(self._watches, facts, now)
        facts = replace(facts, paths=paths.paths(facts, self._watches, prober.pings, prober.full_sizes, now))
        prober.silent = paths.to_ping(facts)
        return facts

    def _longest(self) -> Mapping[str, paths.FullSize]:
        """Called on the threads of two probers."""
        inputs, facts = self._planned_from, self._last_facts
        return paths.longest(facts.plan.networks, inputs.attachments) if inputs and facts else {}

    def _carried_by_interfaces(self) -> Mapping[str, int]:
        """Called on the whole prober's thread."""
        facts = self._last_facts
        found = carried_by_interfaces(facts.plan, facts.known_ike) if facts else {}
        return {tunnel.name: mtu for tunnel, mtu in found.items()}

    def _reconcile(self, inputs: NodeInputs) -> NodeFacts:
        self._planned_from = inputs
        now = self._backends.clock.monotonic_seconds()
        self._resync_at = now + self._settings.resync_seconds
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_SECONDS
            self._data_plane.forget()
        self._vswitchd = self._backends.openflow.instance()
        with self._backends.metrics.reconciling("node"):
            facts = self._data_plane.reconcile(inputs)
        self._publish_traffic(facts.plan)
        gauges.publish_drops(self._backends.metrics, self._data_plane.protection.firewall.dropped)
        self._vswitchd = self._vswitchd or self._backends.openflow.instance()
        self.path_chooser.placed()
        self.prober.follow(facts.plan.networks.probe_macs)
        self._schedule_retry(facts)
        return facts

    def _publish_traffic(self, plan: NodePlan) -> None:
        """The counters are those of the last list of all flows."""
        flows = self._data_plane.flows
        if flows.listing is not self._published_listing:
            self._published_listing = flows.listing
            gauges.publish_traffic(self._backends.metrics, flows.traffic(plan))
            gauges.publish_relayed(self._backends.metrics, flows.relayed(plan))
            dropped = flows.dropped(plan)
            gauges.publish_guard(self._backends.metrics, dropped)
            gauges.publish_over_bandwidth(self._backends.metrics, flows.over_bandwidth())
            self._dropping = counted(self._dropping, dropped, self._backends.clock.monotonic_seconds())

    def _network_mtus(self) -> Mapping[Labels, float]:
        """Called when metrics are read, for each change of one network would otherwise cost as much as all of them."""
        inputs, facts = self._planned_from, self._last_facts
        return gauges.network_mtus(inputs, facts.plan.networks) if inputs and facts else {}

    def _member_paths(self) -> Mapping[Labels, float]:
        """Likewise."""
        facts = self._last_facts
        return gauges.member_paths(facts.plan.networks, facts.direct) if facts else {}

    def _schedule_retry(self, facts: NodeFacts) -> None:
        """Try again what failed, ever less often."""
        self._retries = self._retries + 1 if facts.failures else 0
        pause = min(_RETRY_SECONDS * 2.0 ** min(self._retries - 1, 10), _MAX_RETRY_SECONDS)
        self._retry_at = self._backends.clock.monotonic_seconds() + pause if facts.failures else float("inf")

    def _observed(self, inputs: NodeInputs) -> NodeFacts | None:
        """The node observed again; None if it must be reconciled.

        That is so at first, with new inputs or a new ovs-vswitchd, after a change by others, after failures, and once
        per resync.
        """
        if inputs is not self._planned_from or self._facts is None:
            return None
        if self._backends.openflow.instance() != self._vswitchd:
            return None
        if self._backends.clock.monotonic_seconds() >= min(self._retry_at, self._resync_at):
            return None
        facts = self._data_plane.observe(self._facts)
        return None if needs_reconcile(self._facts, facts) else facts

    def _require_directory(self) -> None:
        if self._backends.openflow.mounted_directory_is_deleted():
            raise Unavailable(
                "Open vSwitch's run directory was deleted while it is mounted here, and a new one cannot be seen: the "
                "agent ends, so that the new one is mounted when it starts again"
            )

    def _start_monitor(self) -> None:
        try:
            self._backends.monitor.start(self._on_kernel_change)
        except ExternalError as error:
            seconds = self._settings.probe_interval_seconds
            _LOG.warning("no kernel notifications, polling every %g s instead: %s", seconds, error)

    def _on_kernel_change(self, change: KernelChange) -> None:
        """Restore both fences, on the monitor's thread: the loop may be waiting for an external system."""
        self._data_plane.clamping.notice(change)
        try:
            self._data_plane.protection.restore(change)
        except ExternalError as error:
            _LOG.warning("restoring XFRM block policies failed: %s", error)
        except Exception as error:
            self._barrier.problem(error)
        self._wake.set()

    def _wait(self, stop: threading.Event) -> None:
        """Sleep until woken, until the next observation is due, or until ovs-vswitchd was restarted."""
        clock = self._backends.clock
        observe_at = clock.monotonic_seconds() + self._observe_interval()
        while clock.monotonic_seconds() < observe_at and not stop.is_set():
            if self._wake.wait(_POLL_SECONDS):
                break
            if self._backends.openflow.instance() != self._vswitchd:
                break
        if self._wake.is_set():
            stop.wait(_DEBOUNCE_SECONDS)  # changes that arrive together are handled together
            self._wake.clear()

    def _observe_interval(self) -> float:
        if self._associations.waits:
            return _POLL_SECONDS
        coming_up = self._facts is not None and not all_up(self._facts)
        return _FAST_POLL_SECONDS if coming_up else self._settings.probe_interval_seconds


def _software(facts: NodeFacts) -> Software:
    ike = facts.known_ike
    return Software(
        kernel=facts.host.kernel,
        openvswitch=facts.bridge.openvswitch_version,
        strongswan=ike.version if ike else "",
        isthmus=_VERSION,
    )


def all_up(facts: NodeFacts) -> bool:
    """Whether every connection, tunnel and link of the plan is up."""
    keys = facts.ike is not None and all(facts.esp_up(connection) for connection in facts.plan.connections)
    links_up = facts.links_up == len(facts.plan.networks.probe_macs)
    return keys and links_up and all(facts.bridge.bfd_up.values())
