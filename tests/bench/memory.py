"""Resident memory of the agents in operation."""

from tests.bench.result import Result, at_most
from tests.bench.startup import MEGABYTES_LIMIT, megabytes
from tests.testbed.install.federation import Federation
from tests.testbed.node.guest.execd import RECORDS


def measure(federation: Federation) -> Result:
    """The larger of both agents; to be measured while a network is stretched."""
    nodes = [side.cloud.gateway for side in federation.both]
    pids = [node.get(str(RECORDS / "isthmus-agent")).split()[0] for node in nodes]
    found = [megabytes(node.get(f"/proc/{pid}/status"), "VmRSS") for node, pid in zip(nodes, pids, strict=True)]
    return at_most("agent in operation: resident memory, larger of 2", max(found), "MB", MEGABYTES_LIMIT)
