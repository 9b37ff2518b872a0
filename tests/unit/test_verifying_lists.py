"""Kinds that kopf watches are listed at the start, again when kopf may have missed something, and from time to time."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from isthmus.adapters.kubernetes.client import Client
from isthmus.adapters.kubernetes.handlers import KindLists, ListTiming
from isthmus.adapters.kubernetes.resources import Resource
from isthmus.model.errors import ExternalError
from isthmus.ports import Manifest
from tests.fakes.apiserver import Answer, Request, StubServer, serving, write_kubeconfig
from tests.testbed.host.process import wait_until

WATCHED = {"Node": Resource("", "v1", "nodes"), "Namespace": Resource("", "v1", "namespaces")}


class Seen:
    """What was reported, by kind."""

    def __init__(self) -> None:
        self.lists: dict[str, list[list[str]]] = {kind: [] for kind in WATCHED}
        self.failures: list[tuple[str, str]] = []

    def listed(self, kind: str, manifests: Iterable[Manifest], version: str | None = None) -> None:
        assert version == "7"
        self.lists[kind].append([manifest["metadata"]["name"] for manifest in manifests])

    def changed(self, kind: str, manifest: Manifest) -> None: ...
    def removed(self, kind: str, manifest: Manifest) -> None: ...

    def failed(self, kind: str, error: ExternalError) -> None:
        self.failures.append((kind, type(error).__name__))


class Served:
    """The objects of an API server; None if a kind does not exist."""

    def __init__(self) -> None:
        self.names: dict[str, list[str] | None] = {"nodes": ["a", "b"], "namespaces": ["shop"]}

    def answer(self, request: Request) -> Answer:
        found = self.names[request.path.partition("?")[0].rpartition("/")[2]]
        if found is None:
            return Answer(404, {"message": "the server could not find the requested resource"})
        items = [{"metadata": {"name": name}} for name in found]
        return Answer(200, {"metadata": {"resourceVersion": "7"}, "items": items})


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
def server(served: Served) -> Iterator[StubServer]:
    with serving(served.answer) as server:
        yield server


def _lists(server: StubServer, directory: Path, seen: Seen, timing: ListTiming) -> KindLists:
    kubeconfig = write_kubeconfig(directory / "kubeconfig", {"server": server.url}, {"token": "t"})
    lists = KindLists(Client(kubeconfig, "test", 5.0, 500), WATCHED, seen, timing)
    threading.Thread(target=lists.run, daemon=True).start()
    return lists


def test_missed_deletion_is_found_from_time_to_time(server: StubServer, served: Served, tmp_path: Path) -> None:
    seen = Seen()
    lists = _lists(server, tmp_path, seen, ListTiming(verify=0.2))
    wait_until(lambda: all(seen.lists.values()), 5, "the first lists")
    assert seen.lists["Node"][0] == ["a", "b"]
    served.names["nodes"] = ["a"]
    wait_until(lambda: seen.lists["Node"][-1] == ["a"], 5, "the deletion")
    lists.stop()


def test_kind_is_listed_again_once_kopf_has_listed_it(server: StubServer, tmp_path: Path) -> None:
    seen = Seen()
    lists = _lists(server, tmp_path, seen, ListTiming(verify=3600, settle=0.3))
    wait_until(lambda: all(seen.lists.values()), 5, "the first lists")
    for _ in range(20):  # an object of a list each
        lists.expire("Node")
    wait_until(lambda: len(seen.lists["Node"]) == 2, 5, "the second list")
    lists.expire_all()
    wait_until(lambda: len(seen.lists["Namespace"]) == 2, 5, "lists of all kinds")
    wait_until(lambda: len(seen.lists["Node"]) == 3, 5, "lists of all kinds")
    assert seen.failures == []
    lists.stop()


def test_kind_that_does_not_exist_delays_no_other(server: StubServer, served: Served, tmp_path: Path) -> None:
    seen = Seen()
    served.names["nodes"] = None
    lists = _lists(server, tmp_path, seen, ListTiming(verify=3600, first_retry=0.1, max_retry=0.2))
    wait_until(lambda: len(seen.failures) > 2 and seen.lists["Namespace"], 5, "several attempts")
    assert (set(seen.failures), seen.lists["Node"]) == ({("Node", "NotFound")}, [])
    served.names["nodes"] = []
    wait_until(lambda: seen.lists["Node"] == [[]], 5, "the kind to be found")
    lists.stop()
