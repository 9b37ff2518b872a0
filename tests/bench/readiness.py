"""Runs on a node: waits for a container's process, then until /readyz is answered with 200, and prints the seconds.

Its arguments are the UID of the pod, the port, and after how many seconds to give up. The time begins when the runtime
has created the process (proc_pid_stat(5)).
"""

import ctypes
import os
import sys
import time
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

PAUSE_SECONDS = 0.02
DEFAULT_ADDRESS = "127.0.0.1"


def pause(deadline: float) -> None:
    if time.monotonic() > deadline:
        sys.exit("not seen in time")
    time.sleep(PAUSE_SECONDS)


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


def serves_since(url: str) -> float:
    """When the process that is ready there was started, in seconds since 1970. Raises OSError if none is."""
    with urlopen(f"{url}/readyz", timeout=1):
        pass
    with urlopen(f"{url}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith("process_start_time_seconds ")).split()[1])


def boot_time() -> float:
    return float(
        next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime")).split()[1]
    )


def is_ready(directory: Path, port: str) -> bool:
    """Whether this very process is ready; on the host's network a predecessor may have the port."""
    try:
        serves = serves_since(f"http://{address_of(directory)}:{port}")
    except (OSError, HTTPException):
        return False
    return abs(serves - boot_time() - started_at(directory)) < 0.5


def ready_process(uid: str, port: str, deadline: float) -> Path:
    while True:
        if (directory := process_of(uid)) is None:
            pause(deadline)
            continue
        try:
            enter_network(directory)
            while directory.exists():
                if is_ready(directory, port):
                    return directory
                pause(deadline)
        except OSError:
            # Until the runtime executes the program, processes of its own come and go in the pod.
            pause(deadline)


def main(uid: str, port: str, seconds: str) -> None:
    directory = ready_process(uid, port, time.monotonic() + float(seconds))
    print(time.clock_gettime(time.CLOCK_BOOTTIME) - started_at(directory))


if __name__ == "__main__":
    main(*sys.argv[1:])
