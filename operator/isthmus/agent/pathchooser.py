"""Chooses by which of its two paths each member is sent to, by probes of both that are sent more often than others.

On a thread of its own: the agent's loop must not wait for what does not come back.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from isthmus.core.node.pathchoice import (
    Choice,
    TwoPaths,
    first_choice,
    leads_alike,
    members_with_two_paths,
    path_before,
    probes_of,
    rechosen,
)
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.errors import ExternalError, MissingCapability
from isthmus.model.node.flows import LinkKey, PathKey, PlannedNetwork, PlannedNetworks
from isthmus.model.node.host import ProbeResult
from isthmus.model.tracked import Tracked, differing
from isthmus.ports import Clock, DataplaneProbe
from isthmus.telemetry.health import Health

from .rounds import Rounds

_LOG = logging.getLogger(__name__)
_INTERVAL_SECONDS: Final = 0.2  # three probes, and what follows, in less than 1.5 s
_LEAST_TIMEOUT_SECONDS: Final = 0.2  # and twice as long as the longest of the last round trips
_MOST_TIMEOUT_SECONDS: Final = 1.0
_MAX_FRAMES_PER_SECOND: Final = 1_000  # more paths are probed less often
_LOST: Final = ProbeResult(1, 0, None)


class PathChooser:
    """Calls `on_change`, on its own thread, when another path is chosen. Its methods may be called on any thread."""

    def __init__(
        self,
        node: str,
        probe: DataplaneProbe,
        longest_round_trip: Callable[[Iterable[PathKey]], float],
        on_change: Callable[[], None],
        clock: Clock,
        health: Health,
    ) -> None:
        """`longest_round_trip` is of the last probes that were waited for longer, in seconds."""
        self._node, self._probe, self._clock = node, probe, clock
        self._longest_round_trip, self._on_change = longest_round_trip, on_change
        self._rounds = Rounds("path chooser", self.probe_once, _INTERVAL_SECONDS, health)
        self._may_start = self._is_started = False
        self._lock = threading.Lock()
        self._networks: Mapping[str, PlannedNetwork] = {}
        self._paths: dict[LinkKey, TwoPaths] = {}
        self._unplaced: set[LinkKey] = set()
        """Members whose paths have changed, while probes may still take the former ones."""
        self._macs: Mapping[PathKey, str] = {}
        self._choices: dict[LinkKey, Choice] = {}
        self._bfd_up: Mapping[str, bool] = {}
        self.direct: Tracked[LinkKey, bool] = Tracked()
        """The members that are to be sent to directly, of those with two paths."""
        self._changes: Counter[LinkKey] = Counter()

    def start(self) -> None:
        """Start probing as soon as there is anything to choose."""
        self._may_start = True
        self._start_if_needed()

    def stop(self) -> None:
        """Stop after the current exchange."""
        self._rounds.stop()

    def follow(self, networks: PlannedNetworks, attachments: Mapping[str, Attachment]) -> Mapping[LinkKey, bool]:
        """Choose for exactly these networks from now on; returns `direct`. Its flows are in place with `placed`.

        The last choice for a network that is new to this agent is in the status of its Attachment.
        """
        with self._lock:
            before, after = self._networks, networks.by_name
            changed, self._networks = differing(before, after), after
            for name in changed:
                self._follow(before.get(name), after.get(name), attachments.get(name))
            if changed:
                self._macs = probes_of(self._paths)
                self._publish()
        self._start_if_needed()
        return self.direct

    def placed(self) -> None:
        """The flows of these networks are in place, as far as they can be: probes take their paths."""
        with self._lock:
            self._unplaced.clear()

    def observe(self, bfd_up: Mapping[str, bool]) -> None:
        """The state of BFD, by tunnel port, has been read."""
        with self._lock:
            self._bfd_up = bfd_up
            changed = self._decide({}, {})
        if changed:
            self._on_change()

    def changes(self) -> Mapping[tuple[str, ...], float]:
        """How often the path to each member has changed since it has two."""
        with self._lock:
            return {key: self._changes[key] for key in self._paths}

    def probe_once(self) -> None:
        """Send one probe by both paths to each member, and choose."""
        with self._lock:
            macs, names = {_name(key): mac for key, mac in self._macs.items()}, [*self._macs]
            probed = {key: two for key, two in self._paths.items() if key not in self._unplaced}
        if not macs:
            return
        timeout = _LEAST_TIMEOUT_SECONDS + 2 * self._longest_round_trip(names)
        results: Mapping[str, ProbeResult]
        try:
            results = self._probe.exchange(
                macs, min(timeout, _MOST_TIMEOUT_SECONDS), len(macs) / _MAX_FRAMES_PER_SECOND
            )
        except MissingCapability:
            return  # the prober of all paths says so
        except ExternalError as error:
            _LOG.debug("%s", error)
            results = dict.fromkeys(macs, _LOST)
        with self._lock:
            changed = self._decide(probed, results)
        if changed:
            self._on_change()

    def _start_if_needed(self) -> None:
        if self._may_start and self._paths and not self._is_started:
            self._is_started = True
            self._rounds.start()

    def _follow(
        self, before: PlannedNetwork | None, after: PlannedNetwork | None, attachment: Attachment | None
    ) -> None:
        old, new = members_with_two_paths(before), members_with_two_paths(after)
        for key in old.keys() - new.keys():
            del self._paths[key], self._choices[key]
            self._changes.pop(key, None)
            self._unplaced.discard(key)
        for key, two in new.items():
            if key in old:
                self._choices[key] = rechosen(self._choices[key], old[key], two)
            elif before is not None:
                self._choices[key] = Choice(is_direct=path_before(before, key[1]) == "Direct")
            else:
                self._choices[key] = first_choice(_reported(self._node, attachment, two))
            if key not in old or not all(map(leads_alike, old[key], two)):
                self._unplaced.add(key)
            self._paths[key] = two

    def _decide(self, probed: Mapping[LinkKey, TwoPaths], results: Mapping[str, ProbeResult]) -> bool:
        """Choose by these probes of these paths; whether any choice has changed."""
        now, bfd_up = self._clock.monotonic_seconds(), self._bfd_up
        for key, two in self._paths.items():
            before, name = self._choices[key], key[0]
            direct, through_origin = (
                _answered(results.get(_name((name, link.path)))) if was is not None and leads_alike(was, link) else None
                for was, link in zip(probed.get(key, (None, None)), two, strict=True)
            )
            after = before.probed(direct, through_origin, now).decided(
                bfd_up=bfd_up.get(two.direct.tunnel_port, True), now=now
            )
            if after.is_direct != before.is_direct:
                self._changes[key] += 1
                way = "directly" if after.is_direct else "through the origin"
                _LOG.info("frames of network %s to member %s are sent %s", name, two.direct.number, way)
            self._choices[key] = after
        return self._publish()

    def _publish(self) -> bool:
        before = self.direct
        self.direct = before.becoming({key: True for key, choice in self._choices.items() if choice.is_direct})
        return self.direct is not before


def _answered(result: ProbeResult | None) -> bool | None:
    """None if none was sent."""
    return bool(result.received) if result is not None and result.sent else None


def _reported(node: str, attachment: Attachment | None, two: TwoPaths) -> str | None:
    """The path to a member that the node has reported last."""
    entries = attachment.status.nodes if attachment is not None else ()
    members = (member for entry in entries if entry.node == node for member in entry.members)
    return next((member.path for member in members if member.number == two.direct.number), None)


def _name(key: PathKey) -> str:
    return "/".join(key)
