"""What an agent does with flows that were changed by others, and with those that Open vSwitch rejects."""

from __future__ import annotations

import pytest

from isthmus.model.api.objects import Condition, condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment, NodeObservation
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.errors import Invalid
from isthmus.model.node.flows import FlowChanges, Owner
from isthmus.model.node.pipeline import Table
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.nodeobjects import BLUE, NODE, OWN, PEER, RED, attachment, link
from tests.fakes.switch import FakeOpenFlow


@pytest.fixture
def harness() -> AgentHarness:
    harness = AgentHarness()
    harness.kubectl.apply(attachment(RED))
    harness.kubectl.apply(attachment(BLUE, (link(0x100001),)))
    harness.settle()
    return harness


def _reject(monkeypatch: pytest.MonkeyPatch, owner: Owner) -> None:
    replace = FakeOpenFlow.replace

    def reject(openflow: FakeOpenFlow, changes: FlowChanges) -> None:
        if any(change.owner == owner for change in changes.sets):
            raise Invalid("OFPBAC_BAD_ARGUMENT")
        replace(openflow, changes)

    monkeypatch.setattr(FakeOpenFlow, "replace", reject)


def _entry(harness: AgentHarness, network: str) -> NodeObservation:
    (entry,) = harness.get(Attachment, f"{OWN}.{network}").status.nodes
    assert isinstance(entry, NodeObservation)
    return entry


def _degraded(harness: AgentHarness) -> Condition:
    found = condition_of(harness.get(GatewayNode, NODE).status.conditions, "Degraded")
    assert found is not None
    return found


def test_drift_is_undone_at_the_next_observation(harness: AgentHarness) -> None:
    before = dict(harness.node.flows)
    harness.agent.iterate()
    match = next(match for match in before if match.startswith(f"table={Table.OUTPUT:d},"))
    harness.node.put_flow(before[match][0], f"{match} actions=drop")
    harness.node.put_flow(0xBAD, "table=0,priority=99 actions=output:3")
    harness.clock.seconds += 2
    harness.agent.iterate()
    assert harness.node.flows == before


def test_rejected_flows_of_a_network_are_reported_at_its_links_alone(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    _reject(monkeypatch, Owner("network", f"{OWN}.{RED}"))
    harness.node.restart_switch()
    harness.settle()
    red, blue = _entry(harness, RED), _entry(harness, BLUE)
    assert (red.plugged, [(k.up, k.reason) for k in red.links]) == (False, [(False, "FlowsRejected")])
    assert (blue.plugged, [k.up for k in blue.links]) == (True, [True])
    monkeypatch.undo()
    harness.settle()
    assert [(k.up, k.reason) for k in _entry(harness, RED).links] == [(True, "ProbeAnswered")]
    assert _entry(harness, RED).plugged


def test_rejected_flows_of_a_peer_are_reported_at_the_gateway_node(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    _reject(monkeypatch, Owner("peer", PEER))
    harness.node.restart_switch()
    harness.settle()
    degraded = _degraded(harness)
    assert (degraded.status, degraded.reason) == ("True", "FlowsRejected")
    assert PEER in degraded.message
    assert _entry(harness, RED).plugged
    monkeypatch.undo()
    harness.settle()
    assert _degraded(harness).status == "False"
