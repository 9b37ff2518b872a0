"""What fails for one peer or network is that one's problem, and a failure alone never makes a node unready."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from isthmus.core.federation.agreement import Agreement
from isthmus.core.node import credentials, ipsec
from isthmus.core.node.credentials import Usable
from isthmus.core.node.plan import NodePlanner
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition, condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeerSpec
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode, GatewayNodeStatus
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.tunnel import Vxlan
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.cluster import FakeCluster
from tests.fakes.nodeobjects import (
    ADDRESS,
    BLUE,
    NODE,
    OWN,
    PEER,
    PEER_GATEWAY,
    RED,
    attachment,
    link,
    peer,
    peerlink,
    published_spec,
)

OTHER = "cloud-c"
OTHER_GATEWAY = {"name": "gw-c1", "address": "203.0.113.11"}
TUNNEL, OTHER_TUNNEL = names.tunnel_port(PEER, "gw-b1"), names.tunnel_port(OTHER, "gw-c1")


@pytest.fixture
def harness() -> AgentHarness:
    """A node with two peers."""
    harness = AgentHarness()
    _add_peer(harness, OTHER, "203.0.113.0/24", peerlink(OTHER, OTHER_GATEWAY))
    return harness


def _add_peer(harness: AgentHarness, cloud_id: str, cidr: str, link: PeerLink) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.peer_namespace(cloud_id)}}
    harness.kubectl.apply_manifest(namespace)
    harness.kubectl.apply(peer(cloud_id, cidr))
    controller = FakeCluster(harness.store)
    controller.apply(link)
    controller.apply_status(link)


def _status(harness: AgentHarness) -> GatewayNodeStatus:
    found: GatewayNode = harness.get(GatewayNode, NODE)
    return found.status


def _condition(harness: AgentHarness, type_: str) -> Condition:
    found = condition_of(_status(harness).conditions, type_)
    assert found is not None
    return found


def _is_ready(harness: AgentHarness) -> bool:
    return _condition(harness, "Ready").status == "True"


def test_a_connection_that_charon_refuses_is_that_peers_problem(harness: AgentHarness) -> None:
    harness.node.refused_connections = frozenset({TUNNEL})
    harness.settle()
    assert {tunnel.name for tunnel in harness.node.ports.tunnels} == {OTHER_TUNNEL}
    refused, other = _status(harness).connections
    assert (refused.up, refused.reason) == (False, "Invalid")
    assert "config discarded" in refused.message
    assert other.up
    degraded = _condition(harness, "Degraded")
    assert (degraded.status, degraded.reason) == ("True", "Invalid")
    assert degraded.message == f"gateway gw-b1 of {PEER}: charon: invalid value for: proposals, config discarded"
    assert _is_ready(harness)
    harness.delete(peer())
    harness.settle()
    assert harness.node.blocks == ipsec.blocks([Vxlan(14789)]) | ipsec.icmp_unreachable_blocks(["203.0.113.11"])
    assert _condition(harness, "Degraded").status == "False"


def test_a_refusal_is_reported_until_it_is_over(harness: AgentHarness) -> None:
    """Not until everything is reconciled again."""
    node = harness.node
    node.peer_answers, node.refused_negotiations = False, frozenset({TUNNEL})
    harness.settle()
    reasons = {connection.cloud_id: connection.reason for connection in _status(harness).connections}
    assert reasons == {PEER: "Invalid", OTHER: "IKENotEstablished"}
    assert _condition(harness, "Degraded").reason == "Invalid"
    reconciles = _reconciles(harness)
    harness.clock.seconds += 1
    harness.iterate()
    assert _status(harness).connections[0].reason == "Invalid", "it is not due to be initiated again yet"
    node.refused_negotiations = frozenset()
    harness.clock.seconds += 5
    harness.iterate()
    assert _status(harness).connections[0].reason == "IKENotEstablished"
    assert _condition(harness, "Degraded").status == "False"
    assert _reconciles(harness) == reconciles


def test_a_refusal_is_over_when_the_connection_is_up_again(harness: AgentHarness) -> None:
    harness.settle()
    node, installed = harness.node, harness.node.associations
    reconciles = _reconciles(harness)
    node.refused_negotiations, node.associations = frozenset({TUNNEL}), frozenset()
    harness.clock.seconds += 1
    harness.iterate()
    assert _status(harness).connections[0].reason == "Invalid"
    node.associations = installed
    harness.clock.seconds += 1
    harness.iterate()
    assert _status(harness).connections[0].up
    assert _condition(harness, "Degraded").status == "False"
    assert _reconciles(harness) == reconciles


def _reconciles(harness: AgentHarness) -> float:
    registry = harness.agent._backends.metrics.registry
    return registry.get_sample_value("isthmus_reconciles_total", {"loop": "node"}) or 0


def test_removals_take_place_beside_a_refused_connection(harness: AgentHarness) -> None:
    harness.settle()
    harness.node.restart_charon()
    harness.node.refused_connections = frozenset({TUNNEL})
    harness.delete(peer(OTHER))
    harness.settle()
    assert {tunnel.name for tunnel in harness.node.ports.tunnels} == {TUNNEL}, "what is in place stays"
    assert harness.node.blocks == ipsec.blocks([Vxlan(14789)]) | ipsec.icmp_unreachable_blocks(["198.51.100.11"])


def test_a_port_that_the_database_refuses_is_that_networks_problem(harness: AgentHarness) -> None:
    harness.settle()
    taken = names.patch_in_integration_bridge(f"{OWN}.{RED}")
    harness.node.foreign_tunnels = {taken: 4790}
    harness.kubectl.apply(attachment(RED))
    harness.kubectl.apply(attachment(BLUE, (link(0x100001),)))
    harness.settle()
    red, blue = (harness.get(Attachment, f"{OWN}.{network}").status.nodes[0] for network in (RED, BLUE))
    assert (red.plugged, blue.plugged) == (False, True)
    assert (blue.links[0].up, red.links[0].up, red.links[0].reason) == (True, False, "Invalid")
    assert f"network {OWN}.{RED}: " in _condition(harness, "Degraded").message
    assert _is_ready(harness)


def test_a_foreign_policy_keeps_only_its_peers_tunnel_away(harness: AgentHarness) -> None:
    (foreign,) = ipsec.icmp_unreachable_blocks([PEER_GATEWAY["address"]])
    harness.node.foreign_policies = frozenset({foreign})
    harness.settle()
    assert {tunnel.name for tunnel in harness.node.ports.tunnels} == {OTHER_TUNNEL}
    assert [c.reason for c in _status(harness).connections] == ["Conflict", "Up"]
    assert _is_ready(harness)


def test_ready_stays_while_systems_restart(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    before = harness.node.ports, harness.node.flows
    for system in ("charon_answers", "switch_answers"):
        setattr(harness.node, system, False)
        for _ in range(3):
            harness.clock.seconds += 1
            harness.iterate()
            assert _is_ready(harness), system
            assert _condition(harness, "Degraded").status == "True"
            assert [c.up for c in _status(harness).connections] == [True, True]
        setattr(harness.node, system, True)
        harness.settle(2)
        assert _condition(harness, "Degraded").status == "False"
    assert (harness.node.ports, harness.node.flows) == before


def test_an_agent_that_starts_while_the_switch_is_away_withdraws_nothing(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    before = harness.get(Attachment, f"{OWN}.{RED}").status.nodes
    assert before[0].plugged
    harness.node.switch_answers = False
    harness.new_agent()
    harness.settle(3)
    assert harness.get(Attachment, f"{OWN}.{RED}").status.nodes == before
    assert _is_ready(harness)
    assert _condition(harness, "Degraded").status == "True"


def test_charon_that_answers_nothing_from_the_start_makes_the_node_unready(harness: AgentHarness) -> None:
    harness.node.charon_answers = False
    harness.settle()
    assert (_condition(harness, "Ready").status, _condition(harness, "Ready").reason) == ("False", "CharonUnavailable")
    assert {c.reason for c in _status(harness).connections} == {"CharonUnavailable"}


def test_a_node_with_hundreds_of_connections(harness: AgentHarness) -> None:
    for i in range(17):
        _add_peer(harness, f"peer-{i:02d}", f"203.1.{i}.0/24", _with_16_gateways(f"peer-{i:02d}", f"203.1.{i}"))
    harness.settle(2)
    assert len(harness.node.ports.tunnels) == 2 + 17 * 16
    assert (len(_status(harness).connections), _status(harness).peers_up) == (2 + 17 * 16, "19/19")
    assert _is_ready(harness)


def _with_16_gateways(cloud_id: str, prefix: str) -> PeerLink:
    gateways = [{"name": f"gw-{k:02d}", "address": f"{prefix}.{k + 1}"} for k in range(16)]
    wire = peerlink(cloud_id).to_wire()
    wire["status"]["peer"]["spec"] = published_spec(cloud_id, OWN, gateways[0]) | {"gateways": gateways}
    return PeerLink.from_wire(wire)


@pytest.mark.parametrize(("mtu", "ready", "reported"), [(552, False, 1500), (65536, True, 65535)])
def test_an_unusual_mtu_does_not_end_the_agent(harness: AgentHarness, mtu: int, ready: bool, reported: int) -> None:
    harness.settle()
    harness.node.address = NodeAddress(ADDRESS, mtu)
    harness.settle(2)
    assert _is_ready(harness) == ready
    assert [address.mtu for address in _status(harness).addresses] == [reported]
    if not ready:
        assert _condition(harness, "Ready").message == (
            f"the interface of {ADDRESS} has MTU {mtu}, and a tunnel needs at least 576: raise it"
        )
    assert len(harness.node.ports.tunnels) == 2


def test_a_defect_is_an_internal_error_and_keeps_what_is_in_place(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    before = replace(harness.node)
    with monkeypatch.context() as patch:

        def defect(*_: object) -> None:
            raise IndexError("a text that may quote a key")

        patch.setattr(NodePlanner, "plan", defect)
        caplog.set_level(logging.INFO)
        harness.settle(3)
    assert (harness.node.ports, harness.node.flows) == (before.ports, before.flows)
    degraded = _condition(harness, "Degraded")
    assert (degraded.status, degraded.reason) == ("True", "InternalError")
    assert "quote a key" not in degraded.message
    assert _is_ready(harness)
    assert len([record for record in caplog.records if record.exc_info]) == 1, "logged once"
    harness.settle(2)
    assert _condition(harness, "Degraded").status == "False"


def test_a_defect_in_planning_one_peer_is_that_peers_trouble_alone(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    harness.settle()
    tunnels, plan = harness.node.ports.tunnels, credentials.credential_of

    def defect(inputs: NodeInputs, peer: CloudPeerSpec, agreement: Agreement) -> Usable | Problem:
        if peer.cloud_id == PEER:
            raise ValueError("a text that may quote a key")
        return plan(inputs, peer, agreement)

    with monkeypatch.context() as patch:
        patch.setattr(credentials, "credential_of", defect)
        harness.node.restart_charon()
        _add_peer(harness, "cloud-d", "192.0.2.0/24", peerlink("cloud-d", {"name": "gw-d1", "address": "192.0.2.11"}))
        harness.settle(3)
        added = names.tunnel_port("cloud-d", "gw-d1")
        assert {tunnel.name for tunnel in harness.node.ports.tunnels} == {TUNNEL, OTHER_TUNNEL, added}
        assert harness.node.ports.tunnels > tunnels, "what exists of the peer stays"
        assert harness.node.loaded.keys() == {OTHER_TUNNEL, added}
        assert {c.cloud_id: c.reason for c in _status(harness).connections} == {
            PEER: "InternalError",
            OTHER: "Up",
            "cloud-d": "Up",
        }
        configured = _condition(harness, "PeersConfigured")
        assert (configured.status, configured.reason) == ("False", "InternalError")
        assert "quote a key" not in configured.message
        assert len([record for record in caplog.records if record.exc_info]) == 1, "logged once"
    harness.clock.seconds += 300
    harness.settle(3)
    assert [c.reason for c in _status(harness).connections] == ["Up", "Up", "Up"]


def test_a_missing_capability_is_named_and_no_link_is_called_down(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    harness.node.may_send_probes = False
    harness.settle()
    (entry,) = harness.get(Attachment, f"{OWN}.{RED}").status.nodes
    assert [k.up for k in entry.links] == [True], "nothing was asked"
    degraded = _condition(harness, "Degraded")
    assert (degraded.status, degraded.reason) == ("True", "MissingCapability")
    assert "CAP_NET_RAW" in degraded.message
    assert _is_ready(harness)
    harness.kubectl.apply(attachment(BLUE, (link(0x100001),)))
    harness.settle()
    (entry,) = harness.get(Attachment, f"{OWN}.{BLUE}").status.nodes
    assert [(k.up, k.reason) for k in entry.links] == [(False, "MissingCapability")]
