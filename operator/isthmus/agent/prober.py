"""Sends dataplane probes at an interval, on a thread of its own: a silent peer must not delay the agent's loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from isthmus.model.actions import Problem
from isthmus.model.errors import ExternalError, MissingCapability
from isthmus.model.node.flows import PathKey
from isthmus.model.node.host import ProbeResult
from isthmus.model.tracked import Tracked, changes
from isthmus.ports import DataplaneProbe
from isthmus.telemetry.health import Health

from .answers import Answers
from .rounds import Rounds

_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 1.0
_SPREAD = 0.5  # part of the interval over which the frames of all links are sent
_MAX_FRAMES_PER_SECOND = 2_000  # more links are probed less often
_LOST = ProbeResult(1, 0, None)


@dataclass
class _Link:
    mac: str
    answers: Answers = field(default_factory=Answers)
    rtt_seconds: float | None = None
    sent: int = 0
    lost: int = 0

    def record(self, result: ProbeResult) -> None:
        """Record a probe that was sent."""
        self.answers.record(result.received > 0)
        self.rtt_seconds = result.rtt_seconds or self.rtt_seconds
        self.sent += result.sent
        self.lost += result.sent - result.received

    @property
    def up(self) -> bool | None:
        return self.answers.up


@dataclass(frozen=True)
class ProbedLink:
    """A link, the numbers of probes since it was first probed, and the last round-trip time in seconds."""

    up: bool | None
    sent: int
    lost: int
    rtt_seconds: float | None


class Prober:
    """Probes links and calls `on_change`, on its own thread, when one comes up or goes down."""

    def __init__(
        self,
        probe: DataplaneProbe,
        interval_seconds: float,
        on_change: Callable[[], None],
        publish: Callable[[Mapping[PathKey, ProbedLink]], None] = lambda _: None,
        health: Health | None = None,
    ) -> None:
        """`publish` is called with all links after each round; `health` records the rounds."""
        self._probe = probe
        self._interval_seconds = interval_seconds
        self._on_change = on_change
        self._publish = publish
        self._rounds = Rounds("prober", self.probe_once, interval_seconds, health or Health())
        self._macs: Mapping[PathKey, str] = {}
        self._links: dict[PathKey, _Link] = {}
        self._up: Tracked[PathKey, bool] = Tracked()
        self._lock = threading.Lock()
        self.problem: Problem | None = None
        """Why no probe can be sent at all; nothing new is known of any link then."""

    def start(self) -> None:
        """Start probing."""
        self._rounds.start()

    def stop(self) -> None:
        """Stop after the current exchange."""
        self._rounds.stop()

    def follow(self, macs: Mapping[PathKey, str]) -> None:
        """Probe exactly these links from now on (link to its probe's source MAC); new ones at once."""
        with self._lock:
            changed = changes(self._macs, macs)
            keys = {*macs, *self._links} if changed is None else changed
            self._macs = macs
            for key in (gone := [key for key in keys if key in self._links and key not in macs]):
                del self._links[key]
            new = {key: _Link(macs[key]) for key in keys if key in macs and key not in self._links}
            self._links |= new
            self._up = self._up.updated(dict.fromkeys(gone))
        if new:
            self._rounds.hurry()

    def up(self) -> Mapping[PathKey, bool]:
        """Whether each link is up; links without enough probes to decide are left out."""
        with self._lock:
            return self._up

    def longest_round_trip(self, paths: Iterable[PathKey]) -> float:
        """The longest of the last round trips by these paths, in seconds; 0 if no probe has come back."""
        with self._lock:
            known = [self._links[path].rtt_seconds for path in paths if path in self._links]
        return max((seconds for seconds in known if seconds is not None), default=0.0)

    def probe_once(self) -> None:
        """Send one probe for each link and record the replies."""
        with self._lock:
            macs = {_name(key): link.mac for key, link in self._links.items()}
        if not macs:
            self.problem = None
            self._publish({})
            return
        spread = max(self._interval_seconds * _SPREAD, len(macs) / _MAX_FRAMES_PER_SECOND)
        results: Mapping[str, ProbeResult]
        problem: Problem | None
        try:
            results, problem = self._probe.exchange(macs, _TIMEOUT_SECONDS, spread), None
        except MissingCapability as error:
            results, problem = {}, Problem(error.reason, str(error))
        except ExternalError as error:
            _LOG.debug("%s", error)
            results, problem = dict.fromkeys(macs, _LOST), None
        changed = problem != self.problem
        self.problem = problem
        if self._record(results) or changed:
            self._on_change()
        self._publish(self._probed())

    def _record(self, results: Mapping[str, ProbeResult]) -> bool:
        """Record what is known; nothing is of a link that was added meanwhile or whose frame could not be sent."""
        with self._lock:
            before = self._up
            for key, link in self._links.items():
                result = results.get(_name(key))
                if result is not None and result.sent:
                    link.record(result)
            self._up = before.updated({key: link.up for key, link in self._links.items()})
            return self._up is not before

    def _probed(self) -> dict[PathKey, ProbedLink]:
        with self._lock:
            return {k: ProbedLink(link.up, link.sent, link.lost, link.rtt_seconds) for k, link in self._links.items()}


def _name(key: PathKey) -> str:
    return "/".join(key)
