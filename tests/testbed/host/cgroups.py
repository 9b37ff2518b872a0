"""Control groups of the host for one lab, in version 2's hierarchy or in each of version 1's."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")
_REMOVAL_SECONDS: Final = 5.0


def create(name: str) -> str:
    """Create the group in every hierarchy, and return its path as a kubelet takes it."""
    for hierarchy in _hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        # Without processors and memory of its own, version 1 lets no process join.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / setting).exists() and (group / setting).exists():
                (group / setting).write_text((hierarchy / setting).read_text())
    return f"/{name}"


def remove(name: str) -> None:
    """Remove the group with all groups in it, whose processes have just been killed."""
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while left := [group for hierarchy in _hierarchies() if (group := hierarchy / name).is_dir()]:
        for group in left:
            for directory in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
                with suppress(OSError):
                    directory.rmdir()
            with suppress(OSError):
                group.rmdir()
        if time.monotonic() > deadline:
            return
        time.sleep(0.1)


def _hierarchies() -> Iterator[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        yield _ROOT
        return
    # Names such as `cpu` and `cpuacct` may lead to the same one.
    yield from {path.resolve() for path in _ROOT.iterdir() if (path / "cgroup.procs").exists()}
