"""Events and lists may reach the controller in any order, late and more than once: the outcome is that of a full list.

Two controllers of a federation learn of their objects by events alone, which are shuffled, repeated and mixed with
old events and old lists.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.controller.feed import WATCHED, Feed
from isthmus.controller.inputs import list_everything
from isthmus.controller.state import State
from isthmus.core.snapshot.cache import Cache
from isthmus.core.snapshot.facets import facets_of
from isthmus.model.api.kinds import KINDS
from isthmus.ports import Cluster, Manifest, Observer
from tests.fakes.federation import FakeCloud, FakeFederation
from tests.fakes.store import Key, Store
from tests.property.test_convergence import Simulation

Report = Callable[[Observer], None]
_MAX_OLD = 8


@dataclass
class Reported:
    """What was reported about the objects of one cloud."""

    store: Store
    objects: dict[Key, Manifest] = field(default_factory=dict)
    history: list[Report] = field(default_factory=list)

    def changes(self) -> list[Report]:
        """Events about everything that has changed since the last call, and a list of each kind as it is now."""
        before, self.objects = self.objects, self._read()
        gone = [(key, manifest) for key, manifest in before.items() if self._is_gone(key, manifest)]
        events = [_removed(key.kind, _as_deleted(manifest, self.store.version)) for key, manifest in gone]
        events += [_changed(key.kind, m) for key, m in self.objects.items() if before.get(key) != m]
        self.history += events
        version = str(self.store.version)
        lists = [_listed(kind, [m for key, m in self.objects.items() if key.kind == kind], version) for kind in WATCHED]
        self.history += lists
        return events

    def _read(self) -> dict[Key, Manifest]:
        found = {key: self.store.read(key) for key in self.store.entries if key.kind in WATCHED}
        return {key: manifest for key, manifest in found.items() if manifest is not None}

    def _is_gone(self, key: Key, manifest: Manifest) -> bool:
        now = self.objects.get(key)
        return now is None or now["metadata"]["uid"] != manifest["metadata"]["uid"]


def _as_deleted(manifest: Manifest, version: int) -> Manifest:
    return manifest | {"metadata": manifest["metadata"] | {"resourceVersion": str(version)}}


def _changed(kind: str, manifest: Manifest) -> Report:
    return lambda observer: observer.changed(kind, manifest)


def _removed(kind: str, manifest: Manifest) -> Report:
    return lambda observer: observer.removed(kind, manifest)


def _listed(kind: str, manifests: list[Manifest], version: str) -> Report:
    return lambda observer: observer.listed(kind, manifests, version)


class Disorder:
    """Takes the place of `list_everything`."""

    def __init__(self, clouds: list[FakeCloud], choose: random.Random) -> None:
        self._clouds, self._choose = clouds, choose
        self._reported = {cloud.cloud_id: Reported(cloud.store) for cloud in clouds}
        self._known: dict[str, Observer] = {}

    def __call__(self, cluster: Cluster, observer: Observer) -> None:
        cloud = next(cloud for cloud in self._clouds if cloud.controller.feed is observer)
        reported = self._reported[cloud.cloud_id]
        if self._known.get(cloud.cloud_id) is not observer:  # a process that has just started lists everything
            self._known[cloud.cloud_id] = observer
            reported.changes()
            list_everything(cluster, observer)
            return
        events = reported.changes()
        repeated = self._choose.sample(events, len(events) // 2)
        old = self._choose.sample(reported.history, min(_MAX_OLD, len(reported.history)))
        reports = events + repeated + old
        self._choose.shuffle(reports)
        for report in reports:
            report(observer)


def _contents(cache: Cache) -> tuple[object, ...]:
    """Everything that planners find in a cache, and how they find it."""
    objects = {(kind, key): cache.get(kind, key) for kind in KINDS for key in cache.keys(kind)}
    found = {
        (type(obj), facet): sorted(cache.keys_with(type(obj), facet.name, facet.value))
        for obj in objects.values()
        if obj is not None
        for facet in facets_of(obj)
    }
    counts = {(kind, name): cache.counts(kind, name) for kind, (name, _) in found}
    return objects, found, counts, cache.namespaces.reduced, cache.nodes.reduced


def _listed_contents(cloud: FakeCloud) -> tuple[object, ...]:
    own = cloud.controller.engine.state.snapshot().own
    state = State(own, cloud.backends.clock, lambda _: None, dict)
    list_everything(cloud.backends.cluster, Feed(state, lambda: None, lambda _: None))
    return _contents(state.snapshot().cache)


def _is_as_after_a_full_pass(federation: FakeFederation) -> None:
    for cloud in federation.clouds:
        assert _contents(cloud.controller.engine.state.snapshot().cache) == _listed_contents(cloud)
    before = federation.writes()
    for cloud in federation.clouds:
        cloud.restart()
        assert cloud.cycle().actions == 0
    assert federation.writes() == before


ACTIONS: tuple[Callable[[Simulation, int], None], ...] = (
    Simulation.expand,
    Simulation.withdraw,
    Simulation.unbind,
    Simulation.bind,
    Simulation.delete_peer,
    Simulation.agree,
    Simulation.cordon,
    Simulation.cycle,
)


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3)), max_size=20), st.randoms())
@settings(suppress_health_check=list(HealthCheck))
def test_any_order_of_events_ends_as_one_full_pass(
    steps: list[tuple[Callable[[Simulation, int], None], int]], choose: random.Random
) -> None:
    simulation = Simulation()
    with patch("isthmus.controller.loop.list_everything", Disorder(simulation.federation.clouds, choose)):
        simulation.settle()
        for action, which in steps:
            action(simulation, which)
        simulation.settle()
    _is_as_after_a_full_pass(simulation.federation)
