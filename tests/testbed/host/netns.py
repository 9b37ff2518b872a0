"""Network namespaces of the host and the links between them."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_DIRECTORY: Final = Path("/run/netns")


def batch(commands: str, namespace: str | None = None) -> None:
    """Run `ip` commands, one per line, in one process; stops at the first failure."""
    where = ["-n", namespace] if namespace else []
    done = subprocess.run(["ip", *where, "-batch", "-"], input=commands, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"ip in {namespace or 'the host'}: {done.stderr.strip()}\n{commands}")


def create(namespace: str) -> None:
    """Create a namespace with loopback up and without automatic IPv6 addresses."""
    batch(f"netns add {namespace}")
    batch("link set lo up", namespace)


def exists(namespace: str) -> bool:
    """Whether there is a namespace of that name."""
    return (_DIRECTORY / namespace).exists()


def run(namespace: str, *argv: str, check: bool = True) -> str:
    """Run a command in a namespace and return its output."""
    done = subprocess.run(["ip", "netns", "exec", namespace, *argv], text=True, capture_output=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)} in {namespace}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def destroy(namespace: str) -> None:
    """Kill all processes in the namespace and delete it with its links, if it exists."""
    if not exists(namespace):
        return
    for pid in _processes(namespace):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    # Delete links explicitly first: the kernel removes those of a deleted namespace asynchronously.
    for link in _links(namespace):
        subprocess.run(["ip", "-n", namespace, "link", "del", link], capture_output=True)
    batch(f"netns del {namespace}")


def enter(namespace: str) -> None:
    """Move the calling thread into the namespace; a process must do so before it starts threads."""
    with (_DIRECTORY / namespace).open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter network namespace {namespace}")


@contextmanager
def anonymous() -> Iterator[None]:
    """Move this thread, and all its children, into an anonymous namespace that ends with the last of them.

    Servers in it do not listen in the host's namespace, and the caller can reach them on the loopback address.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as before:
        if libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "cannot create a network namespace: not root")
        batch("link set lo up")
        try:
            yield
        finally:
            if libc.setns(before.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "cannot return to the previous network namespace")


def inside(namespace: str) -> bool:
    """Whether the calling process is in the namespace."""
    ours = os.stat("/proc/self/ns/net")
    theirs = os.stat(_DIRECTORY / namespace)
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)


def _processes(namespace: str) -> list[int]:
    """Processes in the namespace, except the caller and its ancestors: a tester may be inside."""
    found = subprocess.run(["ip", "netns", "pids", namespace], text=True, capture_output=True).stdout.split()
    spared = set(_ancestors(os.getpid()))
    return [pid for pid in map(int, found) if pid not in spared]


def _ancestors(pid: int) -> list[int]:
    line = [pid]
    while line[-1] > 1:
        stat = Path(f"/proc/{line[-1]}/stat").read_text()
        line.append(int(stat[stat.rindex(")") + 2 :].split()[1]))
    return line


def _links(namespace: str) -> list[str]:
    lines = run(namespace, "ip", "-o", "link", check=False).splitlines()
    return [name for line in lines if (name := line.split(": ")[1].split("@")[0]) != "lo"]
