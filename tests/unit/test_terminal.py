"""Commands run at a terminal of their own, are answered, and fail with what they have shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.testbed.host.terminal import CommandFailed, run

ASK = 'test -t 0 && read -p "code: " code && read -p "agree? " yes && echo "got $code $yes"'


def at_terminal(line: str, directory: Path, timeout_seconds: float = 10) -> str:
    """Run a line of bash, and answer both questions."""
    return run(
        ["bash", "-c", line],
        env={"PATH": os.environ["PATH"]},
        cwd=directory,
        answers={"code: ": "42", "agree? ": "y"},
        timeout_seconds=timeout_seconds,
    )


def test_questions_are_answered(tmp_path: Path) -> None:
    assert "got 42 y" in at_terminal(ASK, tmp_path)


def test_failure_shows_the_output(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"ended with 3: no such thing"):
        at_terminal("echo no such thing; exit 3", tmp_path)


def test_command_that_waits_forever_is_ended(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"has not ended after 0.5 s: "):
        at_terminal("cat; " + ASK, tmp_path, timeout_seconds=0.5)
