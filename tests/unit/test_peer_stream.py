"""Reading a peer: listed once and then followed, within a budget; what exceeds it concerns that object alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from isthmus.adapters.peers import budget, stream
from isthmus.adapters.peers.api import Event, Page
from isthmus.adapters.peers.budget import Budget
from isthmus.adapters.peers.collection import Collection, PortSlices
from isthmus.adapters.peers.stream import Pace, Stream
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLinkSpec
from isthmus.model.api.v1alpha1.portslice import PortSliceSpec
from isthmus.model.errors import ExternalError, Invalid, Unavailable
from isthmus.model.facts.peer import bucket_of_name
from tests.testbed.host.process import wait_until

Document = dict[str, Any]


def document(number: int, generation: int = 1, **spec: Any) -> Document:
    network = f"{number:08x}-0000-0000-0000-000000000000"
    identity = {"cloudID": "cloud-b", "networkID": network}
    answer = {"uid": "u", "generation": 1, "verdict": "Accepted"}
    known = {"cloudID": "cloud-a", "peerCloudID": "cloud-b", "origin": identity, "answer": answer, "mtu": 1416}
    metadata = {"name": f"cloud-b.{network}", "uid": f"uid-{number}", "generation": generation}
    return {"metadata": metadata | {"resourceVersion": str(number)}, "spec": known | spec}


def port_slice(number: int, ports: int) -> Document:
    network = f"{number:08x}-0000-0000-0000-000000000000"
    held = [{"id": network, "mac": "fa:16:3e:00:00:01", "addresses": ["10.20.0.9"]}] * ports
    spec = {"cloudID": "cloud-a", "peerCloudID": "cloud-b", "origin": {"cloudID": "cloud-b", "networkID": network}}
    metadata = {"name": f"cloud-b.{network}.0", "uid": f"uid-{number}", "generation": 1}
    return {"metadata": metadata, "spec": spec | {"bucket": 0, "buckets": 1, "ports": held}}


def name_of(one: Document) -> str:
    return str(one["metadata"]["name"])


@pytest.fixture
def links() -> Collection[ExpansionLinkSpec]:
    return Collection(ExpansionLinkSpec, Budget())


class TestCollection:
    def test_only_what_changed_is_reported(self, links: Collection[ExpansionLinkSpec]) -> None:
        one, two = document(1), document(2)
        assert links.put([one, two]) == {name_of(one), name_of(two)}
        assert links.put([one, document(2, generation=2)]) == {name_of(two)}
        links.begin_list()
        assert links.put([two | {"metadata": two["metadata"] | {"generation": 2}}]) == frozenset()
        assert links.end_list() == {name_of(one)}
        assert list(links.objects) == [name_of(two)]

    def test_known_generation_is_not_parsed_again(self, links: Collection[ExpansionLinkSpec]) -> None:
        links.put([document(1, mtu=1400)])
        links.put([document(1, mtu=1300)])
        (held,) = links.objects.values()
        assert held.spec is not None
        assert held.spec.mtu == 1400

    def test_ten_thousand_networks_of_one_peer_are_held_with_their_ports(self) -> None:
        budget = Budget()
        links, slices = Collection(ExpansionLinkSpec, budget), Collection(PortSliceSpec, budget)
        links.put(document(number) for number in range(10_000))
        slices.put(port_slice(number, ports=5) for number in range(10_000))
        for held in (links.objects, slices.objects):
            assert sum(each.spec is not None for each in held.values()) == 10_000

    def test_port_slices_are_held_by_network_as_soon_as_they_are_read(self) -> None:
        """Not only when they are announced: a reader with a new credential does not announce what it finds there."""
        slices, kept, removed = PortSlices(Budget()), port_slice(1, ports=2), port_slice(2, ports=1)
        link_name, _ = bucket_of_name(name_of(kept))
        slices.put([kept, removed])
        before = slices.by_link
        slices.remove([name_of(removed)])
        assert {name: list(buckets) for name, buckets in slices.by_link.items()} == {link_name: [0]}
        assert len(before) == 2

    @pytest.mark.parametrize(
        ("limit", "value", "problem"),
        [("MAX_OBJECTS", 2, "2 objects"), ("MAX_PORTS", 3, "3 ports"), ("MAX_BYTES", 800, "800 bytes")],
    )
    def test_object_beyond_a_limit_is_known_by_name_alone(
        self,
        links: Collection[ExpansionLinkSpec],
        limit: str,
        value: int,
        problem: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(budget, limit, value)
        port = {"id": "5a1d1c52-7f6c-4d59-8c0e-0a6a6a0f9e02", "mac": "fa:16:3e:00:00:01"}
        small, also_small, fat = document(1), document(2), document(3, ports=[port] * 4)
        links.put([small, also_small, fat])
        understood = [links.objects[name_of(each)].spec is not None for each in (small, also_small, fat)]
        assert understood == [True, True, False]
        assert problem in links.objects[name_of(fat)].problem
        links.remove([name_of(small)])
        links.begin_list()
        assert links.put([also_small, document(3)]) == {name_of(fat)}, "it is tried again"
        assert all(held.spec is not None for held in links.objects.values())

    def test_endless_names_end_the_read(
        self, links: Collection[ExpansionLinkSpec], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("isthmus.adapters.peers.collection.MAX_NAMES", 10)
        with pytest.raises(Invalid, match="more than 10 objects"):
            links.put(document(number) for number in range(100))

    def test_object_that_is_nested_too_deeply(self, links: Collection[ExpansionLinkSpec]) -> None:
        nested: Any = {}
        for _ in range(100_000):
            nested = {"x": nested}
        documents = document(1, odd=nested), document(2)
        links.put(documents)
        first, second = (links.objects[name_of(each)] for each in documents)
        assert (first.spec, first.problem) == (None, "nested too deeply")
        assert second.spec is not None
        while nested:  # piece by piece: freeing it as a whole would recurse
            nested = nested.pop("x", {})


class Api:
    """A peer whose lists and watches a test scripts."""

    def __init__(self) -> None:
        self.items: list[Document] = []
        self.lists, self.watches = 0, list[str]()
        self.failure: ExternalError | None = None
        self.events: Callable[[str], Iterator[Event]] = lambda _: iter(())

    def pages(self) -> Iterator[Page]:
        self.lists += 1
        if self.failure:
            raise self.failure
        for number in range(0, len(self.items), 2):
            yield Page(self.items[number : number + 2], "100")
        if not self.items:
            yield Page([], "100")

    def watch(self, version: str, seconds: float) -> Iterator[Event]:
        self.watches.append(version)
        yield from self.events(version)

    def close(self) -> None: ...


class Listener:
    """What the stream reported."""

    def __init__(self) -> None:
        self.names: list[frozenset[str]] = []
        self.results: list[str] = []

    def changed(self, names: frozenset[str]) -> None:
        self.names.append(names)

    def listed(self) -> None:
        self.results.append("listed")

    def failed(self, error: ExternalError) -> None:
        self.results.append(str(error))


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def running(
    api: Api, links: Collection[ExpansionLinkSpec], listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    monkeypatch.setattr(stream, "_DEBOUNCE_SECONDS", 0.01)
    followed = Stream("peer", api, links, threading.Lock(), listener, Pace(0.05, 0.05))  # type: ignore[arg-type]
    yield followed.start
    followed.stop()


def _once(*events: Event) -> Callable[[str], Iterator[Event]]:
    left = list(events)

    def watch(_: str) -> Iterator[Event]:
        while left:
            yield left.pop(0)

    return watch


class TestStream:
    def test_lists_once_and_follows_the_changes(
        self, api: Api, links: Collection[ExpansionLinkSpec], listener: Listener, running: Callable[[], None]
    ) -> None:
        api.items = [document(1), document(2), document(3)]
        newer = document(2, generation=2, mtu=1300)
        newer["metadata"]["resourceVersion"] = "105"
        events = [Event("ADDED", document(4)), Event("DELETED", document(1)), Event("MODIFIED", newer)]
        api.events = _once(*events, Event("BOOKMARK", {"metadata": {"resourceVersion": "107"}}))
        running()
        wait_until(lambda: "107" in api.watches, 10, "the bookmark", poll_seconds=0.01)
        assert api.lists == 1
        assert sorted(links.objects) == [name_of(document(number)) for number in (2, 3, 4)]
        assert listener.names == [
            {name_of(document(number)) for number in (1, 2, 3)},
            {name_of(document(4))},
            {name_of(document(1))},
            {name_of(document(2))},
        ]

    def test_change_of_a_status_is_not_reported(
        self, api: Api, listener: Listener, running: Callable[[], None]
    ) -> None:
        api.items = [document(1)]
        api.events = _once(Event("MODIFIED", document(1) | {"status": {}}))
        running()
        wait_until(lambda: len(api.watches) > 1, 10, "another watch", poll_seconds=0.01)
        assert len(listener.names) == 1

    @pytest.mark.parametrize("event", [Event("ERROR", {"code": 410}), Event("", {}), Event("RENAMED", document(1))])
    def test_anything_else_on_the_watch_means_list_again(
        self, api: Api, links: Collection[ExpansionLinkSpec], running: Callable[[], None], event: Event
    ) -> None:
        api.items = [document(1)]

        def watch(_: str) -> Iterator[Event]:
            api.items = [document(2)]
            yield event

        api.events = watch
        running()
        wait_until(lambda: list(links.objects) == [name_of(document(2))], 10, "another list", poll_seconds=0.01)
        assert api.lists >= 2

    def test_without_a_watch_the_list_is_read_again_and_again(
        self, api: Api, links: Collection[ExpansionLinkSpec], listener: Listener, running: Callable[[], None]
    ) -> None:
        def refuse(_: str) -> Iterator[Event]:
            raise Unavailable("405")
            yield

        api.events = refuse
        running()
        wait_until(lambda: api.lists > 1, 10, "another list", poll_seconds=0.01)
        api.items = [document(1)]
        wait_until(lambda: links.objects, 10, "the object", poll_seconds=0.01)
        assert set(listener.results) == {"listed"}

    def test_failed_list_keeps_the_objects_and_is_tried_again(
        self, api: Api, links: Collection[ExpansionLinkSpec], listener: Listener, running: Callable[[], None]
    ) -> None:
        api.items = [document(1)]
        api.events = _once(Event("", {}))
        running()
        wait_until(lambda: listener.results, 10, "the list", poll_seconds=0.01)
        api.failure = Unavailable("no answer")
        api.events = _once(Event("", {}))
        wait_until(lambda: "no answer" in listener.results, 10, "the failure", poll_seconds=0.01)
        assert list(links.objects) == [name_of(document(1))]
        api.failure = None
        wait_until(lambda: listener.results[-1] == "listed", 10, "the next list", poll_seconds=0.01)
