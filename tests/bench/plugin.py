"""CPU time of `kubectl isthmus status` and `diagnose` without that of kubectl, which a fake replaces."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from isthmus.plugin import archive
from tests.bench.result import Result, at_most
from tests.fakes.kubectl import FakeKubectl, documents, stretched
from tests.fakes.topologies import leases

_SAMPLES = 9
_NETWORKS = 1_000
_STATUS_SECONDS, _DIAGNOSE_SECONDS = 0.5, 2.5
"""Limits. The aims are 1 s and 5 s together with kubectl."""


def measure() -> list[Result]:
    """The least of some runs of the one file that `make plugin` writes."""
    with tempfile.TemporaryDirectory() as directory:
        kubectl = FakeKubectl(Path(directory))
        kubectl.objects(_many())
        kubectl.leases(leases())
        plugin = Path(directory) / "kubectl-isthmus"
        plugin.write_bytes(archive.build())
        status = min(_run(plugin, kubectl, "status", 0, f"{_NETWORKS} of {_NETWORKS} ready") for _ in range(_SAMPLES))
        fine = min(_run(plugin, kubectl, "diagnose", 0, "cloud-b: all is well") for _ in range(_SAMPLES))
        kubectl.objects(_failing(item) for item in _many())
        failing = min(_run(plugin, kubectl, "diagnose", 1, "ProbeUnanswered at echo") for _ in range(_SAMPLES))
    name = f"{_NETWORKS:,} networks: CPU without kubectl"
    return [
        at_most(f"kubectl isthmus status, {name}", status, "s", _STATUS_SECONDS),
        at_most(f"kubectl isthmus diagnose, {name}", fine, "s", _DIAGNOSE_SECONDS),
        at_most(f"kubectl isthmus diagnose, all links down, {name}", failing, "s", _DIAGNOSE_SECONDS),
    ]


def _run(plugin: Path, kubectl: FakeKubectl, verb: str, code: int, expected: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {"PATH": f"{kubectl.path}:/usr/bin:/bin"}
    done = subprocess.run([sys.executable, plugin, verb], env=environment, check=False, capture_output=True, text=True)
    # It has read and judged all of them.
    assert (done.returncode, expected in done.stdout) == (code, True), done
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _failing(item: dict[str, Any]) -> dict[str, Any]:
    """The network with a link whose probes are not answered."""
    if item["kind"] != "Attachment":
        return item
    down = [link | {"up": False, "reason": "ProbeUnanswered"} for link in item["status"]["nodes"][0]["links"]]
    return item | {"status": item["status"] | {"nodes": [item["status"]["nodes"][0] | {"links": down}]}}


def _many() -> list[dict[str, Any]]:
    """The objects of a cloud with so many stretched networks."""
    items = documents(stretched().clouds[0])
    of_network = [item for item in items if item["kind"] in {"NetworkExpansion", "Attachment"}]
    others = [item for item in items if item not in of_network]
    return [*others, *(_renamed(item, number) for number in range(_NETWORKS) for item in of_network)]


def _renamed(item: dict[str, Any], number: int) -> dict[str, Any]:
    metadata = item["metadata"]
    return item | {"metadata": metadata | {"name": f"{metadata['name']}-{number}"}}
