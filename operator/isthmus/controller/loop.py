"""The controller's threads: workers that take keys from the queue, and one that looks after everything periodic."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.errors import ExternalError
from isthmus.model.settings import ControllerSettings
from isthmus.telemetry.health import Loop
from isthmus.telemetry.metrics import QUEUE_LENGTH

from .backends import Backends
from .engine import Engine
from .feed import Feed
from .gauges import publish
from .inputs import follow_peers, list_everything
from .reconciliation import Stopped
from .schedule import Periodic, Verification

_LOG = logging.getLogger(__name__)
_WORKERS: Final = 4
_PACE_SECONDS: Final = 0.2  # between two starts of one key: changes tend to come together
_TICK_SECONDS: Final = 0.5
_MAX_WAIT_SECONDS: Final = 60.0  # of a worker for a key
_OPENSTACK_CHECK_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 5.0  # for the request in flight, after which the process may be killed
_MAX_ITERATIONS: Final = 20  # of one key in one `cycle`


@dataclass(frozen=True)
class Outcome:
    """Result of a cycle."""

    actions: int = 0
    """Number of changes, statuses included."""
    failures: Mapping[str, Problem] = field(default_factory=dict)


class Controller:
    """The controller of one cloud."""

    def __init__(
        self, settings: ControllerSettings, backends: Backends, is_active: Callable[[], bool] = lambda: True
    ) -> None:
        """Without `is_active`, the election of one of several replicas, this one acts."""
        self._is_active = is_active
        self._settings = settings
        self._backends = backends
        self.engine = Engine(settings, backends, is_active)
        self.feed = Feed(self.engine.state, self.engine.kubernetes.succeeded, self._on_watch_failure)
        self._verification = Verification(backends.clock, settings.resync_seconds, self.engine)
        self._was_active = False
        self._stop, self._wake = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        # Both complete in replicas that wait for the Lease, too: those are ready, or none could replace another.
        self._periodic = backends.health.loop("periodic", must_complete=True)
        self._openstack = backends.health.loop("openstack", must_complete=True)

    def stop(self) -> None:
        """End after the actions in progress. Nothing is withdrawn: the data plane keeps forwarding."""
        self._stop.set()
        self._wake.set()
        self.engine.stop()

    @property
    def has_ended(self) -> bool:
        """Whether `run` is over and no request of it is in progress any more."""
        return not any(thread.is_alive() for thread in self._threads)

    def wake(self) -> None:
        """Do what is due at once: this replica has become active, or is not any more."""
        self._wake.set()

    def run(self) -> None:
        """Run until stopped."""
        self.engine.queue.pace_seconds = _PACE_SECONDS
        self._backends.watch.start(self.feed)
        self._backends.peers.start(self._wake.set)
        self.engine.gateways.start(self.engine.mark_moves)
        threads = [threading.Thread(target=self._check_openstack, name="openstack", daemon=True)]
        workers = [self._backends.health.loop(f"worker-{number}") for number in range(_WORKERS)]
        threads += [threading.Thread(target=self._work, args=(k,), name=k.name, daemon=True) for k in workers]
        self._threads = threads
        try:
            self._look_after(threads)
        finally:
            self.engine.stop()
            self.engine.gateways.stop()
            self._backends.peers.stop()
            self._backends.watch.stop()
            for thread in threads:
                if thread.ident is not None:
                    thread.join(timeout=_STOP_SECONDS)

    def cycle(self, *, resync: bool) -> Outcome:
        """List everything, and reconcile in this thread what has changed, or everything at a resync.

        Raises ExternalError if the inputs cannot be read; failures of one key are part of the outcome.
        """
        engine = self.engine
        engine.queue.set_enabled(self._is_active())
        list_everything(self._backends.cluster, self.feed)
        self.refresh()
        engine.check_openstack(resync=resync)
        if resync:
            engine.follow_openstack(resync=True)
            engine.verify()
        engine.queue.retry_failed()
        return self.drain()

    def refresh(self) -> None:
        """Follow the peers that have credentials, and read the gateway nodes' Leases. Raises ExternalError."""
        self._follow_peers()
        self._observe_gateways()

    def drain(self) -> Outcome:
        """Reconcile in this thread what is due."""
        engine = self.engine
        actions, iterations = 0, dict[object, int]()
        while (key := engine.queue.take(0.0)) is not None:
            iterations[key] = iterations.get(key, 0) + (not engine.has_more(key))
            if iterations[key] > _MAX_ITERATIONS:
                engine.queue.done(key, failed=True)
                continue
            actions += engine.reconcile(key)
        return Outcome(actions, engine.failures)

    def tick(self) -> None:
        """Do what is due from time to time. Where nothing is, the number of networks does not matter."""
        engine = self.engine
        engine.kubernetes.tick()
        if self.feed.is_complete:
            if engine.state.credentials_are_outdated:
                follow_peers(engine.state, self._backends.peers)
            engine.state.set_views(self._backends.peers.views())
            is_active, was_active = self._is_active(), self._was_active
            self._was_active = is_active
            engine.queue.set_enabled(is_active)
            if is_active and not was_active:
                self._verification.restart()
            self._verification.tick()
        self._publish()

    def _look_after(self, threads: list[threading.Thread]) -> None:
        """Start the threads once the cache is complete, and do what is due from time to time."""
        self._periodic.begin()
        while not self._stop.is_set():
            is_complete = self.feed.is_complete
            self.tick()
            if is_complete and self.engine.kubernetes.is_available:
                self._periodic.completed()
            self._periodic.ended()
            for thread in threads if is_complete else ():
                if thread.ident is None:
                    thread.start()
            self._wake.wait(_TICK_SECONDS)
            self._wake.clear()

    def _work(self, loop: Loop) -> None:
        loop.begin()
        while not self._stop.is_set():
            self._reconcile_next()
            loop.ended()

    def _reconcile_next(self) -> None:
        """Reconcile the next key, or wait for one for a time."""
        key = self.engine.queue.take(_MAX_WAIT_SECONDS)
        if key is None:
            return
        try:
            self.engine.reconcile(key)
        except Stopped:
            self.engine.queue.done(key)
            self.engine.queue.add([key])
        except Exception:  # a defect of ours must not end the thread: nobody would take its place
            _LOG.exception("%s: unexpected failure, a defect of Isthmus", key)
            self.engine.queue.done(key, failed=True)

    def _check_openstack(self) -> None:
        """Check at the resync interval, and during an outage more often; keep the facts about networks up to date.

        On a thread of its own: it may hang.
        """
        check = Periodic(
            self._backends.clock, self._settings.resync_seconds, lambda: self.engine.check_openstack(resync=True)
        )
        was_active = False
        self._openstack.begin()
        while not self._stop.is_set():
            check.tick()
            self.engine.check_openstack(resync=False)
            is_active = self._is_active()
            if is_active:  # what is cached is old if another replica was
                self.engine.follow_openstack(resync=not was_active)
            was_active = is_active
            if self.engine.openstack_is_available:
                self._openstack.completed()
            self._openstack.ended()
            self._stop.wait(_OPENSTACK_CHECK_SECONDS)

    def _observe_gateways(self) -> None:
        self.engine.gateways.observe(self.engine.state.snapshot().all(GatewayNode))
        self.engine.mark_moves()

    def _follow_peers(self) -> None:
        follow_peers(self.engine.state, self._backends.peers)
        self.engine.state.set_views(self._backends.peers.views())

    def _on_watch_failure(self, error: ExternalError) -> None:
        self._backends.metrics.errors.labels("controller", error.reason).inc()
        self.engine.kubernetes.failed(error)

    def _publish(self) -> None:
        publish(self.engine.state.snapshot(), self._backends.metrics)
        self._backends.metrics.set(QUEUE_LENGTH, {(): float(len(self.engine.queue))})
