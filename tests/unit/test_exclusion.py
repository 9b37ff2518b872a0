"""Only one agent at a time acts on a node: the lock of the next one, with real processes."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.adapters.linux.exclusion import Exclusion
from tests.testbed.host.process import wait_until

_OTHER = """
import sys, threading
from isthmus.adapters.linux.exclusion import Exclusion
Exclusion(sys.argv[1]).acquire(threading.Event())
print("acquired", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def socket(tmp_path: Path) -> str:
    return f"unix:{tmp_path}/db.sock"


@pytest.fixture
def other(socket: str) -> Iterator[subprocess.Popen[str]]:
    """The agent that runs already."""
    command = [sys.executable, "-c", _OTHER, socket]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "acquired\n"
        yield process
        process.kill()


def test_first_agent_starts_at_once(socket: str) -> None:
    assert Exclusion(socket).acquire(threading.Event())


def test_next_agent_starts_when_the_first_is_killed(
    socket: str, other: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    results: list[bool] = []
    waiting = threading.Thread(target=lambda: results.append(Exclusion(socket).acquire(threading.Event())))
    waiting.start()
    wait_until(lambda: "waiting: another agent runs on this node" in caplog.messages, 10, "the line")
    assert results == []
    other.kill()
    waiting.join(10)
    assert results == [True]
    assert len(caplog.messages) == 1


def test_next_agent_starts_when_the_first_has_ended(socket: str) -> None:
    first = Exclusion(socket)
    assert first.acquire(threading.Event())
    first.release()
    assert Exclusion(socket).acquire(threading.Event())


@pytest.mark.usefixtures("other")
def test_agent_that_waits_ends_when_it_is_stopped(socket: str) -> None:
    stop = threading.Event()
    stop.set()
    assert not Exclusion(socket).acquire(stop)


def test_node_without_open_vswitch_has_nothing_to_wait_for(tmp_path: Path) -> None:
    assert Exclusion(f"unix:{tmp_path}/absent/db.sock").acquire(threading.Event())
