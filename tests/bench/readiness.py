"""Runs on a node: waits for a container's process, then until /readyz is answered with 200, and prints the seconds.

Its arguments are the UID of the pod, the port, and after how many seconds to give up. The time begins when the runtime
has created the process (proc_pid_stat(5)).
"""

import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

PAUSE_SECONDS = 0.02
DEFAULT_ADDRESS = "127.0.0.1"

Answer = TypeVar("Answer")


def wait_for(ask: Callable[[], Answer | None], deadline: float) -> Answer:
    while not (answer := ask()):
        if time.monotonic() > deadline:
            sys.exit("not seen in time")
        time.sleep(PAUSE_SECONDS)
    return answer


def process_of(uid: str) -> Path | None:
    """The process of the pod's only container; neither the one that holds its namespaces, nor the runtime's."""
    for directory in Path("/proc").iterdir():
        try:
            if directory.name.isdecimal() and f"pod{uid}" in (directory / "cgroup").read_text():
                name = (directory / "comm").read_text().strip()
                if name != "pause" and not name.startswith("runc"):
                    return directory
        except (FileNotFoundError, ProcessLookupError):
            continue
    return None


def started_at(directory: Path) -> float:
    """By the clock since boot."""
    fields = (directory / "stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def enter_network(directory: Path) -> None:
    with (directory / "ns" / "net").open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0):
            raise OSError(ctypes.get_errno(), "cannot enter the network namespace of the pod")


def address_of(directory: Path) -> str:
    """Where it serves, if its environment says so."""
    entries = dict(entry.partition("=")[::2] for entry in (directory / "environ").read_text().split("\0"))
    return entries.get("ISTHMUS_METRICS_ADDRESS", DEFAULT_ADDRESS)


def is_ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/readyz", timeout=1):
            return True
    except (HTTPError, OSError):
        return False


def serves_since(url: str) -> float:
    """When the process that serves there was started, in seconds since 1970."""
    with urlopen(f"{url}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith("process_start_time_seconds ")).split()[1])


def boot_time() -> float:
    return float(
        next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime")).split()[1]
    )


def main(uid: str, port: str, seconds: str) -> None:
    deadline = time.monotonic() + float(seconds)
    directory = wait_for(lambda: process_of(uid), deadline)
    started = started_at(directory)
    enter_network(directory)
    url = f"http://{address_of(directory)}:{port}"

    def answers() -> bool:
        """A predecessor in the network of the host may still have the port."""
        return is_ready(url) and abs(serves_since(url) - boot_time() - started) < 0.5

    wait_for(answers, deadline)
    print(time.clock_gettime(time.CLOCK_BOOTTIME) - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
