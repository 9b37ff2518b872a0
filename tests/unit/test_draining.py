"""Draining an agreement: both clouds' tenants know the deadline, then it ends; it can be undone without a trace."""

from __future__ import annotations

from datetime import timedelta

import pytest

from isthmus.model.api.objects import Condition, Conditions, condition_of
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Stretched

DEADLINE = "2026-01-01T01:00:00Z"
DRAINED = {"state": "Drained"}


class Both(Stretched):
    """Two clouds with a network of A stretched to B and one of B stretched to A."""

    def __init__(self) -> None:
        super().__init__()
        self.a_cloud_peer, self.b_cloud_peer = self.a.cloud_peer(self.b), self.b.cloud_peer(self.a)
        _, self.their_network, _ = self.b.tenant("bakery", "10.30.0.0/24")
        self.b.expand(self.their_network.id, "cloud-a", namespace="bakery")
        self.federation.settle()
        assert reason(self.b.expansion("bakery")) == "Ready"
        self.before = self.contents()

    def contents(self) -> list[object]:
        """What is stretched and agreed, but for identifiers that are new each time."""
        found: list[object] = []
        for cloud in self.federation.clouds:
            links = [(link.metadata.name, link.spec.state, link.spec.answer is None) for link in cloud.links()]
            attachments = [(a.metadata.name, [p.cloud_id for p in a.spec.links]) for a in cloud.attachments()]
            types = [sorted(c.type for c in each.status.conditions) for each in cloud.kubectl.list_objects(CloudPeer)]
            wire = [link.spec for link in cloud.kubectl.list_objects(PeerLink)]
            subnets = sorted((s.cidr, str(s.pools)) for s in cloud.neutron.subnets.values())
            found.append((links, attachments, types, wire, subnets))
        return found

    def drain(self, grace_seconds: int = 3600) -> None:
        self.a.agree(self.b, agreement=DRAINED | {"drain": {"graceSeconds": grace_seconds}})
        self.federation.settle()

    def undo(self) -> None:
        self.a.agree(self.b)
        self.federation.settle()

    def pass_seconds(self, seconds: float) -> None:
        self.federation.clock.moment += timedelta(seconds=seconds)
        self.federation.settle()


@pytest.fixture
def both() -> Both:
    return Both()


def drained(cloud: FakeCloud, name: str = "cloud-b") -> Condition | None:
    found = cloud.kubectl.get(CloudPeer, name)
    assert found is not None
    return condition_of(found.status.conditions, "Drained")


def published(cloud: FakeCloud) -> PeerLink:
    (link,) = cloud.kubectl.list_objects(PeerLink)
    return link


def told(conditions: Conditions) -> tuple[str, str] | None:
    found = condition_of(conditions, "PeerDraining")
    return None if found is None else (found.reason, found.message)


def test_the_wire_says_cordoned_and_the_deadline(both: Both) -> None:
    both.drain()
    spec = published(both.a).spec
    assert spec.state == "Cordoned"
    assert spec.drain is not None
    assert spec.drain.deadline == DEADLINE
    assert published(both.b).spec.drain is None


def test_everybody_knows_the_deadline_and_nothing_else_changes(both: Both) -> None:
    both.drain()
    ours, theirs = both.a.expansion(), both.b.expansion("bakery")
    assert ours is not None
    assert theirs is not None
    text = f"this cloud ends its agreement with cloud-b: networks are disconnected at {DEADLINE}"
    assert told(ours.status.conditions) == ("Draining", text)
    text = f"cloud-a ends its agreement with this cloud: networks are disconnected at {DEADLINE}"
    assert told(theirs.status.conditions) == ("PeerDrains", text)
    for cloud, why in ((both.a, "Draining"), (both.b, "PeerDrains")):
        for link in cloud.links():
            assert (told(link.status.conditions) or ("",))[0] == why
        received = [a for a in cloud.attachments() if a.spec.role == "Receiver"]
        assert [(told(a.status.conditions) or ("",))[0] for a in received] == [why]
    assert (reason(ours), reason(theirs)) == ("Ready", "Ready")
    found = drained(both.a)
    assert found is not None
    assert (found.status, found.reason) == ("False", "WaitingForDeadline")
    assert DEADLINE in found.message
    assert drained(both.b, "cloud-a") is None
    peer = both.b.kubectl.get(CloudPeer, "cloud-a")
    assert peer is not None
    assert told(peer.status.conditions) == ("PeerDrains", text)


def test_nothing_new_is_stretched_meanwhile(both: Both) -> None:
    both.drain()
    for cloud, peer, expected in ((both.a, "cloud-b", "Cordoned"), (both.b, "cloud-a", "PeerCordoned")):
        _, network, _ = cloud.tenant("late", "10.40.0.0/24")
        cloud.expand(network.id, peer, namespace="late")
        both.federation.settle()
        assert reason(cloud.expansion("late")) == expected


def test_at_the_deadline_everything_is_disconnected(both: Both) -> None:
    both.drain()
    both.pass_seconds(3599)
    assert reason(both.a.expansion()) == "Ready"
    both.pass_seconds(1)
    assert reason(both.a.expansion()) == "Drained"
    assert reason(both.b.expansion("bakery")) == "Drained"
    assert [path for c in both.federation.clouds for a in c.attachments() for path in a.spec.links] == []
    assert [link for link in both.a.links() if link.spec.offer is not None] == []
    found = drained(both.a)
    assert found is not None
    assert (found.status, found.reason) == ("True", "NothingLeft")
    ours = both.a.expansion()
    assert ours is not None
    assert told(ours.status.conditions) is not None


def test_the_controller_looks_again_at_the_deadline_by_itself(both: Both) -> None:
    both.drain()
    both.federation.clock.moment += timedelta(seconds=3600)
    for _ in range(12):
        for cloud in both.federation.clouds:
            cloud.play_agent()
            cloud.cycle(resync=False)
    assert reason(both.a.expansion()) == "Drained"


def test_a_restart_does_not_move_the_deadline(both: Both) -> None:
    both.drain()
    both.pass_seconds(1800)
    both.a.restart()
    both.federation.settle()
    drain = published(both.a).spec.drain
    assert drain is not None
    assert drain.deadline == DEADLINE
    both.pass_seconds(1800)
    assert reason(both.a.expansion()) == "Drained"


def test_another_grace_counts_from_the_beginning(both: Both) -> None:
    both.drain()
    both.pass_seconds(600)
    both.drain(7200)
    drain = published(both.a).spec.drain
    assert drain is not None
    assert drain.deadline == "2026-01-01T02:00:00Z"
    both.drain(0)
    assert reason(both.a.expansion()) == "Drained"


def test_undone_before_the_deadline_leaves_no_trace(both: Both) -> None:
    both.drain()
    both.pass_seconds(1800)
    both.undo()
    assert both.contents() == both.before
    both.pass_seconds(7200)
    assert both.contents() == both.before
    assert reason(both.a.expansion()) == "Ready"
    assert drained(both.a) is None


def test_undone_after_the_deadline_stretches_everything_again(both: Both) -> None:
    both.drain()
    both.pass_seconds(4000)
    assert both.contents() != both.before
    both.undo()
    assert (reason(both.a.expansion()), reason(both.b.expansion("bakery"))) == ("Ready", "Ready")
    assert both.contents() == both.before
    for cloud, namespace in ((both.a, "shop"), (both.b, "bakery")):
        expansion = cloud.expansion(namespace)
        assert expansion is not None
        assert told(expansion.status.conditions) is None


def test_drained_again_has_a_new_deadline(both: Both) -> None:
    both.drain()
    both.pass_seconds(1800)
    both.undo()
    both.drain()
    drain = published(both.a).spec.drain
    assert drain is not None
    assert drain.deadline == "2026-01-01T01:30:00Z"


def test_replicas_stay_while_machines_are_on_them(both: Both) -> None:
    replica = next(n for n in both.a.neutron.networks.values() if n.description)
    machine = both.a.neutron.boot(replica.id, replica.project_id)
    both.drain()
    both.pass_seconds(3600)
    found = drained(both.a)
    assert found is not None
    assert (found.status, found.reason) == ("False", "ReplicaInUse")
    assert both.a.neutron.ports[machine.id] == machine
    both.a.neutron.delete_port(machine.id)
    both.federation.settle()
    found = drained(both.a)
    assert found is not None
    assert found.status == "True"


def test_it_does_not_wait_for_a_peer_that_is_away(both: Both) -> None:
    both.drain()
    both.a.peers.unreachable = True
    both.pass_seconds(3600)
    assert [path for a in both.a.attachments() for path in a.spec.links] == []
    found = drained(both.a)
    assert found is not None
    assert (found.status, found.reason) == ("False", "WaitingForRelease")
    both.a.peers.unreachable = False
    both.federation.settle()
    found = drained(both.a)
    assert found is not None
    assert found.status == "True"


def test_a_drained_peer_can_be_deleted(both: Both) -> None:
    both.drain(0)
    both.a.kubectl.delete(CloudPeer, "cloud-b")
    both.federation.settle()
    assert both.a.kubectl.get(CloudPeer, "cloud-b") is None
    assert both.a.links() == []
