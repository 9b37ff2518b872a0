"""The controller's loop: it stops on request, continues after failures, and exports metrics."""

from __future__ import annotations

import threading

import pytest
from prometheus_client import generate_latest

from isthmus.controller import loop
from isthmus.controller.gauges import publish
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.errors import Unavailable
from isthmus.telemetry.metrics import GATEWAY_READY, PEER_LAST_READ, TUNNEL_IDS, TUNNEL_IDS_USED
from tests.fakes.federation import FakeCloud, FakeFederation
from tests.fakes.scenario import Scenario
from tests.fakes.twonodes import TwoNodes
from tests.testbed.host.process import wait_until


def _metrics(cloud: FakeCloud) -> str:
    return generate_latest(cloud.backends.metrics.registry).decode()


def _run_until(cloud: FakeCloud, text: str) -> None:
    """Run the controller on a thread until its metrics hold the text, then stop it."""
    thread = threading.Thread(target=cloud.controller.run)
    thread.start()
    pause = threading.Event()
    for _ in range(500):
        if text in _metrics(cloud):
            break
        pause.wait(0.02)
    cloud.controller.stop()
    thread.join(timeout=5)
    assert not thread.is_alive()
    assert text in _metrics(cloud)


def test_runs_until_stopped() -> None:
    federation = FakeFederation()
    a, _ = federation.clouds
    federation.agree()
    _run_until(a, 'isthmus_peers{state="PeerForbidden"} 1.0')


def test_continues_while_the_api_server_is_unavailable() -> None:
    federation = FakeFederation()
    a, _ = federation.clouds
    a.store.down = True
    _run_until(a, 'isthmus_reconcile_errors_total{loop="controller",reason="Unavailable"}')
    a.store.down = False
    assert a.cycle().failures == {}


def test_links_and_peers_by_state() -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    federation.agree()
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    _run_until(a, 'isthmus_links{state="Ready"} 1.0')
    read_at = federation.clock.moment.timestamp()
    b.store.down = True
    federation.clock.move(100)
    a.restart()
    _run_until(a, 'isthmus_peers{state="PeerUnreachable"} 1.0')
    assert a.backends.metrics.values(PEER_LAST_READ) == {("cloud-b",): read_at}


def test_peer_that_was_never_read_is_exposed() -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    federation.agree()
    a.restart()
    b.store.down = True
    a.cycle()
    publish(a.controller.engine.state.snapshot(), a.backends.metrics)
    assert a.backends.metrics.values(PEER_LAST_READ) == {("cloud-b",): 0}


def test_tunnel_ids_are_used_by_withdrawn_links_too() -> None:
    scenario = Scenario()

    def used() -> float:
        publish(scenario.a.controller.engine.state.snapshot(), scenario.a.backends.metrics)
        return scenario.a.backends.metrics.values(TUNNEL_IDS_USED)["cloud-b",]

    assert used() == 0
    scenario.a.expand(scenario.network.id, "cloud-b")
    assert scenario.outcome() == "Ready"
    assert used() == 1
    scenario.a.kubectl.delete(NetworkExpansion, "web", "shop")
    scenario.a.cycle()
    assert used() == 1, "the peer has not released it"
    scenario.settle()
    assert used() == 0
    assert scenario.a.backends.metrics.values(TUNNEL_IDS)["cloud-b",] == 0x8000


def test_gateway_nodes_by_readiness() -> None:
    two = TwoNodes("origin")
    metrics = two.cloud.backends.metrics

    def ready() -> dict[str, float]:
        publish(two.cloud.controller.engine.state.snapshot(), metrics)
        return {gateway: value for (gateway,), value in metrics.values(GATEWAY_READY).items()}

    assert ready() == {two.first.name: 1, two.second.name: 1}
    with two.first.not_ready():
        two.pass_time(3)
        assert ready() == {two.first.name: 0, two.second.name: 1}
    two.pass_time(3)
    two.second.die()
    two.pass_time(60)
    assert ready() == {two.first.name: 1, two.second.name: 0}, "its Ready condition is what its agent wrote last"


def test_openstack_failure_is_a_condition_and_is_retried() -> None:
    federation = FakeFederation()
    a, _ = federation.clouds
    federation.agree()
    _, network, _ = a.tenant()
    federation.settle()
    a.neutron.down = True
    a.expand(network.id, "cloud-b")
    outcome = a.cycle()
    assert {problem.reason for problem in outcome.failures.values()} == {Unavailable.reason}
    a.neutron.down = False
    federation.settle()
    assert a.cycle().failures == {}


def test_restarted_controller_keeps_statuses_until_it_has_read_the_peer() -> None:
    """The peers' links are read a moment later; statuses of the previous process are kept until then."""
    scenario = Scenario()
    scenario.a.expand(scenario.network.id, "cloud-b")
    assert scenario.outcome() == "Ready"
    writes = scenario.a.store.writes
    scenario.a.restart()
    scenario.a.peers.not_read_yet = True
    scenario.a.cycle()
    scenario.a.peers.not_read_yet = False
    scenario.a.cycle()
    assert scenario.a.store.writes == writes


def test_request_in_progress_at_the_end_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the Lease may not be released: another replica would begin beside it."""
    monkeypatch.setattr(loop, "_STOP_SECONDS", 0.1)
    federation = FakeFederation()
    a, _ = federation.clouds
    asked, answer = threading.Event(), threading.Event()

    def check() -> None:
        asked.set()
        answer.wait(30)

    monkeypatch.setattr(a.neutron, "check", check)
    thread = threading.Thread(target=a.controller.run)
    thread.start()
    assert asked.wait(10)
    a.controller.stop()
    thread.join(10)
    assert not a.controller.has_ended
    answer.set()
    wait_until(lambda: a.controller.has_ended, 10, "the end of the request")
