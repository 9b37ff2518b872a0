"""The agent of a node with thousands of networks, each stretched to 3 peers, on backends in memory."""

import logging
import time
from statistics import median

from isthmus.agent.loop import Agent
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from tests.bench.result import Result, at_most, reported
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.cluster import FakeCluster
from tests.fakes.nodeobjects import attachment, link, peer, peerlink

FEW, MANY, PEERS = 1_000, 4_000, 3
CPU_SECONDS_LIMIT, WRITES_LIMIT, ROUNDS = 1.0, 20, 9
_WRITE_SECONDS = 1.0  # the clock of the agent stands still: what is written now is written at once
_GATEWAYS = {
    f"cloud-{letter}": {"name": f"gw-{letter}1", "address": f"198.51.{number}.11"}
    for number, letter in enumerate("bcdefgh"[:PEERS], 100)
}


def measure() -> list[Result]:
    """CPU time of the loop's iterations, and writes of status while the first one runs."""
    logging.getLogger("isthmus").setLevel(logging.ERROR)
    return [*_first_iteration(), *_observations()]


def _first_iteration() -> list[Result]:
    harness = harness_of(FEW)
    before = harness.store.writes
    harness.reports.start()
    first = _iterate(harness.agent)
    time.sleep(_WRITE_SECONDS)
    writes = harness.store.writes - before
    harness.reports.stop()
    assert len(harness.node.ports.patches) == FEW
    harness.clock.seconds += 1
    harness.agent.prober.probe_once()
    changed = _iterate(harness.agent)
    case = f"agent, {FEW:,} networks x {PEERS} peers"
    return [
        at_most(f"{case}: CPU of the first iteration", first, "s", CPU_SECONDS_LIMIT),
        at_most(f"{case}: writes of status in it and right after", writes, "writes", WRITES_LIMIT),
        reported(f"{case}: CPU when all links come up", changed, "s"),
    ]


def _observations() -> list[Result]:
    harness = harness_of(MANY)
    _iterate(harness.agent)
    harness.agent.prober.probe_once()
    _iterate(harness.agent)
    case = f"agent, {MANY:,} networks x {PEERS} peers"
    quiet = median(_iterate(harness.agent) for _ in range(ROUNDS))
    flap = median(_flap(harness) for _ in range(ROUNDS))
    harness.clock.seconds += 3600
    everything = _iterate(harness.agent)
    return [
        reported(f"{case}: CPU of an observation when nothing changes", quiet * 1e3, "ms"),
        reported(f"{case}: CPU of an observation when one link goes down or up", flap * 1e3, "ms"),
        reported(f"{case}: CPU of planning, comparing and reporting everything", everything, "s"),
    ]


def _flap(harness: AgentHarness) -> float:
    """One link changes its state."""
    prober = harness.agent.prober
    key = next(iter(prober.up()))
    prober._up = prober._up.updated({key: not prober.up()[key]})
    return _iterate(harness.agent)


def _iterate(agent: Agent) -> float:
    began = time.thread_time()
    agent.iterate()
    return time.thread_time() - began


def harness_of(networks: int) -> AgentHarness:
    """A cluster with so many networks, and their agent."""
    harness = AgentHarness()
    controller = FakeCluster(harness.store)
    for cloud_id, gateway in _GATEWAYS.items():
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.peer_namespace(cloud_id)}}
        harness.kubectl.apply_manifest(namespace)
        harness.kubectl.apply(peer(cloud_id, f"{gateway['address']}/32"))
        agreed = peerlink(cloud_id, gateway)
        controller.apply(agreed)
        controller.apply_status(agreed)
    for number in range(networks):
        harness.kubectl.apply(network(number))
    harness.new_agent()
    harness.read()
    return harness


def network(number: int) -> Attachment:
    """One of the networks."""
    links = tuple(link(0x100000 + number, cloud_id, gateway) for cloud_id, gateway in _GATEWAYS.items())
    return attachment(f"{number:08x}-9cbb-4d3c-8d4e-000000000001", links)
