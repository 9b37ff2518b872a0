"""Makes sure that one replica of the controller acts: takes and renews the Lease on a thread of its own."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar, cast

from isthmus.core.election import Candidate, Timing
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.model.names import CONTROLLER
from isthmus.ports import Clock, Leases, is_effect
from isthmus.telemetry.health import Health

_LOG = logging.getLogger(__name__)
LEASE: Final = CONTROLLER
P = TypeVar("P")


class NotActive(Unavailable):
    """Another replica is active, or the Lease could not be renewed in time: nothing may be changed."""


class Election:
    """One candidate. Safe to use from several threads."""

    def __init__(
        self,
        leases: Leases,
        clock: Clock,
        identity: str | None = None,
        timing: Timing | None = None,
        health: Health | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """`health` records that the thread makes progress, which a replica that waits for the Lease does.

        `annotations` are written to the Lease.
        """
        self._annotations = annotations or {}
        self._leases = leases
        self._clock = clock
        self._candidate = Candidate(identity or new_identity(), timing or Timing())
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._was_active = False
        self._must_read = True
        self._known_holder = ""
        self._loop = (health or Health()).loop("election")

    def start(self, changed: Callable[[], None]) -> None:
        """Take part on a thread of its own; `changed` is called when this replica becomes active, or stops being it."""
        self._thread = threading.Thread(target=self._run, args=(changed,), name="election", daemon=True)
        self._thread.start()

    def stop(self, *, release: bool = True) -> None:
        """Leave. `release` the Lease, if it is ours, MUST be given only if nothing acts any more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if release:
            self._release()

    def is_active(self) -> bool:
        """Whether this replica may act now."""
        with self._lock:
            return self._candidate.is_active(self._clock.monotonic_seconds())

    def require(self) -> None:
        """Raise NotActive unless this replica may act now; asked before each effect."""
        if not self.is_active():
            raise NotActive("this replica of the controller is not active: another one is, or the Lease was lost")

    def attempt(self) -> bool:
        """Renew the Lease, or try to get it, once; returns whether this replica is active. Raises nothing."""
        began_at = self._clock.monotonic_seconds()
        try:
            self._renew_or_claim(began_at)
        except ExternalError as error:
            _LOG.debug("election: %s", error)
            self._must_read = True  # somebody may have written it; if the answer was lost, we ourselves
        self._log_changes()
        return self._was_active

    def _renew_or_claim(self, began_at: float) -> None:
        candidate = self._candidate
        if self._must_read or not candidate.is_active(began_at):
            lease = self._leases.get_lease(LEASE)
            candidate = candidate.after_reading(lease, self._clock.monotonic_seconds())
            self._set(candidate)
        if not candidate.may_claim(self._clock.monotonic_seconds()):
            return
        claim = replace(candidate.claim(LEASE, self._clock.now()), annotations=self._annotations)
        stored = self._leases.update_lease(claim)
        self._set(candidate.after_claim(stored, began_at, self._clock.monotonic_seconds()))
        self._must_read = False

    def _set(self, candidate: Candidate) -> None:
        with self._lock:
            self._candidate = candidate

    def _log_changes(self) -> None:
        active, lease = self.is_active(), self._candidate.lease
        if active and not self._was_active:
            _LOG.info("active: this replica (%s) has Lease %s", self._candidate.identity, LEASE)
        elif self._was_active and not active:
            _LOG.warning("not active any more: Lease %s was not renewed in time, or was taken", LEASE)
        holder = lease.holder if lease else ""
        if not active and holder != self._known_holder and holder not in {"", self._candidate.identity}:
            _LOG.info("waiting: replica %s is active", holder)
        self._was_active, self._known_holder = active, holder

    def _run(self, changed: Callable[[], None]) -> None:
        before = False
        self._loop.begin()
        while not self._stop.is_set():
            active = self.attempt()
            if active != before:
                changed()
            before = active
            self._loop.ended()
            self._stop.wait(self._candidate.timing.retry_seconds)

    def _release(self) -> None:
        released = self._candidate.released()
        self._set(Candidate(self._candidate.identity, self._candidate.timing))
        if released is None:
            return
        try:
            self._leases.update_lease(released)
        except ExternalError as error:
            _LOG.debug("election: the Lease was not released: %s", error)


def new_identity() -> str:
    """Different for every process, also for two on one host."""
    return f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"


def guarded(port: P, require: Callable[[], None]) -> P:
    """The port; `require` is called before each effect, and what it raises keeps the effect from being performed."""
    return cast(P, _Guarded(port, require))


class _Guarded:
    def __init__(self, port: object, require: Callable[[], None]) -> None:
        self._port, self._require = port, require

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not is_effect(name):
            return method

        def effect(*arguments: Any, **named: Any) -> Any:
            self._require()
            return method(*arguments, **named)

        return effect
