"""Progress and completion of loops, by which a process is alive and ready."""

from __future__ import annotations

import threading
import time

import pytest

from isthmus.telemetry.health import Health
from tests.fakes.agent_harness import ManualClock
from tests.fakes.httprequests import get


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def _health(clock: ManualClock, resync_seconds: float = 30) -> Health:
    return Health(resync_seconds, clock.monotonic_seconds, clock.monotonic_seconds)


@pytest.mark.parametrize(("resync_seconds", "limit"), [(1, 180), (30, 180), (60, 180), (61, 183), (3600, 10_800)])
def test_alive_until_nothing_has_ended_for_the_limit(clock: ManualClock, resync_seconds: float, limit: float) -> None:
    health = _health(clock, resync_seconds)
    one, two = health.loop("one"), health.loop("two")
    one.begin()
    two.begin()
    clock.seconds = limit
    assert get(health, "/livez") == (200, "ok\n")
    two.ended()
    clock.seconds += 1
    assert get(health, "/livez") == (503, f"loop one: no progress for {limit + 1} s, limit {limit} s\n")
    one.ended()
    assert get(health, "/livez") == (200, "ok\n")


def test_each_loop_without_progress_is_named_on_one_line(clock: ManualClock) -> None:
    health = _health(clock)
    for name in ("one", "two"):
        health.loop(name).begin()
    clock.seconds = 200
    status, body = get(health, "/livez")
    assert status == 503
    assert body == "loop one: no progress for 200 s, limit 180 s; loop two: no progress for 200 s, limit 180 s\n"


def test_loop_that_has_not_begun_is_not_stalled(clock: ManualClock) -> None:
    """A controller's workers begin once the API server has answered."""
    health = _health(clock)
    health.loop("worker")
    clock.seconds = 1000
    assert get(health, "/livez")[0] == 200


def test_call_that_ends_is_progress_of_the_loop_on_its_thread_alone(clock: ManualClock) -> None:
    """An iteration may consist of many slow calls: a slow external system must not restart the process."""
    health = _health(clock)
    health.loop("here").begin()
    elsewhere = threading.Thread(target=lambda: health.loop("elsewhere").begin())
    elsewhere.start()
    elsewhere.join()
    clock.seconds = 170
    health.call_ended()
    clock.seconds = 200
    assert get(health, "/livez") == (503, "loop elsewhere: no progress for 200 s, limit 180 s\n")
    assert health.ended_timestamps() == {}


def test_a_wait_for_a_lock_of_another_loop_does_not_count(clock: ManualClock) -> None:
    """Its holder is the one that hangs, or is slow because of an external system."""
    health, lock = _health(clock), threading.Lock()
    health.loop("holder").begin()
    waiting = health.loop("waiting")

    def wait() -> None:
        waiting.begin()
        with health.holding(lock):
            pass

    thread = threading.Thread(target=wait)
    with health.holding(lock):
        thread.start()
        for _ in range(3):
            clock.seconds += 170
            health.call_ended()
            assert get(health, "/livez") == (200, "ok\n")
        clock.seconds += 181
        assert get(health, "/livez") == (503, "loop holder: no progress for 181 s, limit 180 s\n")
    thread.join(5)
    health.call_ended()
    assert get(health, "/livez") == (200, "ok\n")
    clock.seconds += 181
    assert get(health, "/livez")[1].count("loop") == 2


@pytest.mark.parametrize(("resync_seconds", "limit"), [(1, 90), (30, 90), (40, 120)])
def test_ready_while_completed_lately(clock: ManualClock, resync_seconds: float, limit: float) -> None:
    health = _health(clock, resync_seconds)
    assert get(health, "/readyz") == (503, "no loop has been set up yet\n")
    loop, other = health.loop("node", must_complete=True), health.loop("reports")
    loop.begin()
    other.begin()
    loop.ended()
    assert get(health, "/readyz") == (503, "loop node: nothing completed yet\n")
    loop.completed()
    clock.seconds = limit
    loop.ended()
    assert get(health, "/readyz") == (200, "ok\n")
    clock.seconds += 1
    assert get(health, "/readyz") == (503, f"loop node: last completed {limit + 1} s ago, limit {limit} s\n")
    loop.completed()
    assert get(health, "/readyz") == (200, "ok\n")


def test_a_wall_clock_that_is_set_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    health = Health()
    loop = health.loop("node", must_complete=True)
    loop.begin()
    loop.completed()
    for wall in (0.0, time.time() + 1e6):
        monkeypatch.setattr(time, "time", lambda wall=wall: wall)
        assert (get(health, "/livez")[0], get(health, "/readyz")[0]) == (200, 200)
    assert health.monotonic_seconds is time.monotonic


def test_timestamps_of_both_kinds(clock: ManualClock) -> None:
    health = Health(30, clock.monotonic_seconds, lambda: 1_700_000_000.0 + clock.seconds)
    loop = health.loop("node", must_complete=True)
    loop.begin()
    assert (health.ended_timestamps(), health.complete_timestamps()) == ({}, {})
    loop.completed()
    clock.seconds = 5
    loop.ended()
    assert health.ended_timestamps() == {("node",): 1_700_000_005.0}
    assert health.complete_timestamps() == {("node",): 1_700_000_000.0}
