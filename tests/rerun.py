"""Run test files again that failed: a defect fails them again, a processor that was busy elsewhere does not.

Real charons, kernels and clouds keep real time on a machine that is shared. A file that fails is therefore run two
times more, with new fixtures, and must pass both times; this is printed. None is if a frame crossed the WAN
unprotected: that must not happen once; nor if more files failed than chance explains.

`python -m tests.rerun PYTEST ARGUMENTS` runs pytest in this way.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Final

RUNS: Final = 2
_FILES_AT_MOST: Final = 3
_SOME_FAILED: Final = 1
"""pytest's exit status; others say that it was interrupted or could not run at all."""
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (tests/[^ :]+\.py)\b", re.MULTILINE)
_UNPROTECTED: Final = re.compile(r"\bUnprotectedFrames\b|\.clean\b")
"""In what pytest shows of a failure: that of a check of the wire, or one that may be."""


def failed_files(output: str) -> list[str]:
    """The test files to run again, from the output of pytest with `-ra`; none if failures are to stand."""
    files = sorted(set(_FAILED.findall(output)))
    return [] if _UNPROTECTED.search(output) or len(files) > _FILES_AT_MOST else files


def confirmed(status: int, output: str, again: Callable[[list[str]], int]) -> int:
    """The exit status of a run of pytest, 0 if all files that failed pass `RUNS` times more.

    `again` runs the files and returns the exit status.
    """
    files = failed_files(output) if status == _SOME_FAILED else []
    for run in range(1, RUNS + 1) if files else ():
        print(f"failed, run {run} of {RUNS} more: {' '.join(files)}", flush=True)
        if failure := again(files):
            return failure
    if files:
        print(f"failed once, passed {RUNS} times: {' '.join(files)}", flush=True)
        return 0
    return status


def main(arguments: list[str]) -> int:
    """Run pytest and return its exit status."""
    options = [argument for argument in arguments if argument.startswith("-")]
    status, output = _pytest(arguments)
    return confirmed(status, output, lambda files: _pytest([*options, *files])[0])


def _pytest(arguments: list[str]) -> tuple[int, str]:
    """The exit status and what it has printed, which is passed on at once."""
    command = [sys.executable, "-m", "pytest", *arguments]
    parts = []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while part := os.read(process.stdout.fileno(), 65536):
            sys.stdout.buffer.write(part)
            sys.stdout.flush()
            parts.append(part)
    return process.returncode, b"".join(parts).decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
