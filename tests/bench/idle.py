"""A resync in which nothing changed writes nothing, to Kubernetes, Neutron or Open vSwitch."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable

from tests.bench.result import Result, at_most
from tests.bench.revisions import Revisions, kubernetes, neutron, open_vswitch
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.install.federation import Federation
from tests.testbed.install.installation import RESYNC_SECONDS

RESYNCS = 3
_RECONCILES, _WRITES = "isthmus_reconciles_total", "isthmus_writes_total"


def measure(federation: Federation) -> list[Result]:
    """What was written while nothing happened: as each world tells, and as the four processes count."""
    for cloud in federation.lab.clouds:
        cloud.wait_until_at_rest()
    time.sleep(RESYNC_SECONDS)  # and all that follows from what the agents did last
    began, before, counted = time.monotonic(), _look(federation, 0), _counts(federation)
    time.sleep((RESYNCS + 1) * RESYNC_SECONDS)  # a resync takes its own time, too
    counts, after = _counts(federation), _look(federation, time.monotonic() - began)
    for process, count in counts.items():
        if count[_RECONCILES] - counted[process][_RECONCILES] < RESYNCS:
            raise RuntimeError(f"{process} has reconciled less than {RESYNCS} times: nothing is shown")
    writes = sum(count[_WRITES] - counted[process][_WRITES] for process, count in counts.items())
    return [
        *(_changes(world, before[world], after[world]) for world in before),
        at_most(f"idle for {RESYNCS} resyncs: writes that Isthmus counts itself", writes, "writes", 0),
    ]


def _look(federation: Federation, seconds: float) -> dict[str, Revisions]:
    """Both clouds, world by world; a flow must have stood for so many seconds."""
    backends: dict[str, Callable[[Cloud], Revisions]] = {
        "Kubernetes": kubernetes,
        "Neutron": neutron,
        "Open vSwitch": lambda cloud: open_vswitch(cloud, seconds),
    }
    return {
        world: {
            f"{cloud.name}: {name}": revision
            for cloud in federation.lab.clouds
            for name, revision in read(cloud).items()
        }
        for world, read in backends.items()
    }


def _changes(world: str, before: Revisions, after: Revisions) -> Result:
    """How many things came, went or have another revision; which ones is told where there should be none."""
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    for name in changed:
        print(f"changed in {world} while idle: {name}", file=sys.stderr)
    return at_most(f"idle for {RESYNCS} resyncs: changes in {world}", len(changed), "changes", 0)


def _counts(federation: Federation) -> dict[str, dict[str, float]]:
    """The counters of each process, whatever their labels."""
    counts: dict[str, dict[str, float]] = {}
    for side in federation.both:
        for role in ("controller", "agent"):
            count = counts[f"{role} of {side.cloud.cloud_id}"] = defaultdict(float)
            for sample in side.metrics(role):
                count[sample.name] += sample.value
    return counts
