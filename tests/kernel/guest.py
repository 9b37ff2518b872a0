"""Run a line of shell on a kernel with Open vSwitch and ESP: the host's in namespaces, or that of a guest."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

_BOOT: Final = Path(__file__).parent / "boot.sh"
_MEMORY_MEGABYTES: Final = 768
_TIMEOUT_SECONDS: Final = 1_800.0  # twice what the longest share takes on a busy machine
_NO_RESULT: Final = 125


class Output(Protocol):
    """What takes a guest's output."""

    def write(self, part: bytes, /) -> Any: ...

    def flush(self) -> None: ...


def run(kernel: Path | str | None, command: str, output: Output, parameters: Sequence[str] = ()) -> int:
    """Run it in bash and return its exit status; its output goes to `output`, or without a kernel to this process's.

    `kernel` is a User Mode Linux, which boots with these parameters; without one it is the host's own. What runs longer
    than 15 minutes is killed.
    """
    with tempfile.TemporaryDirectory(prefix="isthmus-kernel-") as name:
        directory = Path(name)
        (directory / "command").write_text(command)
        if kernel is None:
            return _run_in_namespaces(directory)
        return _run_in_guest(str(kernel), directory, output, parameters)


def _run_in_namespaces(directory: Path) -> int:
    kinds = ["--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--propagation=private"]
    process = subprocess.Popen(
        ["unshare", *kinds, str(_BOOT)],
        env=os.environ | {"KERNEL_TIER": str(directory)},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    with _bounded(process):
        return process.wait()


def _run_in_guest(kernel: str, directory: Path, output: Output, parameters: Sequence[str]) -> int:
    """The guest has this machine's root file system; its serial line is a pipe, its console a file."""
    reading, writing = os.pipe()
    argv = [
        kernel,
        f"mem={_MEMORY_MEGABYTES}M",
        f"umid={directory.name}",
        f"uml_dir={directory}/",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "rw",
        f"init={_BOOT}",
        "con=null",
        "con0=null,fd:2",
        "ssl=null",
        f"ssl0=null,fd:{writing}",
        "loglevel=4",
        "panic=1",
        "random.trust_cpu=on",
        "KERNEL_TIER_GUEST=1",
        f"KERNEL_TIER={directory}",
        *parameters,
    ]
    console, status = directory / "console", directory / "status"
    with console.open("wb") as log:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[writing], start_new_session=True
        )
    os.close(writing)
    with _bounded(process), open(reading, "rb", buffering=0) as line:
        while part := line.read(65536):
            output.write(part)
            output.flush()
        process.wait()
    if status.exists():
        return int(status.read_text())
    print("the guest ended without a result:", console.read_text(errors="replace")[-4000:], file=sys.stderr)
    return _NO_RESULT


@contextmanager
def _bounded(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the process and its children in any case, at the latest after the timeout."""

    def end() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    watchdog = threading.Timer(_TIMEOUT_SECONDS, end)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()
        end()
        process.wait()
