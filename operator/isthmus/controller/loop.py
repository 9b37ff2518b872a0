"""The controller's loop: read everything, settle each peer and network, say what changed. Events only wake it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from isthmus.core.snapshot import Snapshot
from isthmus.model.actions import Problem
from isthmus.model.errors import OutsideError
from isthmus.model.settings import ControllerSettings

from .cycle import Cycle
from .gather import read_snapshot
from .gauges import show
from .scopes import AllFacts, GatewayNodes, network_scopes, peer_scopes
from .worlds import Worlds

_LOG = logging.getLogger(__name__)
_DEBOUNCE_SECONDS = 0.2
_FIRST_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """What a cycle did and saw."""

    actions: int = 0
    """Effects, statuses included."""
    failures: Mapping[str, Problem] = field(default_factory=dict)
    snapshot: Snapshot | None = None


class Controller:
    """One cloud's side of the federation."""

    def __init__(self, settings: ControllerSettings, worlds: Worlds) -> None:
        self._settings = settings
        self._worlds = worlds
        self._facts = AllFacts(worlds)
        self._stop, self._wake = threading.Event(), threading.Event()
        self._resync_at = self._retry_seconds = 0.0

    def stop(self) -> None:
        """End after what is being done now. Nothing is taken back: the data plane does not notice."""
        self._stop.set()
        self._wake.set()

    def run(self) -> None:
        """Until stopped."""
        self._resync_at = self._worlds.clock.monotonic_seconds()
        self._worlds.watch.start(self._wake.set)
        self._worlds.peers.start(self._wake.set)
        try:
            while not self._stop.is_set():
                self._wake.clear()
                pause_seconds = self._turn()
                if self._wake.wait(pause_seconds):
                    self._stop.wait(_DEBOUNCE_SECONDS)
        finally:
            self._worlds.peers.stop()
            self._worlds.watch.stop()

    def cycle(self, *, resync: bool) -> Outcome:
        """Everything once; a resync also asks OpenStack about what seems to need nothing."""
        self._facts.begin_cycle(resync=resync)
        cycle = Cycle(self._worlds, read_snapshot(self._settings, self._worlds))
        peers = peer_scopes(cycle.snapshot, self._facts)
        cycle.settle(GatewayNodes())
        for peer in peers:
            cycle.settle(peer)
        for network in network_scopes(cycle.snapshot, self._facts):
            cycle.settle(network)
            cycle.tell(network)
        for peer in peers:
            cycle.tell(peer)
        return Outcome(cycle.actions, cycle.failures, cycle.snapshot)

    def _turn(self) -> float:
        """One cycle; how long to wait for a reason for the next one."""
        now = self._worlds.clock.monotonic_seconds()
        resync = now >= self._resync_at
        outcome = self._measured(resync)
        if resync:
            self._resync_at = now + self._settings.resync_seconds
        if outcome.failures:
            return self._retry_after()
        self._retry_seconds = 0.0
        return 0.0 if outcome.actions else max(0.0, self._resync_at - self._worlds.clock.monotonic_seconds())

    def _measured(self, resync: bool) -> Outcome:
        metrics = self._worlds.metrics
        with metrics.reconciling("controller"):
            try:
                outcome = self.cycle(resync=resync)
            except OutsideError as error:
                _LOG.warning("Kubernetes API: %s", error)
                outcome = Outcome(failures={"snapshot": Problem(error.reason, str(error))})
        for problem in outcome.failures.values():
            metrics.errors.labels("controller", problem.reason).inc()
        if outcome.snapshot is not None:
            show(outcome.snapshot, metrics)
        return outcome

    def _retry_after(self) -> float:
        """Longer each time, up to the resync."""
        self._retry_seconds = min(max(_FIRST_RETRY_SECONDS, 2 * self._retry_seconds), self._settings.resync_seconds)
        return self._retry_seconds
