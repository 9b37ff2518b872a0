"""How the agent reacts to changes in its node's kernel, with and without notifications."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from isthmus.model.errors import Unavailable
from isthmus.model.names import AGENT, tunnel_port
from isthmus.model.node.host import KernelChange, NodeAddress
from isthmus.model.reasons import Reason
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.cluster import FakeCluster
from tests.fakes.nodeobjects import NODE, PEER, attachment
from tests.testbed.host.process import wait_until

TUNNEL = tunnel_port(PEER, "gw-b1")
_SOON_SECONDS = 5
_QUIET_SECONDS = 0.5


class HangingCluster(FakeCluster):
    """An API server that stops answering when `hangs` is set."""

    def __init__(self, harness: AgentHarness) -> None:
        super().__init__(harness.store, f"{AGENT}-{NODE}")
        self.hangs, self.asked, self.answers = False, threading.Event(), threading.Event()

    def get(self, kind, name, namespace=None):  # type: ignore[no-untyped-def]
        if self.hangs:
            self.asked.set()
            self.answers.wait(_SOON_SECONDS * 2)
        return super().get(kind, name, namespace)


@pytest.fixture
def harness() -> AgentHarness:
    harness = AgentHarness()
    harness.kubectl.apply(attachment())
    harness.settle()
    harness.node.effects.clear()
    return harness


@contextmanager
def _running(harness: AgentHarness) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=harness.agent.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_SOON_SECONDS)
    assert not thread.is_alive()


def test_blocks_are_restored_while_the_api_hangs(harness: AgentHarness) -> None:
    cluster = HangingCluster(harness)
    harness.new_agent(harness.backends(cluster))
    harness.settle()
    wanted = harness.node.blocks
    cluster.hangs = True
    harness.clock.seconds += 60
    with _running(harness):
        assert cluster.asked.wait(_SOON_SECONDS)
        harness.node.flush_policies()
        wait_until(lambda: harness.node.blocks == wanted, _SOON_SECONDS, "the blocks", poll_seconds=0.01)
        cluster.answers.set()


def test_without_notification_blocks_are_restored_at_the_next_observation(harness: AgentHarness) -> None:
    wanted = harness.node.blocks
    harness.node.flush_policies()
    harness.clock.seconds += 1
    harness.iterate()
    assert harness.node.blocks == wanted
    assert harness.node.effects == ["add_blocks", f"rekey {TUNNEL}"], "charon's policies went with the blocks"


def test_lost_address_is_detected_without_reading_the_inputs(harness: AgentHarness) -> None:
    address = harness.node.address
    assert address is not None
    for changed, reason in (
        (None, Reason.NO_TUNNEL_ADDRESS),
        (address, None),
        (NodeAddress("198.51.100.9", 1500), Reason.NO_TUNNEL_ADDRESS),
    ):
        harness.node.address = changed
        harness.clock.seconds += 1
        harness.iterate()
        ready = harness.ready()
        assert ready is not None
        assert (ready.reason if ready.status == "False" else None) == reason


def test_host_change_wakes_the_loop(harness: AgentHarness) -> None:
    with _running(harness):
        time.sleep(_QUIET_SECONDS)
        harness.node.address = None
        time.sleep(_QUIET_SECONDS)
        assert _is_ready(harness), "the clock stands still: no observation is due"
        harness.node.notify(KernelChange.HOST)
        wait_until(lambda: not _is_ready(harness), _SOON_SECONDS, "the condition")


def _is_ready(harness: AgentHarness) -> bool:
    ready = harness.ready()
    return ready is not None and ready.status == "True"


def test_agent_runs_without_a_monitor(harness: AgentHarness) -> None:
    class Refused:
        def start(self, changed: Callable[[KernelChange], None]) -> None:
            raise Unavailable("not permitted")

        def stop(self) -> None:
            pass

    harness.new_agent(replace(harness.backends(), monitor=Refused()))
    with _running(harness):
        wait_until(lambda: harness.agent.prober.up(), _SOON_SECONDS, "the first iteration")
