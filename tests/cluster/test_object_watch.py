"""The watches that feed the controller's cache report every object and change, and resume after every interruption.

Both of them, kopf's handlers and streams of our own, on a real API server.
"""

from __future__ import annotations

import gc
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from isthmus.adapters.kubernetes import KopfObjectWatch, Resource, StreamedWatch, built_in, kopfoperator, login, named
from isthmus.adapters.kubernetes.handlers import ListTiming
from isthmus.adapters.kubernetes.stream import Timing
from isthmus.controller.assembly import HANDLED, assemble
from isthmus.controller.feed import WATCHED
from isthmus.model.api.kinds import KINDS
from isthmus.model.errors import ExternalError
from isthmus.model.names import CONTROLLER, SYSTEM_NAMESPACE
from isthmus.model.settings import ControllerSettings
from isthmus.ports import Manifest, ObjectWatch
from tests.cluster.accounts import account_kubeconfig, make_node, token_of
from tests.cluster.relay import Relay, relaying
from tests.fakes.apiserver import write_kubeconfig
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

POLICY = """
apiVersion: isthmus.cloud/v1alpha1
kind: IPsecPolicy
metadata: {name: %s}
spec: {dpdDelaySeconds: %d}
"""
DEFINITION = "ipsecpolicies.isthmus.cloud"
SILENCE_SECONDS = 5.0
SETTLE_SECONDS = 1.0
QUIET_SECONDS = 4.0  # a list takes a while, too
HELD_BACK = 3600.0
Sort = Literal["streamed", "handled"]


class Mirror:
    """Holds what the API server holds, as far as the watch reports it."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Manifest] = {}
        self.lists: dict[str, int] = {}
        self.errors: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def listed(self, kind: str, manifests: Iterable[Manifest], version: str | None = None) -> None:
        found = {_key(kind, manifest): manifest for manifest in manifests}
        with self._lock:
            for key in [key for key, held in self.objects.items() if key[0] == kind and key not in found]:
                if _version(self.objects[key]) <= int(version or 0):
                    del self.objects[key]
            for key, manifest in found.items():
                self._take(key, manifest)
            self.lists[kind] = self.lists.get(kind, 0) + 1

    def changed(self, kind: str, manifest: Manifest) -> None:
        with self._lock:
            self._take(_key(kind, manifest), manifest)

    def removed(self, kind: str, manifest: Manifest) -> None:
        with self._lock:
            self.objects.pop(_key(kind, manifest), None)

    def failed(self, kind: str, error: ExternalError) -> None:
        self.errors.append((kind, type(error).__name__))

    def delay(self, name: str) -> int | None:
        """The setting of an IPsecPolicy; None if there is no such policy."""
        found = self.objects.get(("IPsecPolicy", "", name))
        return None if found is None else found["spec"]["dpdDelaySeconds"]

    def _take(self, key: tuple[str, str, str], manifest: Manifest) -> None:
        if key not in self.objects or _version(self.objects[key]) < _version(manifest):
            self.objects[key] = manifest


def _key(kind: str, manifest: Manifest) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return kind, metadata.get("namespace", ""), metadata["name"]


def _version(manifest: Manifest) -> int:
    return int(manifest["metadata"]["resourceVersion"])


class Watching:
    """A watch of one sort that reports to a mirror, through a relay and with the rights of the controller."""

    def __init__(self, plane: ControlPlane, relay: Relay, directory: Path, sort: Sort) -> None:
        self.plane, self.relay, self.sort = plane, relay, sort
        self.mirror = Mirror()
        make_node(plane, "watching")
        self.token = directory / "token"
        self.renew_token("watching")
        kubeconfig = relay.kubeconfig(directory, {"tokenFile": self.token.name})
        self.watched = named(KINDS if sort == "streamed" else HANDLED, "Namespace", "Node")
        self.watch: ObjectWatch = (
            _streamed(kubeconfig, self.watched) if sort == "streamed" else _handled(kubeconfig, self.watched)
        )

    def start(self) -> None:
        """Until every kind has been listed, and each has its watch."""
        self.watch.start(self.mirror)
        wait_until(lambda: self.mirror.lists.keys() == self.watched.keys(), 60, "a list of every kind")
        self.apply(10)
        wait_until(lambda: self._change_arrives(11), 60, "the first change that was not listed")
        self.wait_until_quiet()

    def wait_until_quiet(self) -> None:
        """Wait until no list follows any more."""
        wait_until(self._is_quiet, 60, "the lists that follow those of kopf")

    def renew_token(self, node: str | None = None) -> None:
        """Another token; one that is bound to a node is invalid when that is deleted."""
        self.token.write_text(token_of(self.plane, SYSTEM_NAMESPACE, CONTROLLER, node))

    def apply(self, seconds: int, name: str = "watched") -> None:
        """Change a policy past the relay."""
        self.plane.kubectl("apply", "-f", "-", input=POLICY % (name, seconds))

    def until_seen(self, seconds: int, name: str = "watched", within: float = 60) -> None:
        """Wait for that setting to be reported."""
        wait_until(lambda: self.mirror.delay(name) == seconds, within, f"{name} with {seconds} s", poll_seconds=0.05)

    def reported(self, seconds: int, name: str = "watched") -> None:
        """Change a policy and wait until that is reported."""
        self.apply(seconds, name)
        self.until_seen(seconds, name)

    def stop(self) -> None:
        self.watch.stop()
        self.relay.cut()
        for thread in threading.enumerate():
            if thread.name == "watch":
                thread.join(60)
                assert not thread.is_alive()
        gc.collect()

    def _change_arrives(self, seconds: int) -> bool:
        lists = dict(self.mirror.lists)
        self.reported(seconds)
        return lists == self.mirror.lists

    def _is_quiet(self) -> bool:
        lists = dict(self.mirror.lists)
        threading.Event().wait(QUIET_SECONDS)
        return lists == self.mirror.lists


def _streamed(kubeconfig: str, watched: dict[str, Resource]) -> ObjectWatch:
    timing = Timing(watch=20, silence=SILENCE_SECONDS, first_retry=0.2, max_retry=1.0, verify=HELD_BACK)
    return StreamedWatch(watched, kubeconfig, CONTROLLER, timing=timing, page_size=2)


def _handled(kubeconfig: str, watched: dict[str, Resource]) -> ObjectWatch:
    timing = ListTiming(settle=SETTLE_SECONDS, first_retry=0.2, max_retry=1.0, verify=HELD_BACK)
    return KopfObjectWatch(watched, kubeconfig, CONTROLLER, timing=timing, page_size=2)


@pytest.fixture
def relay(installed: ControlPlane) -> Iterator[Relay]:
    with relaying(installed) as relay:
        yield relay


@pytest.fixture(params=["streamed", "handled"])
def watching(
    request: pytest.FixtureRequest,
    installed: ControlPlane,
    relay: Relay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Watching]:
    """Not started yet."""
    monkeypatch.setattr(kopfoperator, "_SILENCE_SECONDS", SILENCE_SECONDS)
    for module in (kopfoperator, login):
        monkeypatch.setattr(module, "_RETRY_SECONDS", 0.5)
    # Log records would keep references to kopf's exceptions, whose tracebacks would be printed during other tests.
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    watching = Watching(installed, relay, tmp_path, request.param)
    yield watching
    watching.stop()
    installed.kubectl("delete", "ipsecpolicy", "watched", "other", "--ignore-not-found")


def test_objects_and_changes_are_reported_without_listing_again(watching: Watching) -> None:
    watching.start()
    mirror, lists, errors = watching.mirror, dict(watching.mirror.lists), len(watching.mirror.errors)
    assert ("Namespace", "", SYSTEM_NAMESPACE) in mirror.objects
    assert ("Node", "", "watching") in mirror.objects
    watching.reported(12)
    watching.reported(13, "other")
    watching.plane.kubectl("delete", "ipsecpolicy", "other")
    wait_until(lambda: mirror.delay("other") is None, 60, "the deletion")
    assert (mirror.lists["IPsecPolicy"], mirror.errors[errors:]) == (lists["IPsecPolicy"], [])


def test_changes_and_deletions_during_an_outage_are_reported_after_it(watching: Watching) -> None:
    watching.start()
    watching.reported(12, "other")
    watching.relay.cut()
    threading.Event().wait(1)
    watching.plane.kubectl("delete", "ipsecpolicy", "other")
    watching.apply(13)
    threading.Event().wait(2)
    assert watching.mirror.delay("other") == 12, "an outage deletes nothing"
    watching.relay.mend()
    watching.until_seen(13)
    wait_until(lambda: watching.mirror.delay("other") is None, 60, "the deletion")


def test_deletion_is_found_when_the_version_of_the_watch_is_no_longer_stored(watching: Watching) -> None:
    """410 Gone: a restarted API server does not know the versions before its start."""
    watching.start()
    watching.reported(12, "other")
    watching.relay.hold()
    watching.plane.kubectl("delete", "ipsecpolicy", "other")
    for _ in range(3):
        watching.apply(14)
        watching.apply(13)
    watching.plane.stop()
    watching.plane.start()
    watching.relay.mend()
    watching.until_seen(13, within=120)
    wait_until(lambda: watching.mirror.delay("other") is None, 60, "the deletion")
    assert 410 in watching.relay.statuses


def test_watch_that_has_gone_silent_is_opened_again(watching: Watching) -> None:
    watching.start()
    watching.relay.silence()
    watching.apply(12)
    watching.until_seen(12)  # nothing of the silent one is forwarded any more, not even its end
    watching.reported(13)


def test_watch_continues_with_a_new_token(watching: Watching) -> None:
    """401: open watches survive a token, but the next request is refused."""
    watching.start()
    watching.plane.kubectl("delete", "node", "watching")
    watching.relay.cut()
    threading.Event().wait(1)
    watching.relay.mend()
    wait_until(lambda: 401 in watching.relay.statuses, 60, "the token to be refused")
    watching.apply(12)
    watching.renew_token()
    watching.until_seen(12)
    watching.reported(13)


def test_kind_that_is_not_installed_at_the_start_is_found_later(watching: Watching) -> None:
    """Each of two, without waiting for the other one."""
    missing = (DEFINITION, "networkexpansions.isthmus.cloud")
    definitions = {name: watching.plane.kubectl("get", "crd", name, "-o", "json") for name in missing}
    watching.plane.kubectl("delete", "crd", *missing)
    try:
        watching.watch.start(watching.mirror)
        wait_until(lambda: ("IPsecPolicy", "NotFound") in watching.mirror.errors, 60, "the missing kind to be reported")
        wait_until(lambda: "Node" in watching.mirror.lists, 60, "the other kinds")
        make_node(watching.plane, "later")
        wait_until(lambda: ("Node", "", "later") in watching.mirror.objects, 60, "another kind to be watched")
        _install(watching.plane, definitions.pop(DEFINITION))
        _first_changes_arrive(watching)
    finally:
        for definition in definitions.values():
            _install(watching.plane, definition)
    wait_until(lambda: "NetworkExpansion" in watching.mirror.lists, 60, "the other missing kind")
    watching.reported(23)


def test_kind_that_is_removed_and_installed_again_is_watched_again(watching: Watching) -> None:
    watching.start()
    definition = watching.plane.kubectl("get", "crd", DEFINITION, "-o", "json")
    watching.plane.kubectl("delete", "crd", DEFINITION)
    threading.Event().wait(3)
    _install(watching.plane, definition)
    _first_changes_arrive(watching)


def test_controller_watches_every_kind_with_its_shipped_rights(installed: ControlPlane, tmp_path: Path) -> None:
    kubeconfig = account_kubeconfig(installed, tmp_path, SYSTEM_NAMESPACE, CONTROLLER)
    settings = ControllerSettings(cloud_id="cloud-a", gateway_cidrs=("192.0.2.0/24",), kubeconfig=str(kubeconfig))
    mirror, watch = Mirror(), assemble(settings).watch
    watch.start(mirror)
    wait_until(lambda: mirror.lists.keys() == set(WATCHED), 60, "a list of every kind")
    make_node(installed, "later")
    wait_until(lambda: ("Node", "", "later") in mirror.objects, 60, "an event")
    assert {error for _, error in mirror.errors} <= {"Unavailable"}, "an API server that has just started is not ready"
    watch.stop()


@pytest.mark.parametrize("sort", [_handled, _streamed])
def test_watch_with_client_certificate_and_tls_server_name(
    installed: ControlPlane, tmp_path: Path, sort: Callable[[str, dict[str, Resource]], ObjectWatch]
) -> None:
    """As kubeconfigs of several public clouds have it."""
    admin = json.loads(installed.kubeconfig.read_text())
    cluster, user = admin["clusters"][0]["cluster"], admin["users"][0]["user"]
    named_server = cluster | {"tls-server-name": "kubernetes.default.svc"}
    mirror, watch = Mirror(), sort(write_kubeconfig(tmp_path / "kubeconfig", named_server, user), named(HANDLED))
    watch.start(mirror)
    try:
        wait_until(lambda: "IPsecPolicy" in mirror.lists, 60, "a list")
        for seconds in (10, 11):  # one of them may still be listed
            installed.kubectl("apply", "-f", "-", input=POLICY % ("named", seconds))
            wait_until(lambda: mirror.delay("named") == seconds, 60, "an event", poll_seconds=0.05)  # noqa: B023
    finally:
        watch.stop()


def test_secrets_of_one_namespace_are_reported(installed: ControlPlane, tmp_path: Path) -> None:
    kubeconfig = account_kubeconfig(installed, tmp_path, SYSTEM_NAMESPACE, CONTROLLER)
    watched = {"Secret": built_in("v1", "Secret")}
    mirror, watch = Mirror(), StreamedWatch(watched, str(kubeconfig), CONTROLLER, SYSTEM_NAMESPACE)
    watch.start(mirror)
    wait_until(lambda: mirror.lists, 60, "the first list")
    for namespace in ("default", SYSTEM_NAMESPACE):
        installed.kubectl("create", "secret", "generic", "watched", "-n", namespace)
    wait_until(lambda: ("Secret", SYSTEM_NAMESPACE, "watched") in mirror.objects, 60, "the Secret")
    assert {namespace for _, namespace, _ in mirror.objects} == {SYSTEM_NAMESPACE}
    for namespace in ("default", SYSTEM_NAMESPACE):
        installed.kubectl("delete", "secret", "watched", "-n", namespace)
    wait_until(lambda: ("Secret", SYSTEM_NAMESPACE, "watched") not in mirror.objects, 60, "its deletion")
    assert (mirror.lists, mirror.errors) == ({"Secret": 1}, [])
    watch.stop()


def _install(plane: ControlPlane, definition: str) -> None:
    plane.kubectl("create", "-f", "-", input=definition)
    name = json.loads(definition)["metadata"]["name"]
    plane.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=120s")
    plane.wait_served(name)


def _first_changes_arrive(watching: Watching) -> None:
    """The second of two is not listed any more."""
    watching.reported(20)
    watching.wait_until_quiet()
    lists = watching.mirror.lists["IPsecPolicy"]
    for seconds in (21, 22):
        watching.reported(seconds)
    assert watching.mirror.lists["IPsecPolicy"] == lists
