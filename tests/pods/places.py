"""Everything in two clouds where secrets could be: objects, archives for support, metrics, files and processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.gathered import contents
from tests.pods.federation import PodFederation
from tests.pods.planted import Forms, found_in
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.install.installation import Installation
from tests.testbed.node.node import Place

PROGRAM: Final = Path(__file__).with_name("search.py")
SECONDS: Final = 300.0
# Directories of a node of its own; everything else there is this machine's.
_GUEST: Final = ("/run", "/dev/shm")
_WITH_KUBELET: Final = ("/run", "/var/log", "/var/lib/kubelet", "/var/lib/cni")

Found = set[tuple[str, str]]


@dataclass(frozen=True)
class Searched:
    """Result of a search on one node or on this machine."""

    found: Found
    unread: list[str]
    files: int
    processes: int

    @classmethod
    def parse(cls, where: str, printed: str) -> Searched:
        """What search.py has printed."""
        read: dict[str, Any] = json.loads(printed)
        found = {(f"{where}: {place}", name) for place, name in read["found"]}
        return cls(found, [f"{where}: {path}" for path in read["unread"]], read["files"], read["processes"])


def question(looked_for: Forms, roots: Sequence[str]) -> str:
    """Standard input of search.py: nothing of it is on a command line."""
    secrets = {name: [form.hex() for form in forms] for name, forms in looked_for.items()}
    return json.dumps({"secrets": secrets, "roots": roots})


def on_nodes(clouds: PodFederation, looked_for: Forms) -> Iterator[Searched]:
    """Files and processes of all nodes, and of this machine: the lab's directories, and the clouds' servers."""
    control, gateway = clouds.in_pods.workers.both
    places: list[tuple[str, Place, Sequence[str]]] = [
        (control.name, control.place, _WITH_KUBELET),
        (gateway.name, gateway.place, (*_WITH_KUBELET, "/dev/shm")),
        (clouds.b.cloud.gateway.name, clouds.b.cloud.gateway, _GUEST),
    ]
    argv = ["/usr/bin/python3", "-IS", str(PROGRAM)]
    for name, place, roots in places:
        done = place.run(argv, input=question(looked_for, roots), timeout_seconds=SECONDS)
        yield Searched.parse(name, done.stdout)
    state = clouds.lab.state
    yield here(looked_for, [str(state.directory), str(state.memory)])


def here(looked_for: Forms, roots: Sequence[str]) -> Searched:
    """The same on this machine."""
    argv = [sys.executable, "-IS", str(PROGRAM)]
    asked = question(looked_for, roots)
    done = subprocess.run(argv, input=asked, capture_output=True, text=True, check=True, timeout=SECONDS)
    return Searched.parse("host", done.stdout)


def objects(cloud: Cloud) -> Iterator[tuple[str, bytes]]:
    """All objects of all kinds but Secrets, with their statuses; Events and ConfigMaps are among them."""
    listed = cloud.kubectl("api-resources", "--verbs=list", "-o", "name").split()
    kinds = ",".join(sorted(set(listed) - {"secrets"}))
    for item in json.loads(cloud.kubectl("get", kinds, "-A", "--show-managed-fields", "-o", "json"))["items"]:
        metadata = item["metadata"]
        name = f"{item['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
        yield f"{cloud.cloud_id}: {name}", json.dumps(item, ensure_ascii=False).encode()


def gathered(side: Installation, directory: Path) -> Iterator[tuple[str, bytes]]:
    """The files of the archive that `kubectl isthmus gather` writes, and what it prints."""
    name = f"{side.cloud.cloud_id}.tar.gz"
    printed = side.isthmus("gather", "--out", name, directory=str(directory))
    where = f"{side.cloud.cloud_id}: gather"
    yield f"{where}: output", printed.encode()
    for file, content in contents(directory / name).items():
        yield f"{where}: {file}", content


def metrics(side: Installation) -> Iterator[tuple[str, bytes]]:
    """Metrics of both processes."""
    for role in ("controller", "agent"):
        yield f"{side.cloud.cloud_id}: metrics of the {role}", str(side.metrics(role)).encode()


def shown(clouds: PodFederation, directory: Path, looked_for: Forms) -> Found:
    """What both clouds show their administrators."""
    sources = [source for side in clouds.both for source in (objects(side.cloud), gathered(side, directory))]
    sources += [metrics(side) for side in clouds.both]
    return set().union(*(found_in(source, looked_for) for source in sources))
