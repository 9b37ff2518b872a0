"""An agent that starts with an object that does not parse keeps what its node has for it, and goes on with the rest."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.names import API_VERSION
from isthmus.telemetry.metrics import NOT_UNDERSTOOD
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.cluster import FakeCluster
from tests.fakes.nodeobjects import BLUE, NODE, OWN, PEER, RED, attachment, link, peer, peerlink
from tests.fakes.store import Key

OTHER = "cloud-c"
OTHER_GATEWAY = {"name": "gw-c1", "address": "203.0.113.11"}
KEYS = {
    "Attachment": Key(API_VERSION, "Attachment", names.SYSTEM_NAMESPACE, f"{OWN}.{RED}"),
    "CloudPeer": Key(API_VERSION, "CloudPeer", None, PEER),
    "IPsecPolicy": Key(API_VERSION, "IPsecPolicy", None, "strong"),
    "PeerLink": Key(API_VERSION, "PeerLink", names.peer_namespace(PEER), OWN),
}
SPOILED: dict[str, dict[str, Any]] = {
    "Attachment": {"spec": {"role": "Spectator"}},
    "CloudPeer": {"spec": {"gatewayCIDRs": "many"}},
    "IPsecPolicy": {"spec": {"dpdDelaySeconds": "soon"}},
    "PeerLink": {"spec": {"tunnel": "none"}},
}


@pytest.fixture
def harness() -> AgentHarness:
    """A node with two peers and one network, which is stretched to both."""
    harness = AgentHarness()
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.peer_namespace(OTHER)}}
    harness.kubectl.apply_manifest(namespace)
    harness.kubectl.apply(peer(OTHER, "203.0.113.0/24"))
    controller = FakeCluster(harness.store)
    for found in (peerlink(), peerlink(OTHER, OTHER_GATEWAY)):
        controller.apply(found)
        controller.apply_status(found)
    controller.apply(attachment(RED, (link(0x100000), link(0x100001, OTHER, OTHER_GATEWAY))))
    harness.settle()
    return harness


def _spoil(harness: AgentHarness, key: Key, parts: dict[str, Any]) -> dict[str, Any]:
    """Returns what makes it right again."""
    entry = harness.store.entries[key].copy()
    before = {part: {name: entry.manifest[part].get(name) for name in fields} for part, fields in parts.items()}
    for part, fields in parts.items():
        entry.manifest[part] = entry.manifest[part] | fields
    harness.store.put(key, entry, spec_changed=True)
    return before


def _on_the_node(harness: AgentHarness) -> dict[str, object]:
    node, _ = harness.outcome()
    return node


@pytest.mark.parametrize("kind", SPOILED)
def test_what_the_node_has_for_it_stays(harness: AgentHarness, kind: str) -> None:
    before = _on_the_node(harness)
    original = _spoil(harness, KEYS[kind], SPOILED[kind])
    harness.new_agent()
    harness.settle()
    assert _on_the_node(harness) == before
    assert dict(harness.metrics.values(NOT_UNDERSTOOD))[(kind,)] == 1.0
    _spoil(harness, KEYS[kind], original)
    harness.settle()
    assert _on_the_node(harness) == before
    assert dict(harness.metrics.values(NOT_UNDERSTOOD))[(kind,)] == 0.0


@pytest.mark.parametrize("parts", [{"spec": {"cloudID": 5}}, {"spec": {"cloudID": None, "ipsec": []}}])
def test_peer_without_a_cloud_id_may_be_any_that_is_missing(harness: AgentHarness, parts: dict[str, Any]) -> None:
    before = _on_the_node(harness)
    _spoil(harness, KEYS["CloudPeer"], parts)
    harness.new_agent()
    harness.settle()
    assert _on_the_node(harness) == before


def test_other_peers_and_networks_go_on(harness: AgentHarness) -> None:
    before = _on_the_node(harness)
    for kind in ("Attachment", "CloudPeer"):
        _spoil(harness, KEYS[kind], SPOILED[kind])
    harness.new_agent()
    FakeCluster(harness.store).apply(attachment(BLUE, (link(0x100002, OTHER, OTHER_GATEWAY),)))
    harness.settle()
    patches = {patch.cloud_name for patch in harness.node.ports.patches}
    assert patches == {names.patch_in_cloud_bridge(f"{OWN}.{network}") for network in (RED, BLUE)}
    assert _on_the_node(harness) != before
    found: Attachment = harness.get(Attachment, f"{OWN}.{BLUE}")
    assert [entry.plugged for entry in found.status.nodes] == [True]
    node: GatewayNode = harness.get(GatewayNode, NODE)
    reasons = {connection.cloud_id: connection.reason for connection in node.status.connections}
    assert (reasons[PEER], reasons[OTHER] == "NotUnderstood") == ("NotUnderstood", False)
    ready = harness.ready()
    assert ready is not None
    assert ready.status == "True"


@pytest.mark.parametrize("kind", ["Attachment", "CloudPeer"])
def test_what_is_deleted_then_is_removed(harness: AgentHarness, kind: str) -> None:
    _spoil(harness, KEYS[kind], SPOILED[kind])
    harness.new_agent()
    harness.settle()
    harness.store.remove(KEYS[kind])
    harness.settle()
    if kind == "Attachment":
        assert harness.node.ports.patches == frozenset()
    else:
        assert [tunnel.name for tunnel in harness.node.ports.tunnels] == [names.tunnel_port(OTHER, "gw-c1")]


def test_gateway_node_that_is_not_understood_keeps_no_network_from_being_reported(harness: AgentHarness) -> None:
    _spoil(harness, Key(API_VERSION, "GatewayNode", None, NODE), {"status": {"addresses": "unknown"}})
    harness.new_agent()
    FakeCluster(harness.store).apply(attachment(BLUE, (link(0x100002),)))
    harness.settle()
    found: Attachment = harness.get(Attachment, f"{OWN}.{BLUE}")
    assert [entry.plugged for entry in found.status.nodes] == [True]
