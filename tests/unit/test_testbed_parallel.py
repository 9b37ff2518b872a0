"""Work of the testbed in several threads."""

import threading

import pytest

from tests.testbed.host.parallel import at_once


def test_results_are_in_order_and_all_work_runs_at_once() -> None:
    together = threading.Barrier(2, timeout=30)

    def first() -> str:
        together.wait()
        return "first"

    def second() -> str:
        together.wait()
        return "second"

    assert at_once(first, second) == ["first", "second"]


def test_error_is_raised_once_all_work_has_ended() -> None:
    failed, ended = threading.Event(), threading.Event()

    def fail() -> None:
        failed.set()
        raise ValueError("of the first")

    def end() -> None:
        assert failed.wait(30)
        ended.set()

    with pytest.raises(ValueError, match="of the first"):
        at_once(fail, end)
    assert ended.is_set()


def test_there_may_be_nothing_to_do() -> None:
    assert at_once() == []
