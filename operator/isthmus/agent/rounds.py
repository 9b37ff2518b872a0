"""Repeats something at an interval, on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from isthmus.telemetry.health import Health

from .attempts import Barrier


class Rounds:
    """Neither a defect nor a failure in one round prevents the next one."""

    def __init__(self, name: str, once: Callable[[], None], interval_seconds: float, health: Health) -> None:
        """The thread has that name, and so has the loop by which `health` records the rounds."""
        self._name, self._once = name, once
        self._interval_seconds = interval_seconds
        self._loop = health.loop(name)
        self._barrier = Barrier()
        self._wake = threading.Event()
        self._stopped = False

    def start(self) -> None:
        """Start the first round."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """Stop after the current round."""
        self._stopped = True
        self._wake.set()

    def hurry(self) -> None:
        """Start the next round at once."""
        self._wake.set()

    def _run(self) -> None:
        self._loop.begin()
        while not self._stopped:
            next_at = time.monotonic() + self._interval_seconds
            try:
                self._once()
            except Exception as error:
                self._barrier.problem(error)
            self._loop.ended()
            self._wake.wait(max(0.0, next_at - time.monotonic()))
            self._wake.clear()
