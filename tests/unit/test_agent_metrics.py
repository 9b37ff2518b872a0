"""What a gateway node's agent tells Prometheus."""

from __future__ import annotations

import pytest

from isthmus.model import names
from isthmus.model.node.flows import Traffic
from isthmus.telemetry.metrics import Metrics
from tests.fakes.agentworld import World
from tests.fakes.nodeobjects import OWN, PEER, RED, attachment

LINK = f"{OWN}.{RED}"
TUNNEL = names.tunnel_port(PEER, "gw-b1")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def metrics(world: World) -> Metrics:
    """Those of an agent whose peer and link are up."""
    backends = world.backends()
    world.people.apply(attachment())
    world.new_agent(backends)
    world.settle()
    return backends.metrics


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def _traffic(metrics: Metrics, unit: str) -> tuple[float | None, float | None]:
    """What was sent and what was received over the link."""
    sent, received = (
        _value(metrics, f"isthmus_network_{unit}_total", network=LINK, peer=PEER, direction=direction)
        for direction in ("sent", "received")
    )
    return sent, received


def _layers(metrics: Metrics) -> dict[str, float | None]:
    return {
        layer: _value(metrics, "isthmus_tunnel_up", peer=PEER, gateway="gw-b1", layer=layer)
        for layer in ("ike", "esp", "bfd")
    }


def test_metrics_of_tunnels_and_effects(metrics: Metrics) -> None:
    assert _value(metrics, "isthmus_links", state="up") == 1
    assert _value(metrics, "isthmus_links", state="down") == 0
    assert _layers(metrics) == {"ike": 1, "esp": 1, "bfd": 1}
    assert _value(metrics, "isthmus_link_rtt_seconds", network=LINK, peer=PEER) == 0.001
    assert (_value(metrics, "isthmus_reconciles_total", loop="node") or 0) >= 2


def test_metric_of_associations_per_gateway(world: World, metrics: Metrics) -> None:
    """Two children, one SA each way."""
    assert _value(metrics, "isthmus_ipsec_sas", peer=PEER, gateway="gw-b1") == 4
    world.node.peer_answers = False
    world.node.restart_charon()
    world.settle()
    assert _value(metrics, "isthmus_ipsec_sas", peer=PEER, gateway="gw-b1") == 0
    assert _layers(metrics) == {"ike": 0, "esp": 0, "bfd": 0}


def test_metrics_of_traffic_per_link(world: World, metrics: Metrics) -> None:
    assert (_traffic(metrics, "packets"), _traffic(metrics, "bytes")) == ((0, 0), (0, 0))
    network, tunnel = (world.node.ofport[name] for name in (names.patch_in_cloud_bridge(LINK), TUNNEL))
    world.node.sent[network, tunnel] = Traffic(3, 300)
    world.node.received[tunnel, 0x100000] = Traffic(5, 7500)
    world.settle(1)
    assert (_traffic(metrics, "packets"), _traffic(metrics, "bytes")) == ((3, 5), (300, 7500))


def test_metric_of_failed_iterations_by_reason(world: World, metrics: Metrics) -> None:
    def errors() -> float | None:
        return _value(metrics, "isthmus_reconcile_errors_total", loop="node", reason="Unavailable")

    assert errors() is None
    world.node.switch_answers = False
    world.settle(3)
    assert errors() == 3
    world.node.switch_answers = True
    world.settle(3)
    assert errors() == 3
