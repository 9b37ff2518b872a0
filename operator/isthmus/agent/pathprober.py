"""Tests paths to gateways of peers: ICMP echo where nothing arrives, and dataplane probes of full size elsewhere.

On a thread of its own: neither the agent's loop nor the probes of links wait for these.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Generic, TypeVar

from isthmus.core.node.paths import FullSize
from isthmus.model.errors import ExternalError
from isthmus.model.node.flows import LinkKey
from isthmus.ports import DataplaneProbe, GatewayPing
from isthmus.telemetry.health import Health

from .attempts import Barrier

K = TypeVar("K", bound=Hashable)

_LOG = logging.getLogger(__name__)
_INTERVALS = 2  # of the probes of links: these change more slowly, and full frames cost more
_FAILED_AFTER = 3
_TIMEOUT_SECONDS = 1.0


class PathProber:
    """Calls `on_change`, on its own thread, when a result changes."""

    def __init__(
        self,
        probe: DataplaneProbe,
        ping: GatewayPing,
        interval_seconds: float,
        longest: Callable[[], Mapping[str, FullSize]],
        links_up: Callable[[], Mapping[LinkKey, bool]],
        on_change: Callable[[], None],
        health: Health,
    ) -> None:
        """`longest` has the link of each connection on which to send frames of full size, while `links_up` has it up.

        `interval_seconds` is that of the probes of links.
        """
        self._probe, self._ping = probe, ping
        self._interval_seconds = interval_seconds * _INTERVALS
        self._longest, self._links_up = longest, links_up
        self._on_change = on_change
        self._loop = health.loop("path prober")
        self._stop = threading.Event()
        self._barrier = Barrier()
        self._answers: _Answers[str] = _Answers()
        self._reflections: _Answers[str] = _Answers()
        self.silent: frozenset[str] = frozenset()
        """Addresses of gateways to ping. Assigned by the agent's loop."""
        self.pings: Mapping[str, bool] = {}
        """Whether each of them answers, once that is known."""
        self.full_sizes: Mapping[str, FullSize] = {}
        """By connection."""

    def start(self) -> None:
        """Start testing."""
        threading.Thread(target=self._run, name="path prober", daemon=True).start()

    def stop(self) -> None:
        """Stop after the current exchange."""
        self._stop.set()

    def probe_once(self) -> None:
        """Ping silent gateways, and send one frame of full size on each connection with a link that is up."""
        before = self.pings, self.full_sizes
        self._ping_silent()
        self._send_full_size()
        if before != (self.pings, self.full_sizes):
            self._on_change()

    def _ping_silent(self) -> None:
        addresses = self.silent
        try:
            answering = self._ping.answering(addresses, _TIMEOUT_SECONDS) if addresses else frozenset()
        except ExternalError as error:
            _LOG.debug("%s", error)
            return
        self.pings = self._answers.record({address: address in answering for address in addresses})

    def _send_full_size(self) -> None:
        longest, up = self._longest(), self._links_up()
        tried = {name: wanted for name, wanted in longest.items() if up.get(wanted.link)}
        macs = {name: wanted.probe_mac for name, wanted in tried.items()}
        mtus = {name: wanted.mtu for name, wanted in tried.items()}
        try:
            results = self._probe.exchange(macs, _TIMEOUT_SECONDS, 0.0, mtus) if macs else {}
        except ExternalError as error:
            _LOG.debug("%s", error)
            return
        passes = self._reflections.record({name: r.received > 0 for name, r in results.items() if r.sent})
        self.full_sizes = {name: replace(wanted, passes=passes.get(name)) for name, wanted in tried.items()}

    def _run(self) -> None:
        self._loop.begin()
        while not self._stop.is_set():
            next_at = time.monotonic() + self._interval_seconds
            try:
                self.probe_once()
            except Exception as error:
                self._barrier.problem(error)
            self._loop.ended()
            self._stop.wait(max(0.0, next_at - time.monotonic()))


class _Answers(Generic[K]):
    """The last answers of each; one that was not tried this time is forgotten."""

    def __init__(self) -> None:
        self._last: dict[K, deque[bool]] = {}

    def record(self, answers: Mapping[K, bool]) -> dict[K, bool]:
        """Record these; True after one answer, False after three that are missing, else left out."""
        self._last = {key: self._last.get(key, deque(maxlen=_FAILED_AFTER)) for key in answers}
        for key, answer in answers.items():
            self._last[key].append(answer)
        known = {key: any(last) for key, last in self._last.items()}
        return {key: up for key, up in known.items() if up or len(self._last[key]) == _FAILED_AFTER}
