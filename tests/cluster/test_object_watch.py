"""The watch that feeds the controller's cache reports every object and change, and resumes after every interruption."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from isthmus.adapters.kubernetes import StreamedWatch, named
from isthmus.adapters.kubernetes.stream import Timing
from isthmus.model.api.kinds import KINDS
from isthmus.model.errors import ExternalError
from isthmus.model.names import CONTROLLER, SYSTEM_NAMESPACE
from isthmus.ports import Manifest
from tests.cluster.accounts import account_kubeconfig
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

POLICY = """
apiVersion: isthmus.cloud/v1alpha1
kind: IPsecPolicy
metadata: {name: %s}
spec: {dpdDelaySeconds: %d}
"""
DEFINITION = "ipsecpolicies.isthmus.cloud"


class Mirror:
    """Holds what the API server holds, as far as the watch reports it."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Manifest] = {}
        self.lists: dict[str, int] = {}
        self.errors: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def listed(self, kind: str, manifests: Iterable[Manifest]) -> None:
        found = {_key(kind, manifest): manifest for manifest in manifests}
        with self._lock:
            self.objects = {key: old for key, old in self.objects.items() if key[0] != kind} | found
            self.lists[kind] = self.lists.get(kind, 0) + 1

    def changed(self, kind: str, manifest: Manifest) -> None:
        with self._lock:
            self.objects[_key(kind, manifest)] = manifest

    def removed(self, kind: str, manifest: Manifest) -> None:
        with self._lock:
            self.objects.pop(_key(kind, manifest), None)

    def failed(self, kind: str, error: ExternalError) -> None:
        self.errors.append((kind, type(error).__name__))

    def delay(self, name: str) -> int | None:
        """The setting of an IPsecPolicy; None if there is no such policy."""
        found = self.objects.get(("IPsecPolicy", "", name))
        return None if found is None else found["spec"]["dpdDelaySeconds"]


def _key(kind: str, manifest: Manifest) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return kind, metadata.get("namespace", ""), metadata["name"]


@pytest.fixture
def mirror(installed: ControlPlane, tmp_path: Path) -> Iterator[Mirror]:
    """Watches with the rights of the controller, and short intervals."""
    installed.kubectl("apply", "-f", "-", input=POLICY % ("watched", 10))
    kubeconfig = account_kubeconfig(installed, tmp_path, SYSTEM_NAMESPACE, CONTROLLER)
    timing = Timing(watch=3, silence=5.0, first_retry=0.2, max_retry=1.0)
    watched = named(KINDS, "Namespace", "Node")
    watch, mirror = StreamedWatch(watched, str(kubeconfig), CONTROLLER, timing=timing, page_size=2), Mirror()
    watch.start(mirror)
    wait_until(lambda: mirror.lists.keys() == watched.keys(), 30, "a list of every kind")
    yield mirror
    watch.stop()
    installed.kubectl("delete", "ipsecpolicy", "watched", "other", "--ignore-not-found")


def _apply(plane: ControlPlane, mirror: Mirror, seconds: int, name: str = "watched") -> None:
    plane.kubectl("apply", "-f", "-", input=POLICY % (name, seconds))
    wait_until(lambda: mirror.delay(name) == seconds, 20, f"policy {name} with {seconds} s", poll_seconds=0.05)


def test_objects_and_changes_are_reported_without_listing_again(installed: ControlPlane, mirror: Mirror) -> None:
    assert mirror.delay("watched") == 10
    assert ("Namespace", "", SYSTEM_NAMESPACE) in mirror.objects
    for seconds in (11, 12):
        _apply(installed, mirror, seconds)
    _apply(installed, mirror, 13, "other")
    installed.kubectl("delete", "ipsecpolicy", "other")
    wait_until(lambda: mirror.delay("other") is None, 10, "the deletion")
    threading.Event().wait(4)  # the server ends a watch after three seconds
    _apply(installed, mirror, 14)
    assert (set(mirror.lists.values()), mirror.errors) == ({1}, [])


def test_changes_during_an_outage_are_reported_after_it(installed: ControlPlane, mirror: Mirror) -> None:
    installed.stop()
    wait_until(lambda: mirror.errors, 20, "a failure to be reported")
    assert {error for _, error in mirror.errors} == {"Unavailable"}
    assert mirror.delay("watched") == 10, "an outage deletes nothing"
    installed.start()
    _apply(installed, mirror, 15)


def test_kind_that_is_not_installed_yet_is_found_later(installed: ControlPlane, mirror: Mirror) -> None:
    definition = installed.kubectl("get", "crd", DEFINITION, "-o", "json")
    installed.kubectl("delete", "crd", DEFINITION)
    wait_until(lambda: ("IPsecPolicy", "NotFound") in mirror.errors, 20, "the missing kind to be reported")
    installed.kubectl("create", "-f", "-", input=definition)
    installed.kubectl("wait", "--for=condition=Established", f"crd/{DEFINITION}", "--timeout=30s")
    _apply(installed, mirror, 16)
