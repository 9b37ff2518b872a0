"""A controller is alive unless one of its loops hangs or ends; what is outside can make it unready only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from isthmus.controller.backends import Backends
from isthmus.controller.election import Election
from isthmus.controller.loop import Controller
from isthmus.core.election import Timing
from isthmus.model.errors import Unavailable
from isthmus.telemetry.health import Health
from tests.fakes.federation import FakeCloud, FakeFederation
from tests.fakes.hanging import Hanging
from tests.fakes.httprequests import get
from tests.fakes.leases import FakeLeases
from tests.testbed.host.process import wait_until

_SOON_SECONDS = 10
_LOOPS = {"periodic", "openstack", "gateway-health", *(f"worker-{number}" for number in range(4))}


@pytest.fixture
def federation(monkeypatch: pytest.MonkeyPatch) -> FakeFederation:
    for pause in ("loop._TICK_SECONDS", "loop._OPENSTACK_CHECK_SECONDS", "queue._POLL_SECONDS"):
        monkeypatch.setattr(f"isthmus.controller.{pause}", 0.05)
    monkeypatch.setattr("isthmus.controller.gateway_health.CHECK_SECONDS", 0.05)
    monkeypatch.setattr("isthmus.controller.loop._STOP_SECONDS", 0.1)
    monkeypatch.setattr("isthmus.controller.loop._MAX_WAIT_SECONDS", 1.0)
    federation = FakeFederation()
    federation.agree()
    return federation


@pytest.fixture
def cloud(federation: FakeFederation) -> FakeCloud:
    cloud, seconds = federation.clouds[0], federation.clock.monotonic_seconds
    cloud.backends = replace(cloud.backends, health=Health(cloud.settings.resync_seconds, seconds, seconds))
    return cloud


@contextmanager
def _running(
    cloud: FakeCloud, backends: Backends, is_active: Callable[[], bool] = lambda: True
) -> Iterator[Controller]:
    """The controller with all its threads."""
    controller = Controller(cloud.settings, backends, is_active)
    thread = threading.Thread(target=controller.run)
    thread.start()
    try:
        yield controller
    finally:
        controller.stop()
        thread.join(_SOON_SECONDS)
    assert not thread.is_alive()


def _pass(federation: FakeFederation, cloud: FakeCloud, seconds: float, loops: set[str] = _LOOPS) -> None:
    """Move the clock, and wait until each loop has ended an iteration since."""
    federation.clock.move(seconds)
    now = federation.clock.monotonic_seconds()
    _wait(federation, lambda: _ended_since(cloud, now) == loops, "an iteration of every loop")


def _wait(federation: FakeFederation, predicate: Callable[[], bool], what: str) -> None:
    """Wait while time goes on: a loop that was just about to sleep does so until the clock moves."""

    def later() -> bool:
        federation.clock.move(1)
        return predicate()

    wait_until(later, _SOON_SECONDS, what)


def _ended_since(cloud: FakeCloud, now: float) -> set[str]:
    return {name for (name,), ended in cloud.backends.health.ended_timestamps().items() if ended >= now}


def _has_ended_at(health: Health, loop: str, now: float) -> bool:
    return health.ended_timestamps().get((loop,)) == now


def _get(cloud: FakeCloud, path: str) -> tuple[int, str]:
    return get(cloud.backends.health, path)


def _wait_until_ready(cloud: FakeCloud) -> None:
    wait_until(lambda: _get(cloud, "/readyz") == (200, "ok\n"), _SOON_SECONDS, "readiness")


def test_ready_once_cluster_and_openstack_were_read(cloud: FakeCloud) -> None:
    cloud.restart()
    text = "loop openstack: nothing completed yet"
    assert _get(cloud, "/readyz") == (503, f"loop periodic: nothing completed yet; {text}\n")
    cloud.neutron.down = True
    with _running(cloud, cloud.backends):
        wait_until(lambda: _get(cloud, "/readyz") == (503, f"{text}\n"), _SOON_SECONDS, "the cluster to be read")
        cloud.neutron.down = False
        _wait_until_ready(cloud)


@pytest.mark.parametrize(
    ("port", "method", "loop"),
    [
        ("cloud", "check", "openstack"),
        ("cluster", "list_objects", "gateway-health"),
        ("leases", "list_leases", "gateway-health"),
        ("peers", "views", "periodic"),
    ],
)
def test_call_that_never_returns(
    federation: FakeFederation, cloud: FakeCloud, port: str, method: str, loop: str
) -> None:
    hanging = Hanging(getattr(cloud.backends, port), method)
    changed: dict[str, Any] = {port: hanging}
    _expect_stall(federation, cloud, replace(cloud.backends, **changed), hanging, loop)


def test_worker_that_never_returns(federation: FakeFederation, cloud: FakeCloud) -> None:
    hanging = Hanging(cloud.backends.cluster, "apply_manifest")
    changed: dict[str, Any] = {"cluster": hanging}
    hanging.hang()  # the first pass makes the peer's namespace
    with _running(cloud, replace(cloud.backends, **changed)):
        assert hanging.called.wait(_SOON_SECONDS)
        _wait_until_ready(cloud)
        _expect_one_stalled(federation, cloud, "worker-")
        hanging.release()
        _wait(federation, lambda: _get(cloud, "/livez") == (200, "ok\n"), "progress")


def test_worker_that_never_returns_and_those_that_wait_for_it(federation: FakeFederation, cloud: FakeCloud) -> None:
    """What networks share is taken by one worker after the other: the one that hangs is named."""
    federation.settle()
    for number in range(4):
        _, network, _ = cloud.tenant(f"shop{number}", f"10.{20 + number}.0.0/24")
        cloud.expand(network.id, "cloud-b", namespace=f"shop{number}")
    hanging = Hanging(cloud.backends.cluster, "apply")
    changed: dict[str, Any] = {"cluster": hanging}
    hanging.hang()
    with _running(cloud, replace(cloud.backends, **changed)):
        _wait(federation, hanging.called.is_set, "the call")
        _expect_one_stalled(federation, cloud, "worker-")
        hanging.release()
        _wait(federation, lambda: _get(cloud, "/livez") == (200, "ok\n"), "progress")


def _expect_stall(
    federation: FakeFederation, cloud: FakeCloud, backends: Backends, hanging: Hanging, loop: str
) -> None:
    with _running(cloud, backends):
        _wait_until_ready(cloud)
        hanging.hang()
        federation.clock.move(40)
        try:
            _wait(federation, hanging.called.is_set, "the call")
            federation.clock.move(100)
            assert _get(cloud, "/livez") == (200, "ok\n")
            _expect_one_stalled(federation, cloud, loop)
        finally:
            hanging.release()
        _wait(federation, lambda: _get(cloud, "/livez") == (200, "ok\n"), "progress")


def _expect_one_stalled(federation: FakeFederation, cloud: FakeCloud, loop: str) -> None:
    """After the limit this loop is named, and no other one."""
    federation.clock.move(181)
    _wait(federation, lambda: _get(cloud, "/livez")[1].count("loop") == 1, "the other loops")
    status, body = _get(cloud, "/livez")
    assert (status, body.startswith(f"loop {loop}")) == (503, True), body


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_thread_that_a_defect_has_ended(
    federation: FakeFederation, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def defect() -> None:
        ended.set()
        raise IndexError("a defect")

    with _running(cloud, cloud.backends):
        _wait_until_ready(cloud)
        monkeypatch.setattr(cloud.leases, "list_leases", defect)
        assert ended.wait(_SOON_SECONDS)
        _expect_one_stalled(federation, cloud, "gateway-health")


def test_everything_outside_is_away(federation: FakeFederation, cloud: FakeCloud) -> None:
    """Calls raise: the controller is never restarted for that, and is not ready for a rollout."""
    _, network, _ = cloud.tenant()
    cloud.expand(network.id, "cloud-b")
    with _running(cloud, cloud.backends) as controller:
        _wait_until_ready(cloud)
        cloud.store.down = cloud.neutron.down = cloud.peers.unreachable = cloud.leases.down = True
        controller.feed.failed("CloudPeer", Unavailable("the API server does not respond"))
        for _ in range(4):
            _pass(federation, cloud, 170)
            assert _get(cloud, "/livez") == (200, "ok\n")
        status, body = _get(cloud, "/readyz")
        assert (status, body.count("last completed")) == (503, 2), body
        cloud.store.down = cloud.neutron.down = cloud.peers.unreachable = cloud.leases.down = False
        _pass(federation, cloud, 60)
        _wait_until_ready(cloud)


def test_api_that_is_away_from_the_start(federation: FakeFederation, cloud: FakeCloud) -> None:
    cloud.store.down = cloud.leases.down = True
    with _running(cloud, cloud.backends):
        for _ in range(2):
            _pass(federation, cloud, 170, {"periodic", "gateway-health"})
            assert _get(cloud, "/livez") == (200, "ok\n")
        assert _get(cloud, "/readyz")[0] == 503


def test_replica_that_waits_is_alive_and_ready(federation: FakeFederation, cloud: FakeCloud) -> None:
    """It has read everything and can take over; in a rolling update it must be ready before the active one ends."""
    writes = federation.writes()
    with _running(cloud, cloud.backends, lambda: False):
        _wait_until_ready(cloud)
        for _ in range(3):
            _pass(federation, cloud, 170)
            assert _get(cloud, "/livez") == (200, "ok\n")
        _wait_until_ready(cloud)
    assert federation.writes() == writes


@pytest.mark.parametrize("is_held", [True, False])
def test_election_makes_progress_without_the_lease(federation: FakeFederation, is_held: bool) -> None:
    """Another replica has it, or the API server does not answer."""
    leases, clock = FakeLeases(), federation.clock
    health = Health(30, clock.monotonic_seconds, clock.monotonic_seconds)
    timing = Timing(retry_seconds=0.01)
    assert not is_held or Election(leases, clock, "other").attempt()
    leases.down = not is_held
    election = Election(leases, clock, "one", timing, health)
    election.start(lambda: None)
    try:
        for _ in range(3):
            clock.move(1 if is_held else 170)  # the Lease must not end
            now = clock.monotonic_seconds()
            wait_until(partial(_has_ended_at, health, "election", now), _SOON_SECONDS, "an attempt")
            assert get(health, "/livez") == (200, "ok\n")
        assert not election.is_active()
    finally:
        election.stop()


def test_election_that_hangs(federation: FakeFederation) -> None:
    clock, hanging = federation.clock, Hanging(FakeLeases(), "get_lease")
    health = Health(30, clock.monotonic_seconds, clock.monotonic_seconds)
    leases: Any = hanging
    election = Election(leases, clock, "one", Timing(retry_seconds=0.01), health)
    hanging.hang()
    election.start(lambda: None)
    assert hanging.called.wait(_SOON_SECONDS)
    clock.move(181)
    assert get(health, "/livez") == (503, "loop election: no progress for 181 s, limit 180 s\n")
    hanging.release()
    election.stop()
