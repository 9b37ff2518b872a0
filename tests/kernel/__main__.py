"""`python -m tests.kernel [--here|--without-ipv6] [PYTEST ARGUMENTS]`: pytest over this folder, on a fitting kernel.

`--here` uses this machine's own kernel, whatever it lacks: faster, and sufficient for most of `test_host_*.py`.
`--without-ipv6` boots guests whose kernel has IPv6 disabled, as `ipv6.disable=1` does on a node.
A guest has one processor: without a named file, two guests share the tests.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from tests.testbed.assets import locate

_HERE: Final = Path(__file__).parent
_HERE_OPTION: Final = "--here"
_PARAMETERS: Final = {"--without-ipv6": "ipv6.disable=1"}
"""Of the guest's kernel, by option."""
_IN_FORCE: Final = {"ipv6.disable=1": "! [ -e /proc/net/if_inet6 ]"}
"""What the shell finds if a parameter has had its effect."""
_BOOT: Final = _HERE / "boot.sh"
_MEMORY_MEGABYTES: Final = 768
_TIMEOUT_SECONDS: Final = 900.0
_NO_RESULT: Final = 125
_SECOND_SHARE: Final = (
    "agent",
    "agent_certificates",
    "fail_closed",
    "flush",
    "in_force",
    "ipv6_agents",
    "mss",
    "mss_agents",
    "nat",
    "nat_agents",
    "nat_found",
    "path_mtu",
    "plain_peer",
    "refusals",
    "secrets",
)
_KEPT: Final = ("HOME", "LANG", "HYPOTHESIS_STORAGE_DIRECTORY", "PYTEST_ADDOPTS", "ISTHMUS_KERNEL_NETWORKS")


def main(arguments: list[str]) -> int:
    """Run pytest and return its exit status."""
    here = _HERE_OPTION in arguments
    parameters = [_PARAMETERS[argument] for argument in arguments if argument in _PARAMETERS]
    arguments = [argument for argument in arguments if argument not in (_HERE_OPTION, *_PARAMETERS)]
    kernel = None if here else os.environ.get("ISTHMUS_UML_KERNEL") or locate().uml_kernel
    if kernel is None and parameters:
        sys.exit("only guests can be booted without IPv6")
    has_targets = any(Path(argument.split("::")[0]).exists() for argument in arguments)
    if has_targets or kernel is None:
        files = [] if has_targets else sorted(map(str, _HERE.glob("test_*.py")))
        return _run(kernel, [*arguments, *files], sys.stdout.buffer, parameters)
    first, second = ([*arguments, *map(str, files)] for files in _shares())
    with ThreadPoolExecutor() as pool, tempfile.TemporaryFile() as later:
        other = pool.submit(_run, kernel, second, later, parameters)
        status = _run(kernel, first, sys.stdout.buffer, parameters)
        status = other.result() or status
        later.seek(0)
        shutil.copyfileobj(later, sys.stdout.buffer)
    return status


def _shares() -> tuple[list[Path], list[Path]]:
    """Two lists of test files that take about as long."""
    files = set(_HERE.glob("test_*.py"))
    second = {_HERE / f"test_{name}.py" for name in _SECOND_SHARE}
    return sorted(files - second), sorted(files & second)


def _run(kernel: Path | str | None, arguments: list[str], output: IO[bytes], parameters: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="isthmus-kernel-") as name:
        directory = Path(name)
        (directory / "command").write_text(_command(arguments, parameters))
        if kernel is None:
            return _run_in_namespaces(directory)
        return _run_in_guest(str(kernel), directory, output, parameters)


def _command(arguments: list[str], parameters: list[str]) -> str:
    color = "yes" if sys.stdout.isatty() else "no"
    # No cache: the guest would write it into the tree as root, bypassing the host's page cache.
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--color={color}"]
    environment = [f"{name}={os.environ[name]}" for name in _KEPT if name in os.environ]
    steps = [f"cd {shlex.quote(os.getcwd())}", *(_IN_FORCE[parameter] for parameter in parameters)]
    return f"{' && '.join(steps)} && exec {shlex.join(['env', *environment, *pytest, *arguments])}\n"


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


def _run_in_guest(kernel: str, directory: Path, output: IO[bytes], parameters: list[str]) -> int:
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
