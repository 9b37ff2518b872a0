"""Withdrawal: immediate here, confirmed by the peer or after the grace period; machines are never harmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from isthmus.model import names
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.peer import PeerView
from isthmus.ports import PeerReader
from tests.fakes.federation import GRACE_SECONDS, FakeCloud, FakeFederation, reason
from tests.fakes.scenario import Stretched


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


def test_peer_api_outage_does_not_block_deletion(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b
    b.store.down = True
    stretched.withdraw()
    for _ in range(3):
        a.cycle()
    assert a.expansion() is None
    assert a.attachments() == []
    assert stretched.attachment_ports(a) == []
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
