"""Reconciles one key after another from the queue: what workers do, and what tests do in their own thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from isthmus.core.keys.changes import keys_of_gateways
from isthmus.core.keys.enumeration import all_keys
from isthmus.core.keys.key import Key, Subject, network_key
from isthmus.core.snapshot.index import OwnCloud
from isthmus.model.actions import Problem
from isthmus.model.errors import ExternalError
from isthmus.model.reasons import Reason
from isthmus.model.settings import ControllerSettings
from isthmus.telemetry.metrics import LAST_RECONCILE
from isthmus.telemetry.outages import KUBERNETES, OPENSTACK

from .absence import Absences
from .availability import OpenStackAvailability
from .backends import Backends
from .gateway_health import GatewayHealth
from .kubernetes import KubernetesAvailability
from .queue import KeyQueue
from .reconciliation import Iteration, Stopped, Tools
from .repairs import RepairLog
from .scopes import FactCaches
from .state import State

_LOG = logging.getLogger(__name__)


class Engine:
    """The queue, and everything that an iteration of a key needs. Safe to use from several threads."""

    def __init__(self, settings: ControllerSettings, backends: Backends, is_active: Callable[[], bool]) -> None:
        self._is_active = is_active
        own = OwnCloud(
            settings.cloud_id,
            settings.gateway_cidrs,
            settings.absence_grace_seconds,
            settings.gateway_return_seconds,
            settings.expansions_per_namespace,
            settings.remote_ports_per_network,
        )
        clock, retry_seconds = backends.clock, settings.resync_seconds
        self.queue = KeyQueue(clock, retry_seconds)
        self.gateways = GatewayHealth(backends, settings.gateway_failover_seconds)
        self._gateway_states: Mapping[str, str] = {}
        self.state = State(own, clock, self.queue.add, self.gateways.health)
        self.kubernetes = KubernetesAvailability(
            backends.cluster, self.queue, backends.outages[KUBERNETES], clock, retry_seconds
        )
        self._openstack = OpenStackAvailability(backends.cloud, backends.outages[OPENSTACK])
        self._openstack_lock = threading.Lock()
        self._metrics = backends.metrics
        self._stopped = threading.Event()
        self._facts = FactCaches(backends, self._openstack.require, settings.resync_seconds)
        self.tools = Tools(backends, self.state, self._facts, Absences(clock), RepairLog(clock), self._check_may_act)
        self._lock = threading.Lock()
        self._failures: dict[Key, Problem] = {}
        """Of the keys that fail; logged when they began."""
        self._turns: dict[Key, int] = {}
        """Of the keys that have more left to do, how many they have had in a row."""

    @property
    def failures(self) -> Mapping[str, Problem]:
        """Why keys fail, by their names, and why OpenStack cannot be used."""
        with self._lock:
            found = {str(key): problem for key, problem in self._failures.items()}
        problem = self._openstack.problem
        return found | ({OPENSTACK: problem} if problem else {})

    @property
    def openstack_is_available(self) -> bool:
        """Whether the last check of OpenStack succeeded."""
        return self._openstack.problem is None

    def has_more(self, key: Key) -> bool:
        """Whether the last iteration of that key has left more to the next one."""
        return key in self._turns

    def stop(self) -> None:
        """Begin no action any more."""
        self._stopped.set()
        self.queue.stop()

    def verify(self, keys: set[Key] | None = None) -> None:
        """Compare these keys (all by default) with the external systems, also what has changed without an event."""
        with self.state.lock:
            snapshot = self.state.snapshot()
            found = sorted(all_keys(snapshot) if keys is None else keys)
            for key in found:
                self._facts.expire(key, snapshot)
        self.queue.add(found, urgent=False)

    def follow_openstack(self, *, resync: bool = False) -> None:
        """Bring the facts about networks up to date as far as that is due, or all; reconcile what changed.

        Raises nothing. If OpenStack cannot be used at a resync, each network is to fail by itself.
        """
        feed, cache = self._facts.feed, self._facts.networks
        try:
            self._openstack.require()
            snapshot = self.state.snapshot()
            changed = feed.refresh_all(snapshot) if resync else feed.tick(snapshot)
        except ExternalError as error:
            _LOG.debug("facts about networks could not be listed: %s", error)
            self._check_openstack_after_failure()
            for name in cache.versions() if resync else ():
                cache.expire(name)
        else:
            self.queue.add([network_key(name) for name in sorted(changed)])

    def mark_moves(self) -> None:
        """Reconcile the networks that a change of the gateway nodes' health may move."""
        states = {name: health.state for name, health in self.gateways.health().items()}
        with self.state.lock:
            before, self._gateway_states = self._gateway_states, states
            changed = {name for name in before.keys() | states.keys() if before.get(name) != states.get(name)}
            returned = any(states.get(name) == "Usable" for name in changed)
            found = keys_of_gateways(self.state.snapshot(), changed, all_networks=returned)
        self.queue.add(sorted(found))

    def check_openstack(self, *, resync: bool) -> None:
        """Check whether OpenStack can be used, if that is due. Raises nothing."""
        with self._openstack_lock:
            was_available = self._openstack.problem is None
            self._openstack.begin_cycle(resync=resync)
            self._publish_openstack(was_available=was_available)

    def reconcile(self, key: Key) -> int:
        """One iteration of a key that was taken from the queue; the number of actions. Raises Stopped."""
        iteration = Iteration(key, self.tools, self._turns.pop(key, 0))
        with self._metrics.reconciling("controller"):
            iteration.run()
        self._record(iteration)
        failure = iteration.failure
        if failure is not None and iteration.is_failure_of_kubernetes:
            if failure.reason == Reason.UNAVAILABLE:
                self.kubernetes.after_failure()
        elif failure is not None and key.subject == Subject.NETWORK:
            self._check_openstack_after_failure()
        if iteration.left_more:
            self._turns[key] = iteration.turns
        self.queue.done(
            key,
            failed=failure is not None,
            continues=iteration.left_more and failure is None,
            again_after_seconds=iteration.again_after_seconds,
        )
        if not iteration.exists:
            self.queue.forget(key)
        self._metrics.set(LAST_RECONCILE, {("controller",): self.tools.backends.clock.now().timestamp()})
        return iteration.actions

    def _record(self, iteration: Iteration) -> None:
        """Log failures when they begin and end. OpenStack's as a whole is logged once, not for every network."""
        key, failure = iteration.key, iteration.failure
        is_outage = failure is not None and failure == self._openstack.problem
        with self._lock:
            before = self._failures.pop(key, None)
            if failure is not None:
                self._failures[key] = failure
        if failure is not None:
            self._metrics.errors.labels("controller", failure.reason).inc()
        if failure is not None and failure != before and not is_outage:
            _LOG.warning("%s failed: %s: %s", key, failure.reason, failure.message)
        if failure is None and before is not None and iteration.exists:
            _LOG.info("%s: no longer failing", key)

    def _check_openstack_after_failure(self) -> None:
        """What failed for one network may fail for all."""
        with self._openstack_lock:
            was_available = self._openstack.problem is None
            self._openstack.after_failure()
            self._publish_openstack(was_available=was_available)

    def _publish_openstack(self, *, was_available: bool) -> None:
        problem = self._openstack.problem
        self.state.set_openstack_problem(problem)
        if problem is None and not was_available:
            self.queue.retry_failed()

    def _check_may_act(self) -> None:
        if self._stopped.is_set() or not self._is_active():
            raise Stopped
