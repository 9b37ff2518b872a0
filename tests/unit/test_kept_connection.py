"""A connection that is up and could not be established again: the peer is not ready, and everybody says why."""

from __future__ import annotations

from dataclasses import replace

from isthmus.core.node.facts import NodeFacts
from isthmus.core.node.states import node_states
from isthmus.model.actions import Problem
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.reasons import Reason
from isthmus.plugin.core.diagnosis.layers import Layer
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.faultyobjects import connection, diagnosis, faults, healthy, of_kind, states
from tests.fakes.federation import FakeCloud, FakeFederation


def _report(cloud: FakeCloud, reason: Reason) -> None:
    """What the agent of the only gateway node reports of a connection that it keeps."""
    node = cloud.kubectl.get(GatewayNode, f"gw-{cloud.cloud_id}")
    assert node is not None
    update = {"up": True, "reason": reason, "message": "the Secret is bad"}
    kept = tuple(c.model_copy(update=update) for c in node.status.connections)
    cloud.agent.apply_status(node.model_copy(update={"status": node.status.model_copy(update={"connections": kept})}))


def _conditions(peer: CloudPeer) -> dict[str, tuple[str, str]]:
    found = {type_: condition_of(peer.status.conditions, type_) for type_ in ("Ready", "TunnelUp")}
    return {type_: (condition.status, condition.reason) for type_, condition in found.items() if condition}


def test_the_peer_is_not_ready_although_its_tunnel_is_up() -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    federation.agree()
    federation.settle()
    assert _conditions(a.peer(b.cloud_id)) == {"Ready": ("True", "Ready"), "TunnelUp": ("True", "Up")}
    _report(a, Reason.INVALID_CERTIFICATE)
    a.cycle()
    peer = a.peer(b.cloud_id)
    assert _conditions(peer) == {"Ready": ("False", "InvalidCertificate"), "TunnelUp": ("True", "Up")}
    ready = condition_of(peer.status.conditions, "Ready")
    assert ready is not None
    assert ready.message == "gateway gw-cloud-a to gw-cloud-b: the Secret is bad"
    _report(a, Reason.UP)
    a.cycle()
    assert _conditions(a.peer(b.cloud_id))["Ready"] == ("True", "Ready")


def test_diagnosis_names_it() -> None:
    items = healthy()
    connection(items, Reason.INVALID_CERTIFICATE)
    (reported,) = of_kind(items, "GatewayNode")["status"]["connections"]
    reported["up"] = True
    answer = diagnosis(items)
    assert faults(answer) == ["InvalidCertificate"]
    assert states(answer)[Layer.IKE] == "fault"


def test_the_log_has_the_reason() -> None:
    harness = AgentHarness()
    harness.settle()
    facts = harness.agent._last_facts
    assert facts is not None
    assert _logged(facts) == "IKE Established, ESP Installed, BFD Up"
    names = frozenset(c.name for c in facts.plan.connections)
    problem = Problem(Reason.INVALID_CERTIFICATE, "the Secret is bad")
    plan = replace(facts.plan, connections=(), kept_connections=names, peer_problems={"cloud-b": problem})
    assert _logged(replace(facts, plan=plan)) == "IKE Established, ESP Installed, BFD Up (InvalidCertificate)"


def _logged(facts: NodeFacts) -> str:
    return node_states("gw-a1", facts, None)["connection to gw-b1 of cloud-b"].name
