"""An agent is alive unless one of its loops hangs or ends; what is outside can make it unready only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from isthmus.agent.backends import Backends
from isthmus.agent.heartbeat import Heartbeat
from isthmus.agent.loop import Agent
from tests.fakes.agent_harness import SETTINGS, AgentHarness
from tests.fakes.hanging import Hanging
from tests.fakes.httprequests import get
from tests.fakes.nodeobjects import NODE, attachment
from tests.testbed.host.process import wait_until

_SOON_SECONDS = 10
_LOOPS = {"node", "intents", "reports", "prober", "path prober", "path MTU", "lease"}
_QUICK = SETTINGS.model_copy(update={"probe_interval_seconds": 0.2})


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> AgentHarness:
    monkeypatch.setattr("isthmus.agent.heartbeat.RENEWAL_SECONDS", 0.1)
    monkeypatch.setattr("isthmus.agent.heartbeat._RETRY_SECONDS", 0.1)
    for module in ("intents", "reports"):
        monkeypatch.setattr(f"isthmus.agent.kubernetes.{module}._POLL_SECONDS", 0.1)
    harness = AgentHarness()
    harness.kubectl.apply(attachment())
    return harness


@contextmanager
def _running(backends: Backends) -> Iterator[None]:
    """The agent with all its threads."""
    stop = threading.Event()
    agent = Agent(_QUICK, backends)
    lease = Heartbeat(backends.leases, backends.clock, NODE, backends.health)
    thread = threading.Thread(target=agent.run, args=(stop,))
    lease.start()
    thread.start()
    try:
        yield
    finally:
        stop.set()
        lease.stop()
        thread.join(_SOON_SECONDS)
    assert not thread.is_alive()


def _pass(harness: AgentHarness, seconds: float) -> None:
    """Move the clock, and wait until each loop has ended an iteration since."""
    harness.clock.seconds += seconds
    now = harness.clock.seconds
    _wait(harness, lambda: _ended_since(harness, now) == _LOOPS, "an iteration of every loop")


def _wait(harness: AgentHarness, predicate: Callable[[], bool], what: str) -> None:
    """Wait while time goes on: a loop that was just about to sleep does so until the clock moves."""

    def later() -> bool:
        harness.clock.seconds += 1
        return predicate()

    wait_until(later, _SOON_SECONDS, what)


def _wait_until_ready(harness: AgentHarness) -> None:
    _wait(harness, lambda: _get(harness, "/readyz") == (200, "ok\n"), "readiness")


def _ended_since(harness: AgentHarness, now: float) -> set[str]:
    return {name for (name,), ended in harness.health.ended_timestamps().items() if ended >= now}


def _get(harness: AgentHarness, path: str) -> tuple[int, str]:
    return get(harness.health, path)


def test_ready_once_the_node_was_observed_with_inputs(harness: AgentHarness) -> None:
    backends = harness.backends()
    assert _get(harness, "/readyz") == (503, "loop intents: nothing completed yet\n")
    harness.new_agent(backends)
    harness.agent.iterate()
    assert _get(harness, "/readyz")[1] == "loop intents: nothing completed yet; loop node: nothing completed yet\n"
    harness.read()
    assert _get(harness, "/readyz")[1] == "loop node: nothing completed yet\n"
    harness.agent.iterate()
    assert _get(harness, "/readyz") == (200, "ok\n")


@pytest.mark.parametrize(
    ("port", "method", "loop"),
    [
        ("ovsdb", "view", "node"),
        ("ike", "view", "node"),
        ("xfrm", "associations", "node"),
        ("netlink", "view", "node"),
        ("probe", "exchange", "prober"),
        ("leases", "update_lease", "lease"),
    ],
)
def test_call_that_never_returns(harness: AgentHarness, port: str, method: str, loop: str) -> None:
    plain = harness.backends()
    hanging = Hanging(getattr(plain, port), method)
    changed: dict[str, Any] = {port: hanging}
    _expect_stall(harness, replace(plain, **changed), hanging, loop)


@pytest.mark.parametrize(("method", "loop"), [("list_manifests", "intents"), ("get", "reports")])
def test_call_of_the_kubernetes_api_that_never_returns(harness: AgentHarness, method: str, loop: str) -> None:
    hanging: Any = Hanging(harness.cluster(), method)
    _expect_stall(harness, harness.backends(hanging), hanging, loop)


def _expect_stall(harness: AgentHarness, backends: Backends, hanging: Hanging, loop: str) -> None:
    with _running(backends):
        _wait_until_ready(harness)
        hanging.hang()
        harness.clock.seconds += 40
        try:
            _wait(harness, hanging.called.is_set, "the call")
            harness.clock.seconds += 100
            assert _get(harness, "/livez") == (200, "ok\n")
            harness.clock.seconds += 100
            _wait(harness, lambda: _get(harness, "/livez")[1].count("loop") == 1, "the other loops")
            status, body = _get(harness, "/livez")
            assert (status, body.partition(":")[0]) == (503, f"loop {loop}")
        finally:
            hanging.release()
        _wait(harness, lambda: _get(harness, "/livez") == (200, "ok\n"), "progress")


def test_everything_outside_is_away(harness: AgentHarness) -> None:
    """Calls raise: the agent is never restarted for that, and is not ready for a rollout."""
    with _running(harness.backends()):
        _wait_until_ready(harness)
        harness.store.down = harness.leases.down = True
        harness.node.switch_answers = harness.node.charon_answers = False
        harness.node.may_send_probes = harness.node.peer_answers = False
        for _ in range(4):
            _pass(harness, 170)
            assert _get(harness, "/livez") == (200, "ok\n")
        status, body = _get(harness, "/readyz")
        assert (status, body.count("last completed")) == (503, 2), body
        harness.store.down = harness.leases.down = False
        harness.node.switch_answers = harness.node.charon_answers = True
        harness.node.may_send_probes = harness.node.peer_answers = True
        _pass(harness, 60)
        _wait_until_ready(harness)


def test_api_that_is_away_from_the_start(harness: AgentHarness) -> None:
    harness.store.down = harness.leases.down = True
    with _running(harness.backends()):
        for _ in range(2):
            _pass(harness, 170)
            assert _get(harness, "/livez") == (200, "ok\n")
        assert _get(harness, "/readyz")[0] == 503


def test_charon_that_is_away_leaves_the_agent_ready(harness: AgentHarness) -> None:
    """It runs in a pod of its own, and a rollout of agents must not wait for it."""
    harness.new_agent(harness.backends())
    harness.settle(2)
    harness.node.charon_answers = False
    harness.settle(4)
    assert _get(harness, "/readyz") == (200, "ok\n")
