"""Daemons of the testbed: they end with their whole session, and a reused process ID is not signalled."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.host.process import alive, names, spawn, stop, wait_until


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    stop(tmp_path, *names(tmp_path), grace_seconds=0)


def _said(directory: Path, name: str) -> str:
    return wait_until((directory / f"{name}.log").read_text, 5, f"output of {name}")


def _runs(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_output_environment_and_directory(directory: Path) -> None:
    spawn(
        ["sh", "-c", "echo $GREETING from $PWD"], name="d", directory=directory, env={"GREETING": "hi"}, cwd=Path("/")
    )
    assert _said(directory, "d") == "hi from /\n"


def test_daemon_is_alive_until_stopped(directory: Path) -> None:
    pid = spawn(["sleep", "60"], name="d", directory=directory)
    assert alive(directory, "d")
    assert os.getsid(pid) == pid
    assert names(directory) == ["d"]
    with pytest.raises(RuntimeError, match="already running"):
        spawn(["sleep", "60"], name="d", directory=directory)
    stop(directory, "d")
    assert not alive(directory, "d")
    assert names(directory) == []


def test_exited_daemon_is_not_alive(directory: Path) -> None:
    spawn(["true"], name="d", directory=directory)
    wait_until(lambda: not alive(directory, "d"), 5, "it ends")


def test_daemon_ignoring_sigterm_is_killed_with_its_orphans(directory: Path) -> None:
    script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait"
    spawn(["sh", "-c", script], name="d", directory=directory)
    orphan = int(_said(directory, "d"))
    stop(directory, "d", grace_seconds=0.2)
    assert not _runs(orphan)


def test_orphans_of_an_exited_daemon_are_stopped(directory: Path) -> None:
    spawn(["sh", "-c", "sleep 60 & echo $!"], name="d", directory=directory)
    orphan = int(_said(directory, "d"))
    wait_until(lambda: not alive(directory, "d"), 5, "the leader ends")
    assert _runs(orphan)
    stop(directory, "d")
    assert not _runs(orphan)


def test_reused_process_id_is_not_signalled(directory: Path) -> None:
    stranger = spawn(["sleep", "60"], name="stranger", directory=directory)
    (directory / "pids" / "d").write_text(f"{stranger} 1\n")
    assert not alive(directory, "d")
    stop(directory, "d")
    assert alive(directory, "stranger")


def test_timeout_names_what_was_awaited() -> None:
    before = time.monotonic()
    with pytest.raises(TimeoutError, match=r"the moon: not seen within 0\.2 s"):
        wait_until(lambda: False, 0.2, "the moon", poll_seconds=0.01)
    assert time.monotonic() - before < 2
