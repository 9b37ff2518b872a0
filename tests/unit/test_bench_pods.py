"""The measurements of pods, without pods: when a process is ready, and who it is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.bench import pods, readiness
from tests.bench.containers import mebibytes
from tests.pods import losses
from tests.pods.losses import Count


class Process(BaseHTTPRequestHandler):
    """Serves as a process that becomes ready at some time."""

    ready_at = 0.0
    started_seconds = 0.0

    def do_GET(self) -> None:
        """Answer a probe, or with metrics."""
        if self.path == "/readyz":
            self.send_response(200 if time.monotonic() >= self.ready_at else 503)
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"# HELP x\nprocess_start_time_seconds {self.started_seconds}\n".encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Where it serves."""
    server = HTTPServer(("127.0.0.1", 0), Process)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


@pytest.fixture
def this_process(monkeypatch: pytest.MonkeyPatch) -> Path:
    """This very process plays that of the container."""
    directory = Path(f"/proc/{os.getpid()}")
    monkeypatch.setattr(readiness, "process_of", lambda _: directory)
    monkeypatch.setattr(readiness, "enter_network", lambda _: None)
    started = readiness.started_at(directory)
    monkeypatch.setattr(Process, "started_seconds", readiness.boot_time() + started)
    return directory


def test_time_ends_when_the_process_is_ready(
    port: int, this_process: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - readiness.started_at(this_process)
    monkeypatch.setattr(Process, "ready_at", time.monotonic() + 0.3)
    readiness.main("uid", str(port), "10")
    assert 0.25 < float(capsys.readouterr().out) - age < 5


@pytest.mark.usefixtures("this_process")
def test_predecessor_that_still_serves_does_not_count(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Process, "started_seconds", Process.started_seconds - 60)
    with pytest.raises(SystemExit, match="not seen in time"):
        readiness.main("uid", str(port), "0.3")


def test_process_of_another_pod_is_not_waited_for() -> None:
    assert readiness.process_of("no-such-uid") is None


def test_program_needs_nothing_but_the_standard_library() -> None:
    argv = [sys.executable, "-IS", readiness.__file__, "no-such-uid", "1", "0.1"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "not seen in time\n")


@pytest.mark.parametrize(("quantity", "expected"), [("96Mi", 96.0), ("1Gi", 1024.0), ("512Ki", 0.5)])
def test_quantities(quantity: str, expected: float) -> None:
    assert mebibytes(quantity) == expected


def test_losses_that_were_not_counted_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "counted", lambda: {"rollback": Count(900, 2, 0.1)})
    lost, counted = pods.lost_pings()
    assert (lost.value, lost.met) == (2, False)
    assert (counted.value, counted.met) == (1, False)
