"""What one change costs the controller with few and with many networks, and its memory. Needs no lab.

Run as a process of its own for each number of networks: memory that was used before would count.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from isthmus.adapters.kubernetes import KopfObjectWatch, named
from isthmus.controller.assembly import HANDLED
from isthmus.controller.feed import WATCHED, Feed
from isthmus.controller.loop import Controller
from isthmus.core.snapshot.manifests import NAMESPACE, NODE
from isthmus.model.errors import ExternalError
from isthmus.model.names import API_VERSION, CONTROLLER
from isthmus.ports import Manifest
from tests.bench.result import Result, at_most
from tests.fakes.apiserver import write_kubeconfig
from tests.fakes.listserver import listing
from tests.fakes.many import ManyNetworks
from tests.fakes.store import Key
from tests.testbed.host.process import wait_until

_SAMPLES = 9
_PEERS = 3
_START_SECONDS, _QUIET_SECONDS = 300.0, 6.0


def measure() -> list[Result]:
    """CPU time for one added expansion in relation to that with 100 networks; writes and memory with 10,000."""
    few, many, most = (_in_a_process(count) for count in (100, 1_000, 10_000))
    name = "controller: CPU for one added expansion,"
    return [
        at_most(f"{name} 1,000 / 100 networks", many["cpu_seconds"] / few["cpu_seconds"], "", 1.2),
        at_most(f"{name} 10,000 / 100 networks", most["cpu_seconds"] / few["cpu_seconds"], "", 2),
        at_most("controller: writes of a verification without changes, 10,000 networks", most["writes"], "", 0),
        at_most("controller: memory with 10,000 networks to 3 peers each", most["megabytes"], "MB", 600),
    ]


def _in_a_process(count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.controller", str(count)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # our own module
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def _one(count: int) -> dict[str, float]:
    many = ManyNetworks(count, _PEERS)
    controller = many.a.controller
    with _watching(many):
        return _measured(many, controller)


@contextmanager
def _watching(many: ManyNetworks) -> Iterator[None]:
    """Feed the cache as in operation: with kopf what others write, and all at once what our own streams would."""
    handled = named(HANDLED, NAMESPACE, NODE)
    feed = many.a.controller.feed
    for kind in WATCHED:
        if kind not in handled:
            feed.listed(kind, many.manifests(kind))
    listed = {resource: partial(many.manifests, kind) for kind, resource in handled.items()}
    with TemporaryDirectory() as directory, listing(listed) as url:
        kubeconfig = write_kubeconfig(Path(directory) / "kubeconfig", {"server": url}, {"token": "t"})
        seen = _Counting(feed)
        watch = KopfObjectWatch(handled, kubeconfig, CONTROLLER)
        watch.start(seen)
        wait_until(lambda: seen.count >= 2 * many.count, _START_SECONDS, "kopf to pass on expansions and namespaces")
        wait_until(lambda: feed.is_complete and seen.quiet_seconds > _QUIET_SECONDS, _START_SECONDS, "complete lists")
        yield
        watch.stop()


class _Counting:
    """Counts what a feed receives besides lists, and knows when it was the last."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.count, self._last = 0, time.monotonic()

    @property
    def quiet_seconds(self) -> float:
        """Since the last one."""
        return time.monotonic() - self._last

    def changed(self, kind: str, manifest: Manifest) -> None:
        self.count, self._last = self.count + 1, time.monotonic()
        self._feed.changed(kind, manifest)

    def listed(self, kind: str, manifests: Iterable[Manifest], version: str | None = None) -> None:
        self._feed.listed(kind, manifests, version)
        self._last = time.monotonic()

    def removed(self, kind: str, manifest: Manifest) -> None:
        self._feed.removed(kind, manifest)

    def failed(self, kind: str, error: ExternalError) -> None:
        raise AssertionError(f"{kind}: {error}")


def _measured(many: ManyNetworks, controller: Controller) -> dict[str, float]:
    controller.refresh()
    controller.engine.verify()
    controller.drain()
    controller.engine.verify()
    writes = controller.drain().actions
    seconds = sorted(_cpu_seconds(many, lambda number=number: _expand(many, number)) for number in range(_SAMPLES))
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_seconds": seconds[_SAMPLES // 2], "writes": float(writes), "megabytes": megabytes}


def _expand(many: ManyNetworks, number: int) -> None:
    namespace = f"fresh-{number}"
    _, network, _ = many.a.tenant(namespace, f"10.{100 + number}.0.0/24")
    many.a.expand(network.id, *(other.cloud_id for other in many.others), namespace=namespace)
    for key in (Key("v1", "Namespace", None, namespace), Key(API_VERSION, "NetworkExpansion", namespace, "web")):
        manifest = many.a.store.read(key)
        assert manifest is not None
        many.a.controller.feed.changed(key.kind, manifest)


def _cpu_seconds(many: ManyNetworks, change: Callable[..., Any]) -> float:
    """Without the time in the fakes."""
    many.cluster.cpu_seconds = many.cloud.cpu_seconds = 0.0
    change()
    began = time.thread_time()
    many.a.controller.drain()
    return time.thread_time() - began - many.cluster.cpu_seconds - many.cloud.cpu_seconds


if __name__ == "__main__":
    print(json.dumps(_one(int(sys.argv[1]))))
