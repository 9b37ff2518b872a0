"""Finds out what the paths to remote gateways carry whole, by echoes through the tunnels that may not be fragmented.

On a thread of its own: a search takes seconds, for which neither the agent's loop nor other probes wait.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from isthmus.core.node.pathmtu import PathMtu, answered, followed, interrupted, is_searching, next_size
from isthmus.core.node.paths import FullSize
from isthmus.model.errors import ExternalError
from isthmus.model.node.flows import LinkKey
from isthmus.ports import Clock, DataplaneProbe
from isthmus.telemetry.health import Health

from .rounds import Rounds

_LOG = logging.getLogger(__name__)
_INTERVALS: Final = 2  # of the probes of links
_TIMEOUT_SECONDS: Final = 1.0
_TRIES: Final = 3  # of each size of a search: of one of them the answer is enough
_MOST_STEPS: Final = 24  # in one round: more than any search has
_MAX_FRAMES_PER_SECOND: Final = 1_000


class WholeProber:
    """Calls `on_change`, on its own thread, when another size is known."""

    def __init__(
        self,
        probe: DataplaneProbe,
        interval_seconds: float,
        limits: Callable[[], Mapping[str, int]],
        links: Callable[[], Mapping[str, FullSize]],
        links_up: Callable[[], Mapping[LinkKey, bool]],
        on_change: Callable[[], None],
        clock: Clock,
        health: Health,
    ) -> None:
        """`limits` has, by connection, what our interface carries whole; `links` on which link it can be tested.

        It is tested while `links_up` has that link up. `interval_seconds` is that of the probes of links.
        """
        self._probe = probe
        self._limits, self._links, self._links_up = limits, links, links_up
        self._on_change = on_change
        self._clock = clock
        self._rounds = Rounds("path MTU", self.probe_once, interval_seconds * _INTERVALS, health)
        self._states: dict[str, PathMtu] = {}
        self.largest: Mapping[str, int] = {}
        """By connection, the largest IP packet of a machine in bytes that crosses whole, where that is known."""

    def start(self) -> None:
        """Start testing."""
        self._rounds.start()

    def stop(self) -> None:
        """Stop after the current round."""
        self._rounds.stop()

    def probe_once(self) -> None:
        """One echo of the largest known size on each path; on those where it is due, a whole search."""
        now = self._clock.monotonic_seconds()
        self._states = followed(self._states, self._limits(), now)
        links = self._links()
        up = self._up(links)
        for name in self._states.keys() - up.keys():
            self._states[name] = interrupted(self._states[name])
        for _ in range(_MOST_STEPS):
            passed = self._echo({name: mac for name, mac in up.items() if name in self._states}, now)
            for name, (size, has_passed) in passed.items():
                self._states[name] = answered(self._states[name], size, passed=has_passed, now=now)
            still_up = self._up(links)
            up = {name: still_up[name] for name in passed if self._states[name].search and name in still_up}
            if not up:
                break
        self._publish(links)

    def _up(self, links: Mapping[str, FullSize]) -> dict[str, str]:
        """By connection, the source address of the link that it can be tested on now."""
        up = self._links_up()
        return {name: link.probe_mac for name, link in links.items() if up.get(link.link)}

    def _echo(self, macs: Mapping[str, str], now: float) -> dict[str, tuple[int, bool]]:
        """By connection, the size that was tried and whether it came back; nothing where none could be sent."""
        sizes = {name: size for name in macs if (size := next_size(self._states[name], now)) is not None}
        tries = {
            name: [f"{name}/{number}" for number in range(_TRIES if is_searching(self._states[name], now) else 1)]
            for name in sizes
        }
        sources = {frame: macs[name] for name, frames in tries.items() for frame in frames}
        lengths = {frame: sizes[name] for name, frames in tries.items() for frame in frames}
        try:
            spread_seconds = len(sources) / _MAX_FRAMES_PER_SECOND
            results = (
                self._probe.exchange(sources, _TIMEOUT_SECONDS, spread_seconds, lengths, whole=True) if sizes else {}
            )
        except ExternalError as error:
            _LOG.debug("%s", error)
            return {}
        return {
            name: (sizes[name], any(results[frame].received for frame in frames))
            for name, frames in tries.items()
            if any(results[frame].sent for frame in frames)
        }

    def _publish(self, links: Mapping[str, FullSize]) -> None:
        before = self.largest
        self.largest = {name: state.largest for name, state in self._states.items() if state.largest is not None}
        if self.largest == before:
            return
        for name, largest in self.largest.items():
            state = self._states[name]
            if largest != before.get(name, state.limit) and name in links:
                _log(links[name].link[1], name, state)
        self._on_change()


def _log(cloud_id: str, name: str, state: PathMtu) -> None:
    if state.largest == state.limit:
        _LOG.info(
            "all packets that our interface carries cross whole to %s (%s), up to %d bytes", cloud_id, name, state.limit
        )
        return
    _LOG.warning(
        "packets of up to %d bytes cross whole to %s (%s), and our interface carries %d",
        state.largest,
        cloud_id,
        name,
        state.limit,
    )
