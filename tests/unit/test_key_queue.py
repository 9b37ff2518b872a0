"""The queue of keys: each once, never two workers on one, backoff for each alone."""

from __future__ import annotations

from isthmus.controller.queue import BURST, KeyQueue
from isthmus.core.keys.key import Key, network_key
from tests.fakes.federation import FakeClock

A, B, C = (network_key(f"cloud-a.{name}") for name in "abc")


def _queue(pace_seconds: float = 0.0) -> tuple[FakeClock, KeyQueue]:
    clock = FakeClock()
    return clock, KeyQueue(clock, max_retry_seconds=30.0, pace_seconds=pace_seconds)


def _taken(queue: KeyQueue) -> list[Key]:
    """All keys that are due."""
    found = []
    while (key := queue.take(0.0)) is not None:
        found.append(key)
        queue.done(key)
    return found


def test_each_key_is_given_out_once_and_urgent_ones_first() -> None:
    _, queue = _queue()
    queue.add([A, B], urgent=False)
    queue.add([C, C])
    queue.add([B])
    assert len(queue) == 3
    assert _taken(queue) == [C, B, A]
    assert _taken(queue) == []


def test_key_that_a_worker_has_is_given_out_again_only_when_it_has_finished() -> None:
    _, queue = _queue()
    queue.add([A])
    assert queue.take(0.0) == A
    queue.add([A])
    assert queue.take(0.0) is None
    queue.done(A)
    assert queue.take(0.0) == A


def test_failures_back_off_for_each_key_alone() -> None:
    clock, queue = _queue()
    queue.add([A])
    for seconds in (1, 2, 4, 8, 16, 30, 30):
        assert queue.take(0.0) == A
        queue.done(A, failed=True)
        queue.add([B])
        assert _taken(queue) == [B], "others do not wait"
        clock.move(seconds - 0.5)
        assert queue.take(0.0) is None
        clock.move(0.5)
    assert queue.take(0.0) == A
    queue.done(A, failed=True)
    queue.retry_failed()
    assert _taken(queue) == [A], "what all of them waited for has returned"


def test_pause_concerns_all_keys() -> None:
    clock, queue = _queue()
    queue.add([A])
    queue.pause(10)
    assert queue.take(0.0) is None
    clock.move(10)
    assert _taken(queue) == [A]
    queue.add([A])
    queue.pause(10)
    queue.resume()
    queue.set_enabled(False)
    assert queue.take(0.0) is None
    queue.set_enabled(True)
    assert _taken(queue) == [A]


def test_key_is_paced_after_a_burst() -> None:
    clock, queue = _queue(pace_seconds=0.25)
    for _ in range(BURST):
        queue.add([A])
        assert _taken(queue) == [A]
    for _ in range(3):
        queue.add([A, B])
        assert _taken(queue) == [B], "others do not wait"
        clock.move(0.125)
        assert queue.take(0.0) is None
        clock.move(0.125)
        assert _taken(queue) == [A]
    queue.add([A])
    clock.move(2 * 0.25)
    assert _taken(queue) == [A]
    queue.add([A])
    assert _taken(queue) == [A], "what was not used is saved up"
    clock.move(60)
    for _ in range(BURST):
        queue.add([A])
        assert _taken(queue) == [A]
    queue.add([A])
    assert _taken(queue) == [], "no more than one burst is saved up"


def test_key_is_due_when_time_changes_its_plan() -> None:
    clock, queue = _queue()
    queue.add([A])
    assert queue.take(0.0) == A
    queue.done(A, again_after_seconds=300)
    queue.add_later(A, 400)
    clock.move(299)
    assert queue.take(0.0) is None
    clock.move(1)
    assert _taken(queue) == [A]


def test_key_that_continues_is_due_after_all_others_without_backoff() -> None:
    _, queue = _queue()
    queue.add([A])
    assert queue.take(0.0) == A
    queue.add([A, C])
    queue.add([B], urgent=False)
    queue.done(A, continues=True)
    assert _taken(queue) == [C, B, A]
    assert _taken(queue) == [], "what was added while it ran is done with it"
    queue.add([A, B], urgent=False)
    queue.add([A])
    assert _taken(queue) == [A, B], "unless somebody waits for it meanwhile"
