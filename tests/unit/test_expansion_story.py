"""A whole expansion over fakes: wish, copy, ready, withdrawn, nothing left."""

from __future__ import annotations

from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import Range
from tests.fakes.federation import FakeFederation, reason


def test_two_clouds_become_peers() -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    federation.agree()
    federation.settle()
    for cloud, peer in ((a, b), (b, a)):
        assert reason(cloud.peer(peer.cloud_id)) == "Ready"


def test_network_is_stretched_and_withdrawn() -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    federation.agree()
    _, network, subnet = a.tenant()
    federation.settle()
    a.expand(network.id, "cloud-b")
    federation.settle()

    expansion = a.expansion()
    assert reason(expansion) == "Ready", expansion
    assert expansion is not None
    assert expansion.status.mtu == 1416
    (copy,) = [n for n in b.neutron.networks.values() if n.description]
    assert (copy.name, copy.mtu, copy.tags) == ("web", 1416, frozenset({"isthmus"}))
    (copied,) = b.neutron.subnets_of(copy.id)
    (given,) = expansion.status.peers[0].slices
    assert copied.pools == (Range(given.first, given.last),)
    assert a.neutron.subnets[subnet.id].pools == (Range("10.20.0.2", "10.20.0.191"),)
    assert a.neutron.networks[network.id].mtu == 1416

    a.people.delete(NetworkExpansion, "web", "shop")
    federation.settle()
    assert a.expansion() is None
    assert a.neutron.subnets[subnet.id] == subnet
    assert a.neutron.networks[network.id] == network
    assert [p for p in a.neutron.ports.values() if p.device_owner.startswith("isthmus")] == []
    assert not b.neutron.networks
    assert not b.neutron.ports
    for cloud in (a, b):
        assert cloud.attachments() == []
        assert cloud.links() == []
    assert b.neutron.find_domain("isthmus-cloud-a") is None

    for cloud, peer in ((a, b), (b, a)):
        cloud.people.delete(CloudPeer, peer.cloud_id)
    federation.settle()
    assert a.people.list_objects(CloudPeer) == []
    assert b.people.list_objects(CloudPeer) == []
