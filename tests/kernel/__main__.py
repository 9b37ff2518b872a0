"""`python -m tests.kernel [--here|--without-ipv6] [PYTEST ARGUMENTS]`: pytest over this folder, on a fitting kernel.

`--here` uses this machine's own kernel, whatever it lacks: faster, and sufficient for most of `test_host_*.py`.
`--without-ipv6` boots guests whose kernel has IPv6 disabled, as `ipv6.disable=1` does on a node.
A guest has one processor, and waits most of the time: without a named file, three guests share the tests,
and those of files that fail are run again as `tests.rerun` says.
"""

import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests import rerun
from tests.kernel.guest import Output, run
from tests.testbed.assets import locate

_HERE: Final = Path(__file__).parent
_HERE_OPTION: Final = "--here"
_PARAMETERS: Final = {"--without-ipv6": "ipv6.disable=1"}
"""Of the guest's kernel, by option."""
_IN_FORCE: Final = {"ipv6.disable=1": "! [ -e /proc/net/if_inet6 ]"}
"""What the shell finds if a parameter has had its effect."""
_OTHER_SHARES: Final = (
    (
        "agent",
        "agent_certificates",
        "answers",
        "direct_paths",
        "drops",
        "fail_closed",
        "in_force",
        "ipv6_agents",
        "mss",
        "mss_agents",
        "nat",
        "nat_found",
        "path_mtu",
        "plain_peer",
        "probe_command",
        "refusals",
        "secrets",
    ),
    ("certificates", "flush", "matrix", "nat_agents", "ownership", "paths", "relay", "storms"),
)
"""Test files of the second and the third guest."""
_KEPT: Final = (
    "HOME",
    "LANG",
    "CI",
    "HYPOTHESIS_PROFILE",
    "HYPOTHESIS_STORAGE_DIRECTORY",
    "PYTEST_ADDOPTS",
    "ISTHMUS_KERNEL_NETWORKS",
)


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
        return run(kernel, _command([*arguments, *files], parameters), sys.stdout.buffer, parameters)

    def guest(targets: list[str], output: Output) -> int:
        return run(kernel, _command([*arguments, *targets], parameters), output, parameters)

    status, output = _run_shares(guest)
    return rerun.confirmed(status, output, lambda files: guest(files, sys.stdout.buffer))


def _run_shares(guest: Callable[[list[str], Output], int]) -> tuple[int, str]:
    """The worst exit status, and all output; the first guest's is printed at once, that of others when they end."""
    first, *others = ([str(file) for file in files] for files in _shares())
    with ExitStack() as opened, ThreadPoolExecutor() as pool:
        outputs = [opened.enter_context(tempfile.TemporaryFile()) for _ in others]
        started = [pool.submit(guest, share, output) for share, output in zip(others, outputs, strict=True)]
        printed = _Printed()
        statuses = [guest(first, printed)]
        for ending, output in zip(started, outputs, strict=True):
            statuses.append(ending.result())
            output.seek(0)
            printed.write(output.read())
    return max(statuses), bytes(printed.all).decode(errors="replace")


class _Printed:
    """Standard output, which is kept as well."""

    def __init__(self) -> None:
        self.all = bytearray()

    def write(self, part: bytes, /) -> None:
        self.all += part
        sys.stdout.buffer.write(part)

    def flush(self) -> None:
        sys.stdout.flush()


def _shares() -> list[list[Path]]:
    """Lists of test files that take about as long."""
    others = [{_HERE / f"test_{name}.py" for name in share} for share in _OTHER_SHARES]
    first = set(_HERE.glob("test_*.py")).difference(*others)
    return [sorted(files) for files in (first, *others)]


def _command(arguments: list[str], parameters: list[str]) -> str:
    color = "yes" if sys.stdout.isatty() else "no"
    # No cache: the guest would write it into the tree as root, bypassing the host's page cache.
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--color={color}"]
    environment = [f"{name}={os.environ[name]}" for name in _KEPT if name in os.environ]
    steps = [f"cd {shlex.quote(os.getcwd())}", *(_IN_FORCE[parameter] for parameter in parameters)]
    return f"{' && '.join(steps)} && exec {shlex.join(['env', *environment, *pytest, *arguments])}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
