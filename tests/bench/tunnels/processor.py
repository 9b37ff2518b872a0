"""Processor time of a guest's kernel, as this machine counts it: what else runs here does not count.

The guest says on its serial line when it begins and ends something, and then does nothing for a moment. It has one
processor, whose kernel is one thread of this machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import IO, Final

from tests.kernel.openvswitch import sh

_MARK: Final = "@processor"
_QUIET_SECONDS: Final = 0.1  # in which the mark arrives
_NUMBERS: Final = count()


@contextmanager
def metered() -> Iterator[int]:
    """Have the time of what happens in the block counted, under the number that it yields; inside of a guest."""
    number = next(_NUMBERS)
    _mark(number, "begin")
    try:
        yield number
    finally:
        _mark(number, "end")


def _mark(number: int, event: str) -> None:
    if (thread := _kernel_thread()) is not None:
        print(_MARK, thread, number, event, flush=True)
        time.sleep(_QUIET_SECONDS)


@cache
def _kernel_thread() -> str | None:
    """This guest's kernel among the processes of the machine; None on the machine itself."""
    if "hostfs" not in Path("/proc/mounts").read_text():
        return None
    place = Path("/run/machine-proc")
    place.mkdir()
    sh(f"mount -t hostfs none {place} -o /proc")
    return os.readlink(place / "self")


class Meter:
    """Takes the output of a guest, and hands on what are not marks."""

    def __init__(self, output: IO[bytes], proc: Path = Path("/proc")) -> None:
        self._output, self._proc, self._rest = output, proc, b""
        self._marks: dict[tuple[int, str], float] = {}

    def write(self, part: bytes) -> None:
        """Takes what has arrived."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            words = line.decode(errors="replace").split()
            if words[:1] == [_MARK]:
                _, thread, number, event = words
                self._marks[int(number), event] = self._seconds(thread)
            else:
                self._output.write(line + b"\n")

    def flush(self) -> None:
        """Hands it on."""
        self._output.flush()

    def _seconds(self, thread: str) -> float:
        """What it has used so far (`/proc/PID/schedstat`, in nanoseconds)."""
        return int((self._proc / thread / "schedstat").read_text().split()[0]) / 1e9

    def seconds(self, number: int) -> float | None:
        """Between both marks of a number; None without them."""
        begun, ended = (self._marks.get((number, event)) for event in ("begin", "end"))
        return None if begun is None or ended is None else ended - begun
