"""`kubectl isthmus` as a process: terminals, pipes and signals."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.kubectl import FakeKubectl
from tests.fakes.topologies import HOSTILE_NETWORK


@pytest.mark.usefixtures("kubectl")
@pytest.mark.parametrize(
    ("variable", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colour_is_for_terminals(variable: dict[str, str], is_coloured: bool) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"} | variable
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "isthmus.plugin.main", "status"]
    done = subprocess.run(command, stdout=slave, env=environment, check=False)
    os.close(slave)
    printed = os.read(master, 65536)
    os.close(master)
    assert done.returncode == 1
    assert b"NOT ACTIVE" in printed
    assert (b"\x1b[" in printed) == is_coloured
    plain = subprocess.run(command, capture_output=True, env=environment, check=False).stdout
    assert b"NOT ACTIVE" in plain
    assert b"\x1b" not in plain


def test_terminal_that_cannot_show_a_character(kubectl: FakeKubectl) -> None:
    kubectl.objects([HOSTILE_NETWORK])
    command = [sys.executable, "-m", "isthmus.plugin.main", "networks"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"web [2J\\u7f51\\u7edc" in done.stdout


def test_reader_that_has_gone_is_no_failure(kubectl: FakeKubectl) -> None:
    kubectl.objects([HOSTILE_NETWORK | {"metadata": {"name": f"web-{number}"}} for number in range(3000)])
    command = [sys.executable, "-m", "isthmus.plugin.main", "networks"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_interrupt_ends_it_without_a_traceback(tmp_path: Path) -> None:
    slow = tmp_path / "kubectl"
    slow.write_text("#!/bin/sh\necho started > $0.started\nexec sleep 30\n")
    slow.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    # A background job, as these tests may be one of, ignores the signal, and so would all its children.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "isthmus.plugin.main", "peers"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, start_new_session=True) as process:
        while not slow.with_suffix(".started").exists():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 130
