"""The agent's loop waits neither for the API it reads from nor for the one it reports to."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from isthmus.agent.kubernetes import reports as kubernetes_reports
from isthmus.model import names
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.errors import Invalid, Unavailable
from isthmus.ports import T
from tests.fakes.agent_harness import AgentHarness, report_attachments
from tests.fakes.cluster import FakeCluster
from tests.fakes.nodeobjects import BLUE, NODE, OWN, RED, attachment, link, peer
from tests.testbed.host.process import wait_until

_SOON_SECONDS = 5
_NETWORKS = 100


class Api:
    """The agent's cluster: counts calls, and hangs while it is not available."""

    def __init__(self, cluster: Any) -> None:
        self.cluster, self.calls = cluster, Counter[str]()
        self.available, self.asked = threading.Event(), threading.Event()
        self.available.set()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.cluster, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls[name] += 1
            if not self.available.is_set():
                self.asked.set()
                self.available.wait(2 * _SOON_SECONDS)
                raise Unavailable("the API server does not respond")
            return method(*arguments, **named)

        return call


@pytest.fixture
def harness() -> AgentHarness:
    return AgentHarness()


@pytest.fixture
def api(harness: AgentHarness) -> Api:
    api = Api(harness.cluster())
    harness.new_agent(harness.backends(api))
    return api


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


def _many_networks(harness: AgentHarness) -> None:
    for i in range(_NETWORKS):
        harness.kubectl.apply(attachment(f"{i:08x}{RED[8:]}", (link(0x100000 + i),)))


def _links_up(harness: AgentHarness) -> int:
    found = harness.kubectl.list_objects(Attachment, names.SYSTEM_NAMESPACE)
    return sum(k.up for a in found for entry in a.status.nodes for k in entry.links)


def test_flows_are_back_at_once_while_the_api_hangs(harness: AgentHarness, api: Api) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    with _running(harness):
        api.available.clear()
        harness.clock.seconds += 60
        assert api.asked.wait(_SOON_SECONDS)
        harness.node.restart_switch()
        began = time.monotonic()
        wait_until(lambda: harness.node.flows is not None, _SOON_SECONDS, "the flows", poll_seconds=0.01)
        assert time.monotonic() - began < 1
        api.available.set()


def test_a_flap_of_all_links_is_a_bounded_number_of_writes(harness: AgentHarness, api: Api) -> None:
    _many_networks(harness)
    harness.settle(_NETWORKS // kubernetes_reports.BURST + 10)
    assert _links_up(harness) == _NETWORKS
    api.calls.clear()
    harness.node.peer_answers = False
    for _ in range(4):
        harness.agent.prober.probe_once()
    harness.clock.seconds += 1
    harness.iterate()
    assert api.calls["apply_status"] <= 1 + kubernetes_reports.BURST
    (connection,) = harness.get(GatewayNode, NODE).status.connections
    assert (connection.up, connection.reason) == (False, "BFDDown"), "the tunnel is reported at once"
    harness.node.peer_answers = True
    harness.agent.prober.probe_once()
    for _ in range(30):
        harness.clock.seconds += 1
        harness.iterate()
    assert _links_up(harness) == _NETWORKS
    assert api.calls["apply_status"] <= 2 * (1 + kubernetes_reports.BURST), "only what was written is written back"


def test_a_lasting_outage_is_reported_for_every_network_in_the_end(harness: AgentHarness, api: Api) -> None:
    _many_networks(harness)
    harness.settle(_NETWORKS // kubernetes_reports.BURST + 10)
    harness.node.peer_answers = False
    for _ in range(4):
        harness.agent.prober.probe_once()
    api.calls.clear()
    harness.settle(_NETWORKS // kubernetes_reports.BURST + 10)
    assert _links_up(harness) == 0
    assert api.calls["apply_status"] == 1 + _NETWORKS


def test_a_failed_write_is_repeated(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    harness.store.down = True
    harness.node.peer_answers = False
    harness.settle(4)
    harness.store.down = False
    harness.settle(2)
    assert _links_up(harness) == 0
    (connection,) = harness.get(GatewayNode, NODE).status.connections
    assert not connection.up


def test_a_status_that_is_refused_keeps_no_other_from_being_written(harness: AgentHarness, api: Api) -> None:
    refused = {f"{OWN}.{RED}", NODE}

    class Refusing(FakeCluster):
        def apply_status(self, obj: T) -> T:
            api.calls[f"status of {obj.metadata.name}"] += 1
            if obj.metadata.name in refused:
                raise Invalid("the server could not process it")
            return super().apply_status(obj)

    api.cluster = Refusing(harness.store, harness.cluster().manager)
    harness.kubectl.apply(attachment(RED))
    harness.kubectl.apply(attachment(BLUE, (link(0x100001),)))
    for _ in range(20):
        harness.clock.seconds += 1
        harness.iterate()
        harness.agent.prober.probe_once()
    assert _links_up(harness) == 1
    assert api.calls[f"status of {OWN}.{RED}"] <= 3, "not again and again"
    refused.clear()
    harness.settle(2)
    assert _links_up(harness) == 2
    assert len(harness.get(GatewayNode, NODE).status.connections) == 1


def test_a_peer_that_never_agrees_costs_nothing(harness: AgentHarness, api: Api) -> None:
    harness.settle()
    calls = []
    for missing in (False, True):
        if missing:
            harness.kubectl.apply(peer("cloud-c", "203.0.113.0/24", secret="psk-missing"))
            harness.intents.refresh()
            harness.iterate()
        api.calls.clear()
        harness.node.effects.clear()
        for _ in range(300):
            harness.clock.seconds += 2
            harness.iterate()
            harness.agent.prober.probe_once()
        calls.append(dict(api.calls))
        assert harness.node.effects == []
    assert calls[0] == calls[1]
    condition = condition_of(harness.get(GatewayNode, NODE).status.conditions, "PeersConfigured")
    assert condition is not None
    assert condition.status == "False"


def test_a_change_of_status_alone_plans_nothing(harness: AgentHarness, api: Api) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    changed = list[int]()
    harness.intents.start(lambda: changed.append(1))
    try:
        harness.node.peer_answers = False
        for _ in range(4):
            harness.agent.prober.probe_once()
        harness.clock.seconds += 1
        harness.agent.iterate()
        harness.reports.write()
        assert _links_up(harness) == 0
        report_attachments(harness.store, harness.intents.attachments)
        lists = api.calls["list_manifests"]
        harness.intents.refresh()
        wait_until(lambda: api.calls["list_manifests"] >= lists + 4, _SOON_SECONDS, "the inputs to be read again")
        assert changed == []
        harness.kubectl.apply(attachment(links=(link(0x100001),)))
        report_attachments(harness.store, harness.intents.attachments)
        assert changed == [1]
    finally:
        harness.intents.stop()
