"""Runs builds in parallel, reports progress, and ends all builds if one fails."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.testbed.assets.cache import Asset, Cache

_PARALLEL_JOBS: Final = 3
_PARALLEL_COMPILERS: Final = 2
_TICK_SECONDS: Final = 15.0
_TAIL_LINES: Final = 30


class BuildError(Exception):
    """A command of a build failed."""


class Workshop:
    """Jobs of one `ensure`: at most three at a time, at most two of them compilers."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._pool = ThreadPoolExecutor(_PARALLEL_JOBS)
        self._compilers = threading.Semaphore(_PARALLEL_COMPILERS)
        self._jobs: list[Future[None]] = []
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._under_way: dict[str, tuple[float, float]] = {}
        self._state = threading.Lock()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._report_progress, daemon=True)

    def __enter__(self) -> Self:
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._wait_for_jobs()
        finally:
            self._ended.set()
            self._kill_processes()
            self._pool.shutdown(cancel_futures=True)

    def submit(self, job: Callable[[], None], after: Sequence[Future[None]] = ()) -> Future[None]:
        """Run a job when a slot is free and the jobs `after` are done (these must have been submitted earlier)."""

        def run() -> None:
            for future in after:
                future.result()
            job()

        self._jobs.append(self._pool.submit(run))
        return self._jobs[-1]

    def build(self, asset: Asset, usual_seconds: float, job: Callable[[Path], None], *, compiles: bool = False) -> None:
        """Fill an asset's directory unless the asset is complete."""
        if asset.complete:
            asset.marker()
            return
        with self.cache.building(asset) as missing:
            if not missing:
                return
            self.cache.log(asset.name).unlink(missing_ok=True)
            if compiles:
                with self._compilers, self.reporting(asset.name, usual_seconds):
                    job(asset.directory)
            else:
                with self.reporting(asset.name, usual_seconds):
                    job(asset.directory)

    def run(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        killable: bool = True,
    ) -> None:
        """Run one command of the build `name`, its output into that build's log.

        A command that must not be interrupted is awaited even if another build has failed.
        """
        log = self.cache.log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            output.write(f"$ {' '.join(map(str, argv))}\n".encode())
            output.flush()
            with self._state:
                if self._ended.is_set():
                    raise BuildError(f"{name}: not begun")
                process = subprocess.Popen(
                    argv,
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
                if killable:
                    self._processes.add(process)
        code = process.wait()
        with self._state:
            self._processes.discard(process)
        if code != 0:
            raise BuildError(f"{name} failed: {argv[0]} ended with {code}, see {log}\n{_tail(log)}")

    @contextmanager
    def reporting(self, name: str, usual_seconds: float) -> Iterator[None]:
        """Report start, usual duration, progress and end of the work on `name`."""
        start = time.monotonic()
        self._print(f"{name}: started, usually takes {_clock(usual_seconds)} on two cores ({self.cache.log(name)})")
        with self._state:
            self._under_way[name] = (start, usual_seconds)
        try:
            yield
        finally:
            with self._state:
                del self._under_way[name]
        self._print(f"{name}: ready after {_clock(time.monotonic() - start)}")

    def _wait_for_jobs(self) -> None:
        done, _ = wait(self._jobs, return_when=FIRST_EXCEPTION)
        for job in done:
            job.result()

    def _kill_processes(self) -> None:
        with self._state:
            for process in self._processes:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _report_progress(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            now = time.monotonic()
            with self._state:
                parts = [
                    f"{name} {_clock(now - start)} of {_clock(usual)}"
                    for name, (start, usual) in self._under_way.items()
                ]
            if parts:
                self._print("  ... " + ", ".join(parts))

    @staticmethod
    def _print(line: str) -> None:
        sys.stderr.write(f"{line}\n")  # one write, so that lines of two threads do not mix


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
