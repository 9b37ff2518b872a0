"""Withdrawal: immediate here, confirmed by the peer or after the grace period; machines are never harmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import pytest

from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.facts.peer import PeerView
from isthmus.ports import PeerReader
from tests.fakes.cluster import FakeCluster
from tests.fakes.federation import GRACE_SECONDS, FakeCloud, FakeFederation, reason


class Stretched:
    """Two clouds with one network stretched from A to B."""

    def __init__(self) -> None:
        self.federation = FakeFederation()
        self.a, self.b = self.federation.clouds
        self.federation.agree()
        self.project, self.network, self.subnet = self.a.tenant()
        self.a.expand(self.network.id, "cloud-b")
        self.federation.settle()
        assert reason(self.a.expansion()) == "Ready"

    @property
    def replica_id(self) -> str:
        (replica,) = self.b.neutron.networks.values()
        return replica.id

    def withdraw(self) -> None:
        self.a.kubectl.delete(NetworkExpansion, "web", "shop")

    def ours_ports(self, cloud: FakeCloud) -> list[str]:
        return [p.id for p in cloud.neutron.ports.values() if p.device_owner == names.ATTACHMENT_DEVICE_OWNER]


@pytest.fixture
def stretched() -> Stretched:
    return Stretched()


def test_domain_left_disabled_by_a_crash_is_recreated() -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    federation.agree()
    federation.settle()
    left = b.neutron.create_domain(names.peer_domain("cloud-a"), names.domain_marker("cloud-a"))
    b.neutron.domains[left.id] = replace(left, enabled=False)
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    assert reason(a.expansion()) == "Ready"
    domain = b.neutron.find_domain(names.peer_domain("cloud-a"))
    assert domain is not None
    assert domain.enabled


def test_domain_disabled_by_an_administrator_is_kept(stretched: Stretched) -> None:
    domain = stretched.b.neutron.find_domain(names.peer_domain("cloud-a"))
    assert domain is not None
    stretched.b.neutron.domains[domain.id] = replace(domain, enabled=False)
    stretched.federation.settle()
    assert stretched.b.neutron.domains[domain.id] == replace(domain, enabled=False)


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


def test_peer_api_outage_does_not_block_deletion(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b
    b.store.down = True
    stretched.withdraw()
    for _ in range(3):
        a.cycle()
    assert a.expansion() is None
    assert a.attachments() == []
    assert stretched.ours_ports(a) == []
    assert a.neutron.subnets[stretched.subnet.id] == stretched.subnet
    (withdrawn,) = a.links()
    assert (withdrawn.spec.state, reason(withdrawn)) == ("Withdrawn", "WaitingForRelease")

    a.expand(stretched.network.id, "cloud-b")
    a.cycle()
    assert reason(a.expansion()) == "WaitingForRelease"
    b.store.down = False
    stretched.federation.settle()
    assert reason(a.expansion()) == "Ready"


def test_withdrawn_link_is_not_released_by_an_older_read(stretched: Stretched) -> None:
    """A peer may be about to connect what it has just read."""
    federation, a = stretched.federation, stretched.a
    _, other, _ = a.tenant("bakery", "10.40.0.0/24")
    read_before = a.peers.views()
    a.expand(other.id, "cloud-b", namespace="bakery", name="late")
    a.restart(replace(a.backends, peers=cast(PeerReader, _Stale(a, read_before))))
    a.cycle()
    (offered,) = [k for k in a.links() if k.spec.origin.network_id == other.id]
    a.kubectl.delete(NetworkExpansion, "late", "bakery")
    a.cycle()
    assert a.expansion("bakery", "late") is None
    (withdrawn,) = [k for k in a.links() if k.spec.origin.network_id == other.id]
    assert (withdrawn.spec.state, withdrawn.spec.offer) == ("Withdrawn", offered.spec.offer)
    federation.clock.move(GRACE_SECONDS)
    a.restart()
    federation.settle()
    assert [k for k in a.links() if k.spec.origin.network_id == other.id] == []


class _Stale:
    """A ports.PeerReader whose views never change."""

    def __init__(self, cloud: FakeCloud, views: Mapping[str, PeerView]) -> None:
        self._cloud, self._views = cloud, views

    def start(self, wake: object) -> None: ...
    def stop(self) -> None: ...
    def follow(self, kubeconfigs: Mapping[str, bytes]) -> None:
        self._cloud.peers.follow(kubeconfigs)

    def views(self) -> Mapping[str, PeerView]:
        return self._views


def test_withdrawn_link_keeps_its_tunnel_id(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b
    (first,) = a.links()
    stretched.withdraw()
    a.cycle()
    _, other, _ = a.tenant("bakery")
    a.expand(other.id, "cloud-b", namespace="bakery")
    a.cycle()
    ids = {k.metadata.uid: k.spec.offer.tunnel_id for k in a.links() if k.spec.offer}
    assert len(set(ids.values())) == 2
    assert first.metadata.uid in ids
    stretched.federation.settle()
    assert b.attachments()[0].spec.links[0].tunnel_id == 0x100001


def test_forgetting_a_dead_peer(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b
    b.store.down = True
    a.kubectl.delete(CloudPeer, "cloud-b")
    for _ in range(4):
        a.cycle()
    assert reason(a.peer("cloud-b")) == "WaitingForRelease"
    assert a.attachments() == []
    assert reason(a.expansion()) == "PeerTerminating"
    peer = a.peer("cloud-b")
    metadata = peer.metadata.model_copy(update={"annotations": {names.FORGET_ANNOTATION: "true"}})
    a.kubectl.apply(peer.model_copy(update={"metadata": metadata}))
    for _ in range(4):
        a.cycle()
    assert a.kubectl.list_objects(CloudPeer) == []
    assert a.links() == []
    assert a.kubectl.get_manifest("v1", "Namespace", names.peer_namespace("cloud-b")) is None


def test_deleting_peers_with_a_stretched_network(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b
    b.kubectl.delete(CloudPeer, "cloud-a")
    stretched.federation.settle()
    assert b.kubectl.list_objects(CloudPeer) == []
    assert (b.attachments(), b.links(), b.neutron.networks) == ([], [], {})
    assert len(a.links()) == 1  # an unreadable peer changes nothing
    a.kubectl.delete(CloudPeer, "cloud-b")
    stretched.federation.settle()
    assert reason(a.peer("cloud-b")) == "WaitingForRelease"


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


def test_unbinding_the_namespace_withdraws_the_network(stretched: Stretched) -> None:
    a = stretched.a
    a.namespace("shop", {})
    stretched.federation.settle()
    assert reason(a.expansion()) == "NamespaceNotBound"
    assert (a.attachments(), a.links()) == ([], [])
    assert a.neutron.networks[stretched.network.id] == stretched.network
    expansion = a.expansion()
    assert expansion is not None
    assert expansion.metadata.finalizers == ()


def test_removing_one_of_two_peers() -> None:
    federation = FakeFederation("a", "b", "c")
    a, b, c = federation.clouds
    federation.agree()
    _, network, subnet = a.tenant()
    a.expand(network.id, "cloud-b", "cloud-c")
    federation.settle()
    assert reason(a.expansion()) == "Ready"
    (attachment,) = a.attachments()
    assert [path.cloud_id for path in attachment.spec.links] == ["cloud-b", "cloud-c"]
    a.expand(network.id, "cloud-c")
    federation.settle()
    assert b.neutron.networks == {}
    assert c.neutron.networks
    (attachment,) = a.attachments()
    assert [path.cloud_id for path in attachment.spec.links] == ["cloud-c"]
    (record,) = attachment.spec.record.subnets
    assert [s.cloud_id for s in record.slices] == ["cloud-c"]
    a.kubectl.delete(NetworkExpansion, "web", "shop")
    federation.settle()
    assert a.neutron.subnets[subnet.id] == subnet
