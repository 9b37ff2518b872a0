"""Metrics of the agent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.node.drops import Drop
from isthmus.model.node.flows import Traffic
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.pipeline import Direction
from isthmus.telemetry.metrics import Metrics
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.cluster import FakeCluster
from tests.fakes.nodeobjects import ADDRESS, NODE, OTHER_GATEWAY, OWN, PEER, RED, attachment, peer, peerlink

LINK = f"{OWN}.{RED}"
OTHER = "cloud-c"


@pytest.fixture
def harness() -> AgentHarness:
    return AgentHarness()


@pytest.fixture
def metrics(harness: AgentHarness) -> Metrics:
    """Metrics of an agent whose peer and link are up."""
    backends = harness.backends()
    harness.kubectl.apply(attachment())
    harness.new_agent(backends)
    harness.settle()
    return backends.metrics


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def _traffic(metrics: Metrics, unit: str) -> tuple[float | None, float | None]:
    """(sent, received) of the link."""
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
    assert (_value(metrics, "isthmus_link_probes_total", network=LINK, peer=PEER) or 0) >= 1
    assert _value(metrics, "isthmus_link_probes_lost_total", network=LINK, peer=PEER) == 0
    assert (_value(metrics, "isthmus_reconciles_total", loop="node") or 0) >= 2


def test_metric_of_associations_per_gateway(harness: AgentHarness, metrics: Metrics) -> None:
    """Two children, each with one SA per direction."""
    assert _value(metrics, "isthmus_ipsec_sas", peer=PEER, gateway="gw-b1") == 4
    harness.node.peer_answers = False
    harness.node.restart_charon()
    harness.settle()
    assert _value(metrics, "isthmus_ipsec_sas", peer=PEER, gateway="gw-b1") == 0
    assert _layers(metrics) == {"ike": 0, "esp": 0, "bfd": 0}


def test_metrics_of_traffic_per_link(harness: AgentHarness, metrics: Metrics) -> None:
    assert (_traffic(metrics, "packets"), _traffic(metrics, "bytes")) == ((0, 0), (0, 0))
    numbers = harness.node.numbers
    key = (numbers.networks[names.patch_in_cloud_bridge(LINK)], numbers.members[PEER])
    harness.node.sent[key] = Traffic(3, 300)
    harness.node.received[key] = Traffic(5, 7500)
    harness.settle(1)
    assert (_traffic(metrics, "packets"), _traffic(metrics, "bytes")) == ((3, 5), (300, 7500))


def test_metrics_of_what_is_handed_on_by_network_sender_and_receiver(harness: AgentHarness, metrics: Metrics) -> None:
    def handed_on(sender: str, receiver: str) -> list[float | None]:
        labels = {"network": LINK, "from_peer": sender, "to_peer": receiver}
        return [_value(metrics, f"isthmus_relayed_{unit}_total", **labels) for unit in ("packets", "bytes")]

    _add_other_peer(harness)
    members = harness.node.numbers.members
    number, member, other = (
        harness.node.numbers.networks[names.patch_in_cloud_bridge(LINK)],
        members[PEER],
        members[OTHER],
    )
    assert handed_on(PEER, OTHER) == [None, None]
    unknown = {(number + 1, member, other): Traffic(7, 700), (number, member, other + 1): Traffic(9, 900)}
    harness.node.relayed = {(number, member, other): Traffic(3, 300), **unknown}
    harness.settle(1)
    assert handed_on(PEER, OTHER) == [3, 300]
    assert handed_on(OTHER, PEER) == [None, None]
    harness.node.restart_switch()
    harness.settle(2)
    assert handed_on(PEER, OTHER) == [None, None], "the counters of a new switch start at zero"


def _add_other_peer(harness: AgentHarness) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.peer_namespace(OTHER)}}
    harness.kubectl.apply_manifest(namespace)
    harness.kubectl.apply(peer(OTHER, "203.0.113.0/24"))
    controller = FakeCluster(harness.store)
    controller.apply(peerlink(OTHER, OTHER_GATEWAY))
    controller.apply_status(peerlink(OTHER, OTHER_GATEWAY))
    harness.settle()


def test_metrics_of_what_was_more_than_a_peer_may_use(harness: AgentHarness, metrics: Metrics) -> None:
    name, member = "isthmus_over_bandwidth_packets_total", harness.node.numbers.members[PEER]
    assert _value(metrics, name, peer=PEER, direction="sent") is None
    harness.node.over_bandwidth = {(member, Direction.SENT): 4, (member + 1, Direction.SENT): 9}
    harness.settle(1)
    assert _value(metrics, name, peer=PEER, direction="sent") == 4
    assert _value(metrics, name, peer=PEER, direction="received") is None


def test_metrics_of_dropped_packets_by_network_peer_and_reason(harness: AgentHarness, metrics: Metrics) -> None:
    def dropped() -> dict[tuple[str, str], float | None]:
        return {
            (peer, reason): _value(
                metrics, "isthmus_guard_dropped_packets_total", network=LINK, peer=peer, reason=reason
            )
            for peer in ("", PEER)
            for reason in ("cloud_service", "storm")
        }

    assert set(dropped().values()) == {None}
    numbers = harness.node.numbers
    number, member = numbers.networks[names.patch_in_cloud_bridge(LINK)], numbers.members[PEER]
    counted = {(number, 0, Drop.CLOUD_SERVICE): 3, (number, member, Drop.STORM): 5}
    harness.node.dropped = {**counted, (number + 1, 0, Drop.STORM): 7, (number, member + 1, Drop.STORM): 9}
    harness.settle(1)
    here, there = ("", "cloud_service"), (PEER, "storm")
    assert dropped() == {here: 3, there: 5, ("", "storm"): None, (PEER, "cloud_service"): None}
    harness.node.restart_switch()
    harness.settle(2)
    assert set(dropped().values()) == {None}, "the counters of a new switch start at zero"


def test_metric_of_failed_iterations_by_reason(harness: AgentHarness, metrics: Metrics) -> None:
    def errors() -> float | None:
        return _value(metrics, "isthmus_reconcile_errors_total", loop="node", reason="Unavailable")

    assert errors() is None
    harness.node.switch_answers = False
    harness.settle(3)
    assert errors() == 3
    harness.node.switch_answers = True
    harness.settle(3)
    assert errors() == 3


def test_metric_of_charon(harness: AgentHarness, metrics: Metrics) -> None:
    assert _value(metrics, "isthmus_charon_up") == 1
    harness.node.charon_answers = False
    harness.settle(1)
    assert _value(metrics, "isthmus_charon_up") == 0
    harness.node.charon_answers = True
    harness.settle(1)
    assert _value(metrics, "isthmus_charon_up") == 1


def test_metric_of_what_the_tunnel_interface_carries(harness: AgentHarness, metrics: Metrics) -> None:
    assert _value(metrics, "isthmus_tunnel_mtu_bytes") == 1416
    harness.node.address = NodeAddress(ADDRESS, 9000)
    harness.settle(2)
    assert _value(metrics, "isthmus_tunnel_mtu_bytes") == 8916


def test_metric_of_what_the_tunnel_interface_carries_in_the_largest_kind_of_tunnel(
    harness: AgentHarness, metrics: Metrics
) -> None:
    controller = FakeCluster(harness.store)
    controller.apply(peerlink(encapsulation="GRE"))
    controller.apply_status(peerlink(encapsulation="GRE"))
    harness.settle(3)
    assert _value(metrics, "isthmus_tunnel_mtu_bytes") == 1424


def test_metric_of_what_the_tunnel_interface_carries_in_tunnel_mode(harness: AgentHarness, metrics: Metrics) -> None:
    controller = FakeCluster(harness.store)
    controller.apply(peerlink(mode="Tunnel"))
    controller.apply_status(peerlink(mode="Tunnel"))
    harness.settle(3)
    assert _value(metrics, "isthmus_tunnel_mtu_bytes") == 1396
    in_force = harness.node.in_force
    in_force.update({digest: replace(found, nat="Local") for digest, found in in_force.items()})
    harness.settle(1)
    assert _value(metrics, "isthmus_tunnel_mtu_bytes") == 1388
    (connection,) = harness.get(GatewayNode, NODE).status.connections
    assert (connection.in_force.esp_mode, connection.in_force.nat) == ("Tunnel", "Local")


def test_metric_of_the_agreed_mtu(harness: AgentHarness, metrics: Metrics) -> None:
    assert _value(metrics, "isthmus_network_mtu_bytes", network=LINK) is None, "nothing is agreed yet"
    for mtu in (1416, 1380):
        _attach(harness, mtu=mtu)
        assert _value(metrics, "isthmus_network_mtu_bytes", network=LINK) == mtu
    _attach(harness, mtu=1380, active_node="gw-a2")
    assert _value(metrics, "isthmus_network_mtu_bytes", network=LINK) is None, "another node forwards it"


def _attach(harness: AgentHarness, **spec: object) -> None:
    plain = attachment()
    harness.kubectl.apply(plain.model_copy(update={"spec": plain.spec.model_copy(update=spec)}))
    harness.settle(2)
