"""A command at a terminal of its own, whose questions are answered."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_BYTES = 4096


class CommandFailed(RuntimeError):
    """The command failed or did not end; the message has what it has shown."""


def run(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, answers: Mapping[str, str], timeout_seconds: float
) -> str:
    """Run a command that must succeed as in `converse`; returns what the terminal shows."""
    code, shown = converse(argv, env=env, cwd=cwd, answers=answers, timeout_seconds=timeout_seconds)
    if code:
        raise CommandFailed(f"{' '.join(argv)}: ended with {code}: {shown}")
    return shown


def converse(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, answers: Mapping[str, str], timeout_seconds: float
) -> tuple[int, str]:
    """Run a command and type an answer after each of these questions; exit code, and what the terminal shows."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        argv, stdin=slave, stdout=slave, stderr=slave, env=dict(env), cwd=cwd, start_new_session=True
    )
    os.close(slave)
    try:
        shown, has_ended = _read_and_answer(master, dict(answers), time.monotonic() + timeout_seconds)
        if not has_ended:
            raise CommandFailed(f"{' '.join(argv)}: has not ended after {timeout_seconds:g} s: {shown}")
        return process.wait(timeout=60), shown
    finally:
        os.close(master)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read_and_answer(master: int, answers: dict[str, str], deadline: float) -> tuple[str, bool]:
    """What is shown until the last process that has the terminal ends, or until the deadline; and which it was."""
    shown = ""
    while select.select([master], [], [], max(0.0, deadline - time.monotonic()))[0]:
        try:
            content = os.read(master, _BYTES)
        except OSError:  # nobody has the terminal any more
            return shown, True
        shown += content.decode(errors="replace")
        for question in [question for question in answers if question in shown]:
            os.write(master, answers.pop(question).encode() + b"\n")
    return shown, False
