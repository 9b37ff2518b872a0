"""Rights of a pod's processes, as /proc has them."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.pods.processes import our_processes


class NodePlace:
    """A node whose listing of processes is given."""

    def __init__(self, *statuses: dict[str, str]) -> None:
        self._listed = json.dumps(statuses)

    def run(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        """Answer any command."""
        return subprocess.CompletedProcess(argv, 0, self._listed, "")


def status(**changed: str) -> dict[str, str]:
    """Fields of /proc/PID/status."""
    agent = {"Name": "python3", "Pid": "7", "Uid": "0\t0\t0\t0", "NoNewPrivs": "1", "Seccomp": "2"}
    return {**agent, "CapEff": "0000000000003000", "CapBnd": "0000000000003000", **changed}


def test_process_is_described_in_the_words_of_the_table() -> None:
    (process,) = our_processes(NodePlace(status()), {"metadata": {"uid": "1"}})  # type: ignore[arg-type]
    assert (process.effective, process.user, process.no_new_privileges) == ("NET_ADMIN, NET_RAW", "0", "yes")
    assert process.seccomp == "filter"


@pytest.mark.parametrize(
    ("changed", "field", "shown"),
    [
        ({"Uid": "0 0 65532 0"}, "user", "0 65532"),
        ({"CapEff": "0000000000200000"}, "effective", "21"),
        ({"CapBnd": "0"}, "bounding", "none"),
        ({"NoNewPrivs": "0"}, "no_new_privileges", "no"),
        ({"Seccomp": "0"}, "seccomp", "none"),
    ],
)
def test_other_rights_are_shown(changed: dict[str, str], field: str, shown: str) -> None:
    (process,) = our_processes(NodePlace(status(**changed)), {"metadata": {"uid": "1"}})  # type: ignore[arg-type]
    assert getattr(process, field) == shown


def test_container_of_the_pods_namespaces_is_not_ours() -> None:
    pause = status(Name="pause")
    assert our_processes(NodePlace(pause), {"metadata": {"uid": "1"}}) == []  # type: ignore[arg-type]
