"""CPU time of `kubectl isthmus status` without that of kubectl, which a fake replaces."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isthmus.plugin import archive
from tests.bench.result import Result, at_most
from tests.fakes.kubectl import FakeKubectl, documents, lease, stretched

_SAMPLES = 9
_NETWORKS = 1_000
_LIMIT_SECONDS = 0.5
"""The aim is one second together with kubectl."""


def measure() -> list[Result]:
    """The least of some runs of the one file that `make plugin` writes."""
    with tempfile.TemporaryDirectory() as directory:
        kubectl = FakeKubectl(Path(directory))
        kubectl.prints(json.dumps({"kind": "List", "items": _many()}, indent=4))  # as kubectl does
        now = datetime.now(UTC).isoformat()
        kubectl.leases([lease("isthmus-controller", now), lease("isthmus-agent-gw-cloud-a", now)])
        plugin = Path(directory) / "kubectl-isthmus"
        plugin.write_bytes(archive.build())
        seconds = min(_run(plugin, kubectl) for _ in range(_SAMPLES))
    name = f"kubectl isthmus status, {_NETWORKS:,} networks: CPU without kubectl"
    return [at_most(name, seconds, "s", _LIMIT_SECONDS)]


def _run(plugin: Path, kubectl: FakeKubectl) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {"PATH": f"{kubectl.path}:/usr/bin:/bin"}
    # Exit code 0: it has read and judged all of them.
    done = subprocess.run(
        [sys.executable, plugin, "status"], env=environment, check=True, capture_output=True, text=True
    )
    assert f"networks: {_NETWORKS} of {_NETWORKS} ready" in done.stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _many() -> list[dict[str, Any]]:
    """The objects of a cloud with so many stretched networks."""
    items = documents(stretched().clouds[0])
    of_network = [item for item in items if item["kind"] in {"NetworkExpansion", "Attachment"}]
    others = [item for item in items if item not in of_network]
    return [*others, *(_renamed(item, number) for number in range(_NETWORKS) for item in of_network)]


def _renamed(item: dict[str, Any], number: int) -> dict[str, Any]:
    metadata = item["metadata"]
    return item | {"metadata": metadata | {"name": f"{metadata['name']}-{number}"}}
