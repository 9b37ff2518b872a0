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
    """Writes while nothing happens: by the revisions in each system, and by the counters of the four processes."""
    for cloud in federation.lab.clouds:
        cloud.wait_until_at_rest()
    time.sleep(RESYNC_SECONDS)  # until reactions to the agents' last changes have ended
    began, before, counted = time.monotonic(), _revisions(federation, 0), _counts(federation)
    time.sleep((RESYNCS + 1) * RESYNC_SECONDS)  # a resync itself takes time, too
    counts, after = _counts(federation), _revisions(federation, time.monotonic() - began)
    for process, count in counts.items():
        if count[_RECONCILES] - counted[process][_RECONCILES] < RESYNCS:
            raise RuntimeError(f"{process} has reconciled less than {RESYNCS} times: not measured")
    writes = sum(count[_WRITES] - counted[process][_WRITES] for process, count in counts.items())
    return [
        *(_changes(system, before[system], after[system]) for system in before),
        at_most(f"idle for {RESYNCS} resyncs: writes counted by Isthmus", writes, "writes", 0),
    ]


def _revisions(federation: Federation, seconds: float) -> dict[str, Revisions]:
    """Revisions in both clouds by system; `seconds` is the minimum age of a flow."""
    backends: dict[str, Callable[[Cloud], Revisions]] = {
        "Kubernetes": kubernetes,
        "Neutron": neutron,
        "Open vSwitch": lambda cloud: open_vswitch(cloud, seconds),
    }
    return {
        system: {
            f"{cloud.name}: {name}": revision
            for cloud in federation.lab.clouds
            for name, revision in read(cloud).items()
        }
        for system, read in backends.items()
    }


def _changes(system: str, before: Revisions, after: Revisions) -> Result:
    """Number of added, removed and changed objects; these are printed, because there should be none."""
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    for name in changed:
        print(f"changed in {system} while idle: {name}", file=sys.stderr)
    return at_most(f"idle for {RESYNCS} resyncs: changes in {system}", len(changed), "changes", 0)


def _counts(federation: Federation) -> dict[str, dict[str, float]]:
    """The counters of each process, summed over all labels."""
    counts: dict[str, dict[str, float]] = {}
    for side in federation.both:
        for role in ("controller", "agent"):
            count = counts[f"{role} of {side.cloud.cloud_id}"] = defaultdict(float)
            for sample in side.metrics(role):
                count[sample.name] += sample.value
    return counts
