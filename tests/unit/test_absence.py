"""Peers whose links are absent or unreadable, and peers that were recreated meanwhile."""

from __future__ import annotations

import pytest

from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from tests.fakes.cluster import FakeCluster
from tests.fakes.federation import GRACE_SECONDS, FakeCloud, FakeFederation, reason
from tests.fakes.scenario import Stretched


def _reinstalled(cloud: FakeCloud, *, without_published: bool) -> None:
    """Delete what the cloud publishes for B; its controller recreates the PeerLink."""
    operator, namespace = FakeCluster(cloud.store), names.peer_namespace("cloud-b")
    (link,) = operator.list_objects(PeerLink, namespace)
    operator.delete(PeerLink, link.metadata.name, namespace)
    operator.apply(PeerLink(metadata=ObjectMeta(name=link.metadata.name, namespace=namespace), spec=link.spec))
    if without_published:
        _published_without(cloud)


def test_absence_with_a_different_peerlink_is_ignored(stretched: Stretched) -> None:
    """A reinstalled peer has not released what it does not know of yet."""
    b, replica_id = stretched.b, stretched.replica_id
    _reinstalled(stretched.a, without_published=True)
    for _ in range(3):
        b.cycle()
        stretched.federation.clock.move(GRACE_SECONDS + 1)
    assert stretched.replica_id == replica_id
    (attachment,) = b.attachments()
    assert attachment.spec.links != ()


def test_link_published_with_a_new_peerlink_can_be_withdrawn(stretched: Stretched) -> None:
    b = stretched.b
    _reinstalled(stretched.a, without_published=False)
    stretched.federation.settle()
    _published_without(stretched.a)
    for _ in range(3):
        b.cycle()
        stretched.federation.clock.move(GRACE_SECONDS + 1)
    assert b.attachments() == []


def test_network_is_released_by_a_peer_that_was_recreated_during_an_outage(stretched: Stretched) -> None:
    """The origin has never read that the former CloudPeer released the network, and the new PeerLink proves nothing."""
    a, b = stretched.a, stretched.b
    stretched.withdraw()
    b.kubectl.delete(CloudPeer, "cloud-a")
    a.cycle()
    a.peers.unreachable = True
    stretched.federation.settle()
    assert [link.spec.state for link in a.links()] == ["Withdrawn"]
    a.peers.unreachable = False
    b.agree(a)
    stretched.federation.settle()
    assert (a.links(), b.links()) == ([], [])


def test_released_link_is_deleted_though_the_origin_was_recreated_during_an_outage(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b
    stretched.withdraw()
    a.cycle()
    a.kubectl.delete(CloudPeer, "cloud-b")
    a.cycle()
    b.cycle()
    assert [link.spec.answer.verdict for link in b.links() if link.spec.answer] == ["Released"]
    b.peers.unreachable = True
    stretched.federation.settle()
    b.peers.unreachable = False
    a.agree(b)
    stretched.federation.settle()
    assert (a.links(), b.links()) == ([], [])


def test_offer_withdrawn_before_it_was_answered_is_released_immediately() -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    federation.agree()
    _, network, _ = a.tenant()
    federation.settle()
    a.expand(network.id, "cloud-b")
    a.play_agent()
    a.cycle()
    assert [link.spec.state for link in a.links()] == ["Active"]
    a.kubectl.delete(NetworkExpansion, "web", "shop")
    a.cycle()
    federation.settle()
    assert (a.links(), b.links(), b.neutron.networks) == ([], [], {})


def _published_without(cloud: FakeCloud) -> None:
    operator, namespace = FakeCluster(cloud.store), names.peer_namespace("cloud-b")
    for link in operator.list_objects(ExpansionLink, namespace):
        operator.delete(ExpansionLink, link.metadata.name, namespace)


@pytest.mark.parametrize("how", ["down", "no namespace"])
def test_unreadable_peer_changes_nothing(stretched: Stretched, how: str) -> None:
    a, b = stretched.a, stretched.b
    before = [attachment.spec for attachment in a.attachments()], [link.spec for link in a.links()]
    if how == "down":
        b.store.down = True
    else:
        b.kubectl.delete_manifest("v1", "Namespace", names.peer_namespace("cloud-a"))
    for _ in range(3):
        stretched.federation.clock.move(GRACE_SECONDS)
        a.cycle()
    assert ([x.spec for x in a.attachments()], [x.spec for x in a.links()]) == before
    assert reason(a.peer("cloud-b")) in {"PeerUnreachable", "PeerForbidden"}
    assert reason(a.expansion()) == "Ready"
    if how == "down":
        b.store.down = False
        stretched.federation.settle()
        assert reason(a.peer("cloud-b")) == "Ready"


def test_absence_is_accepted_after_the_grace_period(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b
    (answer,) = b.links()
    b.kubectl.delete(ExpansionLink, answer.metadata.name, answer.metadata.namespace)
    a.cycle()
    assert a.attachments()[0].spec.links
    stretched.federation.clock.move(GRACE_SECONDS - 1)
    a.cycle()
    assert a.attachments()[0].spec.links
    stretched.federation.clock.move(1)
    a.cycle()
    assert a.attachments()[0].spec.links == ()
    assert reason(a.expansion()) == "WaitingForPeer"
    stretched.federation.settle()
    assert reason(a.expansion()) == "Ready"


def test_absent_offer_releases_the_replica_after_the_grace_period(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b
    (offer,) = a.links()
    a.kubectl.delete(ExpansionLink, offer.metadata.name, offer.metadata.namespace)
    b.cycle()
    assert b.attachments()[0].spec.links
    stretched.federation.clock.move(GRACE_SECONDS)
    b.cycle()
    b.cycle()
    assert (b.attachments(), b.links(), b.neutron.networks) == ([], [], {})
