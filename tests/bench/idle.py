"""A resync in which nothing changed writes nothing, to Kubernetes, Neutron or Open vSwitch."""

import time
import urllib.request

from tests.bench.result import Result, at_most
from tests.lab.federation import Federation
from tests.lab.installation import AGENT_METRICS_PORT, CONTROLLER_METRICS_PORT

RESYNCS = 3
RESYNC_SECONDS = 10.0


def measure(federation: Federation) -> list[Result]:
    """Writes and reconciles of all four processes while nothing happens."""
    before = _counts(federation)
    time.sleep(RESYNCS * RESYNC_SECONDS + 2)
    after = _counts(federation)
    reconciles = after["isthmus_reconciles_total"] - before["isthmus_reconciles_total"]
    if reconciles < 4 * RESYNCS:
        raise RuntimeError(f"only {reconciles:g} reconciles in {RESYNCS} resyncs of four processes: nothing is shown")
    return [
        at_most("writes in an idle resync", after["isthmus_writes_total"] - before["isthmus_writes_total"], "writes", 0)
    ]


def _counts(federation: Federation) -> dict[str, float]:
    totals = {"isthmus_reconciles_total": 0.0, "isthmus_writes_total": 0.0}
    for side in federation.both:
        site = side.cloud.site
        for address, port in (
            (site.server_address.ip, CONTROLLER_METRICS_PORT),
            (site.gateway_address.ip, AGENT_METRICS_PORT),
        ):
            with urllib.request.urlopen(f"http://{address}:{port}/metrics", timeout=10) as reply:
                for line in reply.read().decode().splitlines():
                    name = line.split("{")[0].split(" ")[0]
                    if name in totals:
                        totals[name] += float(line.rsplit(" ", 1)[1])
    return totals
