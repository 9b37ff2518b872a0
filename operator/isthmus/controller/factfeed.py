"""Keeps the cached facts about all networks up to date with few requests, spread over time.

A summary of all networks, every few seconds, shows ports that were created or deleted. What it does not show is found
when all networks are listed again, part by part: a round takes the resync interval, or longer if there are so many
networks that it would send more requests than its share.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

from isthmus.core.network.remote_link import origin_of
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.errors import ExternalError
from isthmus.model.facts.openstack import Network, NetworkFacts, Project
from isthmus.ports import Clock, NetworkCloud

from .bulk import BulkReader, SharedFacts, is_bulk_readable
from .facts import FactCache, FactReader
from .groupfeed import GroupFeed

_SUMMARY_SECONDS: Final = 4.0
_PART: Final = 100  # networks or projects, as many as one request of each kind holds
_REQUESTS_PER_PART: Final = 5
_REQUESTS_PER_SECOND: Final = 2.0  # of rounds, and as many again of summaries
_FEW: Final = 3
_JITTER: Final = 0.1
_LOG = logging.getLogger(__name__)

Facts = Callable[[FactReader, Snapshot, str], NetworkFacts]


class FactFeed:
    """Updates a cache. `tick` is called every second or so, by one thread at a time."""

    def __init__(
        self, cloud: NetworkCloud, clock: Clock, cache: FactCache[NetworkFacts], make: Facts, resync_seconds: float
    ) -> None:
        self._cloud = cloud
        self._clock = clock
        self._cache = cache
        self._make = make
        self._resync_seconds = resync_seconds
        self._shared = SharedFacts(cloud, clock)
        self._summaries: Mapping[str, tuple[object, ...]] = {}
        self._pending: frozenset[str] = frozenset()
        """Networks that changed and were not listed since."""
        self._groups = GroupFeed(cloud)
        self._groups_are_listed = True
        self._summary_at = self._groups_at = self._part_at = 0.0
        self._last_of_round = ""

    def tick(self, snapshot: Snapshot) -> frozenset[str]:
        """Do what is due. Returns the link names of the networks whose facts changed. Raises ExternalError."""
        changed: frozenset[str] = frozenset()
        now = self._clock.monotonic_seconds()
        if now >= self._summary_at:
            self._pending |= self._changed_networks(now)
        if now >= self._groups_at:
            self._pending |= self._changed_groups(snapshot, now)
        if self._pending:
            changed |= self._follow(snapshot, self._pending)
            self._pending = frozenset()
        if now >= self._part_at:
            names = self._cache.versions().keys()
            self._part_at = now + self._pause_seconds(len(names))
            changed |= self.refresh(snapshot, self._next_part(names))
        return changed

    def _follow(self, snapshot: Snapshot, names: frozenset[str]) -> frozenset[str]:
        """A few networks are fetched one by one when their plans need it: a list would only come before that."""
        if len(names) > _FEW:
            return self.refresh(snapshot, names)
        for name in names:
            self._cache.invalidate(name)
        return names

    def refresh_all(self, snapshot: Snapshot) -> frozenset[str]:
        """Fetch the facts of all networks again, and what they share; returns whose changed. Raises ExternalError."""
        self._shared.clear()
        self._shared.max_age_seconds = self._resync_seconds
        return self.refresh(snapshot, self._cache.versions().keys())

    def project_of(self, network: Network) -> Project | None:
        """The project that owns a tenant's network; asked again from time to time only. Raises ExternalError."""
        return self._shared.get_project(network.project_id)

    def refresh(self, snapshot: Snapshot, link_names: Collection[str]) -> frozenset[str]:
        """Fetch the facts of these networks again, those that are cached; returns whose changed. Raises ExternalError.

        What lists cannot answer is fetched for one network when it is next needed.
        """
        versions = self._cache.versions()
        names = sorted(name for name in link_names if name in versions)
        changed: set[str] = set()
        for name in names:
            if not is_bulk_readable(snapshot, name):
                self._cache.invalidate(name)
                changed.add(name)
        readable = [name for name in names if name not in changed]
        for start in range(0, len(readable), _PART):
            part = readable[start : start + _PART]
            reader = BulkReader(self._cloud, self._shared, snapshot, part)
            for name in reader.unanswered:
                self._cache.invalidate(name)
            answered = (name for name in part if name not in reader.unanswered)
            changed |= {n for n in answered if self._cache.update(n, self._make(reader, snapshot, n), versions[n])}
            changed |= reader.unanswered
        return frozenset(changed)

    def _changed_networks(self, now: float) -> frozenset[str]:
        """Link names of the networks whose summary changed since the last call."""
        names = {network.id: (name, network.project_id) for name, network in self._known_networks()}
        projects = sorted({project_id for _, project_id in names.values()})
        requests = -(-len(projects) // _PART)
        self._summary_at = now + max(_SUMMARY_SECONDS, requests / _REQUESTS_PER_SECOND)
        summaries = self._cloud.network_summaries(*projects) if projects else {}
        if summaries is None:
            self._summary_at = float("inf")
            return frozenset()
        before, self._summaries = self._summaries, {id_: summaries[id_] for id_ in names if id_ in summaries}
        return frozenset(
            name for id_, (name, _) in names.items() if id_ in before and before[id_] != summaries.get(id_)
        )

    def _changed_groups(self, snapshot: Snapshot, now: float) -> frozenset[str]:
        """Link names of the networks whose groups changed; none if Neutron does not list them.

        Other networks do not wait for that. It is reported of each that needs them, when its own facts are fetched.
        """
        try:
            changed = self._groups.changed(snapshot, dict(self._known_networks()))
        except ExternalError as error:
            if self._groups_are_listed:
                _LOG.warning("changes of security groups are not noticed: %s", error)
            changed, self._groups_are_listed = frozenset(), False
        else:
            self._groups_are_listed = True
        self._groups_at = now + self._groups.pause_seconds
        return changed

    def _known_networks(self) -> Iterator[tuple[str, Network]]:
        for name in self._cache.versions():
            facts = self._cache.cached(name)
            if facts is not None and facts.network is not None and facts.network.project_id:
                yield name, facts.network

    def _pause_seconds(self, networks: int) -> float:
        """Until the next part; also sets how long shared facts are used, which is about a round."""
        parts = max(1, -(-networks // _PART))
        pause = max(self._resync_seconds / parts, _REQUESTS_PER_PART / _REQUESTS_PER_SECOND)
        pause *= 1 if parts == 1 else random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
        self._shared.max_age_seconds = parts * pause * (1 - _JITTER)
        return pause

    def _next_part(self, names: Collection[str]) -> list[str]:
        """The next networks of the round, those of one role and peer together; at the end the round begins again."""
        ordered = sorted(names, key=_place)
        part = [name for name in ordered if _place(name) > _place(self._last_of_round)][:_PART]
        if not part or part[-1] == ordered[-1]:
            self._last_of_round = ""
            self._shared.drop_old()
        else:
            self._last_of_round = part[-1]
        return part


def _place(name: str) -> tuple[str, str]:
    return origin_of(name), name
