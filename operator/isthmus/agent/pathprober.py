"""Tests paths to gateways of peers: ICMP echo where nothing arrives, and dataplane probes of full size elsewhere.

On a thread of its own: neither the agent's loop nor the probes of links wait for these.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from isthmus.core.node.paths import FullSize
from isthmus.model.errors import ExternalError
from isthmus.model.node.flows import LinkKey
from isthmus.ports import DataplaneProbe, GatewayPing
from isthmus.telemetry.health import Health

from .answers import Answers
from .rounds import Rounds

_LOG = logging.getLogger(__name__)
_INTERVALS = 2  # of the probes of links: these change more slowly, and full frames cost more
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
        self._longest, self._links_up = longest, links_up
        self._on_change = on_change
        self._rounds = Rounds("path prober", self.probe_once, interval_seconds * _INTERVALS, health)
        self._answers, self._reflections = _AnswersOfEach(), _AnswersOfEach()
        self.silent: frozenset[str] = frozenset()
        """Addresses of gateways to ping. Assigned by the agent's loop."""
        self.pings: Mapping[str, bool] = {}
        """Whether each of them answers, once that is known."""
        self.full_sizes: Mapping[str, FullSize] = {}
        """By connection."""

    def start(self) -> None:
        """Start testing."""
        self._rounds.start()

    def stop(self) -> None:
        """Stop after the current exchange."""
        self._rounds.stop()

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


class _AnswersOfEach:
    """The last answers of each; one that was not tried this time is forgotten."""

    def __init__(self) -> None:
        self._of: dict[str, Answers] = {}

    def record(self, answered: Mapping[str, bool]) -> dict[str, bool]:
        """Record these; whether each is up, without those of which that is not decided."""
        self._of = {name: self._of.get(name, Answers()) for name in answered}
        for name, has_answered in answered.items():
            self._of[name].record(has_answered)
        return {name: answers.up for name, answers in self._of.items() if answers.up is not None}
