"""Processes of a pod, with their rights, as /proc on the node has them (proc_pid_status(5))."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.testbed.node.node import Place

_PROGRAM: Final = Path(__file__).with_name("listing.py")
# From linux/capability.h.
_CAPABILITIES: Final = {10: "NET_BIND_SERVICE", 12: "NET_ADMIN", 13: "NET_RAW"}
_SECCOMP: Final = {"0": "none", "1": "strict", "2": "filter"}


@dataclass(frozen=True)
class Process:
    """One process, with its rights in the words of the documentation's table."""

    pid: int
    command: str
    user: str
    effective: str
    bounding: str
    no_new_privileges: str
    seccomp: str


def our_processes(place: Place, pod: dict[str, Any]) -> list[Process]:
    """All processes of a pod's containers; not the container that holds the pod's namespaces."""
    listed = place.run(["/usr/bin/python3", "-IS", str(_PROGRAM), pod["metadata"]["uid"]]).stdout
    found = [_process(status) for status in json.loads(listed)]
    return [process for process in found if process.command != "pause"]


def _process(status: dict[str, str]) -> Process:
    return Process(
        pid=int(status["Pid"]),
        command=status["Name"],
        user=_same(status["Uid"].split()),
        effective=_names(status["CapEff"]),
        bounding=_names(status["CapBnd"]),
        no_new_privileges="yes" if status["NoNewPrivs"] == "1" else "no",
        seccomp=_SECCOMP[status["Seccomp"]],
    )


def _same(users: list[str]) -> str:
    """Real, effective, saved and file system user: one word if they are the same."""
    return " ".join(dict.fromkeys(users))


def _names(mask: str) -> str:
    bits = [number for number in range(64) if int(mask, 16) >> number & 1]
    return ", ".join(_CAPABILITIES.get(number, str(number)) for number in bits) or "none"
