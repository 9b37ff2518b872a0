"""Manual acceptance: an administrator of the receiver decides about each network, also after it was accepted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.controller.gauges import publish
from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval, ExpansionApprovalSpec
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.reasons import ANSWER_REASONS, Reason
from isthmus.telemetry.metrics import NETWORKS_AWAITING
from tests.fakes.federation import FakeCloud, FakeFederation, reason
from tests.fakes.scenario import Stretched

MANUAL = {"acceptance": "Manual"}
HOME = names.peer_namespace("cloud-a")


class Asked:
    """Two clouds; a tenant of A asks for a network at B, which accepts manually."""

    def __init__(self) -> None:
        self.federation = FakeFederation()
        self.a, self.b = self.federation.clouds
        self.a.agree(self.b)
        self.b.agree(self.a, agreement=MANUAL)
        self.project, self.network, self.subnet = self.a.tenant()
        self.federation.settle()
        self.untouched = self.b.neutron.contents()
        self.a.expand(self.network.id, "cloud-b")
        self.federation.settle()

    @property
    def name(self) -> str:
        return names.link_name("cloud-a", self.network.id)

    def link(self) -> ExpansionLink:
        (link,) = self.b.links()
        return link


@pytest.fixture
def asked() -> Asked:
    return Asked()


def decide(cloud: FakeCloud, name: str, decision: str, message: str = "", namespace: str = HOME) -> None:
    spec = ExpansionApprovalSpec.model_validate({"decision": decision, "message": message})
    cloud.kubectl.apply(ExpansionApproval(metadata=ObjectMeta(name=name, namespace=namespace), spec=spec))


def approval(cloud: FakeCloud, name: str, namespace: str = HOME) -> tuple[str, str, str]:
    """Status, reason and message of condition Ready."""
    found = cloud.kubectl.get(ExpansionApproval, name, namespace)
    assert found is not None
    (ready,) = (c for c in found.status.conditions if c.type == "Ready")
    assert found.status.observed_generation == found.metadata.generation
    return ready.status, ready.reason, ready.message


def told(cloud: FakeCloud) -> tuple[str, str]:
    """Reason and message that the tenant reads at the origin."""
    expansion = cloud.expansion()
    assert expansion is not None
    (peer,) = expansion.status.peers
    return peer.reason, peer.message


def test_a_new_network_waits_for_an_approval(asked: Asked) -> None:
    reason_, message = told(asked.a)
    assert reason_ == "AwaitingApproval"
    assert "wait" in message
    assert "cloud-b" not in message
    assert reason(asked.link()) == "AwaitingApproval"
    assert asked.b.attachments() == []
    assert asked.b.neutron.contents() == asked.untouched
    assert [c.status for c in asked.link().status.conditions if c.type == "Stalled"] == ["True"]


def test_administrators_are_told_once_what_waits(asked: Asked) -> None:
    asked.federation.settle()
    (event,) = (e for e in asked.b.store.events if e[2] == "AwaitingApproval")
    assert event[:2] == (asked.name, "Normal")
    assert "network web of project shop" in event[3]
    assert [e for e in asked.a.store.events if e[2] == "AwaitingApproval" and e[0] == asked.name] == []


def awaiting(cloud: FakeCloud, peer: str) -> tuple[int | None, list[tuple[str, str]]]:
    """Number, and link names with names of networks."""
    status = cloud.peer(peer).status
    return status.networks_awaiting, [(network.name, network.network_name) for network in status.awaiting]


@pytest.mark.parametrize("decision", ["Accept", "Refuse"])
def test_the_peer_says_what_waits_until_it_is_decided(asked: Asked, decision: str) -> None:
    assert awaiting(asked.b, "cloud-a") == (1, [(asked.name, "web")])
    assert awaiting(asked.a, "cloud-b") == (0, [])
    publish(asked.b.controller.engine.state.snapshot(), asked.b.backends.metrics)
    assert asked.b.backends.metrics.values(NETWORKS_AWAITING) == {("cloud-a",): 1.0}
    before = asked.federation.writes()
    asked.federation.settle()
    assert asked.federation.writes() == before
    decide(asked.b, asked.name, decision)
    for _ in range(3):  # no key is marked but those that the change concerns
        asked.b.cycle(resync=False)
    assert awaiting(asked.b, "cloud-a") == (0, [])
    publish(asked.b.controller.engine.state.snapshot(), asked.b.backends.metrics)
    assert asked.b.backends.metrics.values(NETWORKS_AWAITING) == {("cloud-a",): 0.0}


def test_the_peer_says_the_new_name_of_what_waits(asked: Asked) -> None:
    network = asked.a.neutron.networks[asked.network.id]
    asked.a.neutron.networks[network.id] = replace(network, name="frontend")
    asked.federation.settle()
    assert awaiting(asked.b, "cloud-a") == (1, [(asked.name, "frontend")])


def test_a_withdrawn_offer_waits_no_longer(asked: Asked) -> None:
    asked.a.kubectl.delete(NetworkExpansion, "web", "shop")
    asked.federation.settle()
    assert awaiting(asked.b, "cloud-a") == (0, [])


def test_a_network_that_is_refused_for_another_reason_waits_for_nobody(asked: Asked) -> None:
    asked.b.agree(asked.a, agreement=MANUAL | {"limits": {"networks": 0}})
    asked.federation.settle()
    assert told(asked.a)[0] == "LimitReached"
    assert awaiting(asked.b, "cloud-a") == (0, [])


def test_only_so_many_of_those_that_wait_are_listed(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.core.federation.awaiting.MAX_AWAITING", 1)
    _, other, _ = asked.a.tenant("db", "10.2.0.0/24")
    asked.a.expand(other.id, "cloud-b", namespace="db")
    asked.federation.settle()
    count, listed = awaiting(asked.b, "cloud-a")
    assert (count, len(listed)) == (2, 1)
    assert listed[0][0] == min(asked.name, names.link_name("cloud-a", other.id))


def test_an_approved_network_is_stretched(asked: Asked) -> None:
    decide(asked.b, asked.name, "Accept")
    asked.federation.settle()
    assert reason(asked.a.expansion()) == "Ready"
    assert approval(asked.b, asked.name) == ("True", "DecisionInForce", "the network is accepted")


def test_an_approval_may_come_before_the_offer() -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    a.agree(b)
    b.agree(a, agreement=MANUAL)
    _, network, _ = a.tenant()
    federation.settle()
    name = names.link_name("cloud-a", network.id)
    decide(b, name, "Accept")
    federation.settle()
    status, reason_, message = approval(b, name)
    assert (status, reason_) == ("False", "NotOffered")
    assert message.startswith("cloud-a offers no network of that name")
    a.expand(network.id, "cloud-b")
    federation.settle()
    assert reason(a.expansion()) == "Ready"
    assert approval(b, name)[1] == "DecisionInForce"
    a.kubectl.delete(NetworkExpansion, "web", "shop")
    federation.settle()
    assert approval(b, name)[1] == "NotOffered"


def test_a_refused_network_is_never_made(asked: Asked) -> None:
    decide(asked.b, asked.name, "Refuse", "not in this quarter")
    asked.federation.settle()
    assert told(asked.a) == ("RefusedByAdministrator", "not in this quarter")
    assert approval(asked.b, asked.name) == ("True", "DecisionInForce", "the network is refused")
    assert asked.b.neutron.contents() == asked.untouched


def test_deleting_an_approval_changes_nothing(asked: Asked) -> None:
    decide(asked.b, asked.name, "Accept")
    asked.federation.settle()
    asked.b.kubectl.delete(ExpansionApproval, asked.name, HOME)
    before = asked.federation.writes()
    asked.federation.settle()
    assert asked.federation.writes() == before
    assert reason(asked.a.expansion()) == "Ready"
    asked.b.restart()
    asked.federation.settle()
    assert reason(asked.a.expansion()) == "Ready"


@pytest.mark.parametrize("agreement", [{}, MANUAL], ids=["Auto", "Manual"])
def test_a_revocation_cuts_the_network_and_removes_its_replica(agreement: dict[str, str]) -> None:
    stretched = Stretched()
    a, b = stretched.a, stretched.b
    b.agree(a, agreement=agreement)
    stretched.federation.settle()
    assert reason(a.expansion()) == "Ready"
    name = names.link_name("cloud-a", stretched.network.id)
    decide(b, name, "Refuse", "too loud")
    b.play_agent()
    b.cycle()
    assert stretched.attachment_ports(b) == []
    stretched.federation.settle()
    assert told(a) == ("RefusedByAdministrator", "too loud")
    assert [path for attachment in a.attachments() for path in attachment.spec.links] == []
    assert (b.attachments(), list(b.neutron.networks)) == ([], [])
    assert approval(b, name)[1] == "DecisionInForce"
    assert reason(b.links()[0]) == "RefusedByAdministrator"

    b.kubectl.delete(ExpansionApproval, name, HOME)
    stretched.federation.settle()
    assert reason(a.expansion()) == ("AwaitingApproval" if agreement else "Ready")


def test_a_revoked_replica_that_a_machine_uses_is_kept_and_taken_up_again() -> None:
    stretched = Stretched()
    a, b, name = stretched.a, stretched.b, names.link_name("cloud-a", stretched.network.id)
    replica = stretched.replica_id
    machine = b.neutron.boot(replica, b.neutron.networks[replica].project_id)
    decide(b, name, "Refuse")
    stretched.federation.settle()
    (attachment,) = b.attachments()
    assert (reason(attachment, "ReplicaInUse"), attachment.spec.links) == ("PortsLeft", ())
    assert b.neutron.ports[machine.id] == machine
    assert "being removed" in approval(b, name)[2]
    assert told(a)[0] == "RefusedByAdministrator"
    b.restart()
    b.peers.not_read_yet = True
    b.cycle()
    (attachment,) = b.attachments()
    assert reason(attachment, "ReplicaInUse") == "PortsLeft"
    b.peers.not_read_yet = False

    decide(b, name, "Accept")
    stretched.federation.settle()
    assert reason(a.expansion()) == "Ready"
    assert stretched.replica_id == replica
    assert b.neutron.ports[machine.id] == machine


def test_a_revocation_does_not_wait_for_the_peer() -> None:
    stretched = Stretched()
    a, b, name = stretched.a, stretched.b, names.link_name("cloud-a", stretched.network.id)
    b.peers.unreachable = True
    decide(b, name, "Refuse")
    for _ in range(6):
        b.play_agent()
        b.cycle()
    assert (b.attachments(), list(b.neutron.networks)) == ([], [])
    (link,) = b.links()
    assert link.spec.answer is not None
    assert (link.spec.answer.verdict, link.spec.gateway) == ("Refused", None)
    b.peers.unreachable = False
    stretched.federation.settle()
    assert told(a)[0] == "RefusedByAdministrator"
    stretched.withdraw()
    stretched.federation.settle()
    assert (a.links(), b.links(), a.expansion()) == ([], [], None)


def test_a_cordoned_agreement_can_still_revoke() -> None:
    stretched = Stretched()
    stretched.b.agree(stretched.a, agreement={"state": "Cordoned"})
    decide(stretched.b, names.link_name("cloud-a", stretched.network.id), "Refuse")
    stretched.federation.settle()
    assert told(stretched.a)[0] == "RefusedByAdministrator"
    assert list(stretched.b.neutron.networks) == []


def test_manual_acceptance_keeps_what_is_accepted() -> None:
    stretched = Stretched()
    before = stretched.b.neutron.contents()
    stretched.b.agree(stretched.a, agreement=MANUAL)
    stretched.federation.settle()
    assert reason(stretched.a.expansion()) == "Ready"
    assert stretched.b.neutron.contents() == before


def test_an_approval_does_not_lift_a_limit(asked: Asked) -> None:
    asked.b.agree(asked.a, agreement=MANUAL | {"limits": {"networks": 0}})
    decide(asked.b, asked.name, "Accept")
    asked.federation.settle()
    assert told(asked.a)[0] == "LimitReached"
    assert approval(asked.b, asked.name)[:2] == ("False", "LimitReached")


@pytest.mark.parametrize(
    "name",
    ["no-link-name", "cloud-x.6c1b3b1e-0f51-4a3c-9c0a-5d6f0a6f6a11", "cloud-b.6c1b3b1e-0f51-4a3c-9c0a-5d6f0a6f6a11"],
)
def test_an_approval_that_stands_for_no_network_says_so(asked: Asked, name: str) -> None:
    decide(asked.b, name, "Accept")
    asked.federation.settle()
    status, reason_, message = approval(asked.b, name)
    assert (status, reason_) == ("False", "NotOffered")
    assert HOME in message
    assert reason(asked.link()) == "AwaitingApproval"


def test_an_approval_in_the_namespace_of_another_peer_decides_nothing() -> None:
    federation = FakeFederation("a", "b", "c")
    a, b, c = federation.clouds
    federation.agree()
    b.agree(a, agreement=MANUAL)
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    name, elsewhere = names.link_name("cloud-a", network.id), names.peer_namespace(c.cloud_id)
    decide(b, name, "Accept", namespace=elsewhere)
    federation.settle()
    assert approval(b, name, elsewhere)[1] == "NotOffered"
    assert told(a)[0] == "AwaitingApproval"


def test_what_a_peer_offers_is_unknown_before_it_was_read(asked: Asked) -> None:
    name = names.link_name("cloud-a", "6c1b3b1e-0f51-4a3c-9c0a-5d6f0a6f6a11")
    asked.b.restart()
    asked.b.peers.not_read_yet = True
    decide(asked.b, name, "Accept")
    asked.b.cycle()
    assert approval(asked.b, name)[:2] == ("False", "NotReadYet")
    asked.b.peers.not_read_yet = False
    asked.b.cycle(resync=False)
    assert approval(asked.b, name)[:2] == ("False", "NotOffered")


def test_a_decision_of_a_later_release_is_told_and_nothing_is_planned(asked: Asked) -> None:
    metadata = {"name": asked.name, "namespace": HOME}
    wanted = {"apiVersion": names.API_VERSION, "kind": "ExpansionApproval", "metadata": metadata}
    asked.b.kubectl.apply_manifest(wanted | {"spec": {"decision": "AcceptUntil"}})
    asked.federation.settle()
    found = asked.b.kubectl.get_manifest(names.API_VERSION, "ExpansionApproval", asked.name, HOME)
    assert found is not None
    (ready,) = found["status"]["conditions"]
    assert (ready["status"], ready["reason"]) == ("False", "NotUnderstood")
    assert told(asked.a)[0] == "AwaitingApproval"


def test_approvals_go_with_the_peer(asked: Asked) -> None:
    decide(asked.b, asked.name, "Accept")
    asked.federation.settle()
    asked.b.kubectl.delete(CloudPeer, "cloud-a")
    asked.federation.settle()
    assert asked.b.kubectl.list_objects(ExpansionApproval) == []
    assert asked.b.neutron.contents() == asked.untouched


def test_the_peer_cannot_read_approvals(asked: Asked) -> None:
    role = asked.b.kubectl.get_manifest("rbac.authorization.k8s.io/v1", "Role", "peer", HOME)
    assert role is not None
    assert [
        rule for rule in role["rules"] if "expansionapprovals" in rule["resources"] or "*" in rule["resources"]
    ] == []


def test_an_older_origin_shows_a_reason_that_it_does_not_know_as_refused(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = ANSWER_REASONS - {Reason.AWAITING_APPROVAL}
    monkeypatch.setattr("isthmus.core.network.origin.status.ANSWER_REASONS", known)
    asked.a.restart()
    asked.federation.settle()
    reason_, message = told(asked.a)
    assert reason_ == "Refused"
    assert "wait" in message
