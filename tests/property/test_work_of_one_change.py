"""The work of one change, and of none, does not depend on how many networks there are.

Counted are calls to each port, keys, and objects visited, and where these would not show it, what Python executes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from isthmus.controller.feed import WATCHED
from isthmus.core.snapshot.cache import Cache
from isthmus.core.snapshot.views import PeerViews
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLinkSpec
from isthmus.model.api.v1alpha1.portslice import PortSliceSpec
from isthmus.model.facts.peer import PeerView, Published
from isthmus.model.names import API_VERSION
from isthmus.model.sharedmapping import SharedMapping
from tests.fakes.many import ManyNetworks
from tests.fakes.steps import steps
from tests.fakes.store import Key

FEW, MANY = 10, 80
SIZES = [(FEW, MANY), pytest.param((100, 10_000), marks=pytest.mark.long)]
Change = Callable[[ManyNetworks], None]


def _started(count: int) -> ManyNetworks:
    """A controller that knows all networks, and has found nothing to do."""
    many = ManyNetworks(count, peers=2)
    controller = many.a.controller
    for kind in WATCHED:
        controller.feed.listed(kind, many.manifests(kind))
    controller.refresh()
    controller.engine.verify()
    controller.drain()
    controller.engine.verify()
    assert controller.drain().actions == 0
    return many


def _report(many: ManyNetworks, key: Key) -> None:
    manifest = many.a.store.read(key)
    assert manifest is not None
    many.a.controller.feed.changed(key.kind, manifest)


def expansion_added(many: ManyNetworks) -> None:
    _, network, _ = many.a.tenant("fresh", "10.99.0.0/24")
    many.a.expand(network.id, "cloud-b", "cloud-c", namespace="fresh")
    _report(many, Key("v1", "Namespace", None, "fresh"))
    _report(many, Key(API_VERSION, "NetworkExpansion", "fresh", "web"))


def agent_reports(many: ManyNetworks) -> None:
    """A link of one network goes down."""
    attachment = next(many.manifests("Attachment"))
    attachment["status"]["nodes"][0]["links"][0] |= {"up": False, "reason": "ProbeUnanswered"}
    attachment["metadata"]["resourceVersion"] = "100000"
    many.a.controller.feed.changed("Attachment", attachment)


def peer_changes_a_link(many: ManyNetworks) -> None:
    views = dict(many.peers.views())
    links = views["cloud-b"].links
    name = sorted(links)[1]
    changed = replace(links[name], generation=links[name].generation + 1)
    views["cloud-b"] = replace(views["cloud-b"], links=links.with_value(name, changed))
    many.a.controller.engine.state.set_views(views)


def link_deleted_by_hand(many: ManyNetworks) -> None:
    links = [link for link in many.manifests("ExpansionLink") if link["metadata"]["namespace"].endswith("cloud-b")]
    many.a.controller.feed.removed("ExpansionLink", links[-1])


def heartbeats(many: ManyNetworks) -> None:
    """What others write into objects makes no work at all."""
    peer = next(many.manifests("CloudPeer"))
    peer["metadata"] |= {"resourceVersion": "100000", "annotations": {"example.org/seen": "now"}}
    peer["status"]["conditions"] = [*peer["status"]["conditions"], {"type": "Seen", "status": "True", "reason": "Seen"}]
    many.a.controller.feed.changed("CloudPeer", peer)
    node = {"metadata": {"name": "worker-1", "labels": {}}, "status": {"conditions": [{"type": "Ready"}]}}
    many.a.controller.feed.changed("Node", node)
    namespaces = {manifest["metadata"]["name"]: manifest for manifest in many.manifests("Namespace")}
    namespaces["shop-7"]["metadata"]["annotations"]["example.org/seen"] = "now"
    many.a.controller.feed.changed("Namespace", namespaces["shop-7"])


CHANGES: tuple[Change, ...] = (expansion_added, agent_reports, peer_changes_a_link, link_deleted_by_hand)


def _work(many: ManyNetworks, change: Change, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The calls to each port, how often each sort of key was reconciled, and the number of objects visited."""
    engine, visited, keys = many.a.controller.engine, Counter[str](), Counter[str]()
    get, reconcile = Cache.get, engine.reconcile

    def counted_get(self: Cache, kind: Any, key: Any) -> Any:
        visited[kind.__name__] += 1
        return get(self, kind, key)

    def counted_reconcile(key: Any) -> int:
        keys[key.subject.name] += 1
        return reconcile(key)

    with monkeypatch.context() as patched:
        patched.setattr(Cache, "get", counted_get)
        patched.setattr(engine, "reconcile", counted_reconcile)
        many.cluster.calls.clear()
        many.cloud.calls.clear()
        change(many)
        many.a.controller.drain()
    return {"kubernetes": many.cluster.calls, "openstack": many.cloud.calls, "keys": keys, "visited": visited}


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_work_is_the_same_with_few_and_with_many_networks(
    change: Change, sizes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = (_work(_started(count), change, monkeypatch) for count in sizes)
    assert few["keys"], "the change makes work"
    assert few == many


def test_what_others_write_makes_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    work = _work(_started(FEW), heartbeats, monkeypatch)
    assert (work["keys"], work["kubernetes"], work["openstack"]) == ({}, {}, {})


def test_namespace_of_a_tenant_makes_work_for_its_networks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def unbind(many: ManyNetworks) -> None:
        many.a.controller.feed.changed("Namespace", {"metadata": {"name": "shop-3"}})

    work = _work(_started(FEW), unbind, monkeypatch)
    assert isinstance(work["keys"], Counter)
    assert work["keys"]["NETWORK"] < 5


def test_change_of_one_link_is_found_without_a_look_at_the_others() -> None:
    few, many = (_steps_of_a_peers_change(count) for count in (100, 10_000))
    assert many < 1.2 * few


def _slice(name: str, generation: int) -> Published[PortSliceSpec]:
    return Published(name, generation, None)


def _steps_of_a_peers_change(count: int) -> int:
    names = [f"cloud-b.{number}" for number in range(count)]
    links = SharedMapping({name: Published[ExpansionLinkSpec](name, 1, None) for name in names})
    slices = SharedMapping[str, Mapping[int, Published[PortSliceSpec]]]({name: {0: _slice(name, 1)} for name in names})
    view, held = PeerView(reachable=True, complete=True, links=links, port_slices=slices), PeerViews()
    held.replace({"cloud-b": view})
    links = links.with_value(names[7], Published(names[7], 2, None))
    slices = slices.with_value(names[8], {0: _slice(names[8], 2)})

    def change() -> None:
        (found,) = held.replace({"cloud-b": replace(view, links=links, port_slices=slices)})
        assert found.links == {names[7], names[8]}

    return steps(change)


def _steps_of_an_idle_tick(count: int) -> int:
    controller = _started(count).a.controller

    def tick() -> None:
        controller.tick()
        controller.engine.follow_openstack()
        controller.engine.check_openstack(resync=False)
        controller.engine.mark_moves()

    tick()
    controller.drain()
    tick()
    assert controller.engine.queue.take(0.0) is None, "nothing is due"
    return steps(tick)


def test_idle_tick_costs_the_same_with_few_and_with_many_networks() -> None:
    assert _steps_of_an_idle_tick(FEW) == _steps_of_an_idle_tick(MANY)
