"""Lifecycle of an expansion on fakes: requested, replicated, ready, withdrawn, nothing left."""

from __future__ import annotations

import pytest

from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import Range
from tests.fakes.federation import FakeFederation, reason


def _progress(expansion: NetworkExpansion | None) -> tuple[str, str, str | None]:
    """Status and reason of Progressing; status of Stalled."""
    assert expansion is not None
    assert expansion.status.observed_generation == expansion.metadata.generation
    found = {condition.type: condition for condition in expansion.status.conditions}
    stalled = found.get("Stalled")
    return found["Progressing"].status, found["Progressing"].reason, stalled.status if stalled else None


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
    a.cycle()
    assert _progress(a.expansion()) == ("True", "WaitingForPeer", None)
    federation.settle()
    assert _progress(a.expansion()) == ("False", "Ready", None)

    expansion = a.expansion()
    assert reason(expansion) == "Ready", expansion
    assert expansion is not None
    assert expansion.status.mtu == 1416
    (replica,) = [n for n in b.neutron.networks.values() if n.description]
    assert (replica.name, replica.mtu, replica.tags) == ("web", 1416, frozenset({"isthmus"}))
    (replica_subnet,) = b.neutron.subnets_of(replica.id)
    (given,) = expansion.status.peers[0].slices
    assert replica_subnet.pools == (Range(given.first, given.last),)
    assert a.neutron.subnets[subnet.id].pools == (Range("10.20.0.2", "10.20.0.191"),)
    assert a.neutron.networks[network.id].mtu == 1416

    a.kubectl.delete(NetworkExpansion, "web", "shop")
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
        cloud.kubectl.delete(CloudPeer, peer.cloud_id)
    federation.settle()
    assert a.kubectl.list_objects(CloudPeer) == []
    assert b.kubectl.list_objects(CloudPeer) == []


def test_what_only_the_tenant_can_fix_is_stalled() -> None:
    federation = FakeFederation()
    a, _ = federation.clouds
    federation.agree()
    _, network, subnet = a.tenant()
    a.neutron.delete_subnet(subnet.id)
    federation.settle()
    a.expand(network.id, "cloud-b")
    federation.settle()
    assert _progress(a.expansion()) == ("False", "NoSubnet", "True")


@pytest.mark.parametrize(("kind", "mtu"), [("VXLAN", 1416), ("Geneve", 1416), ("GRE", 1424)])
def test_mtu_is_that_of_the_encapsulation(kind: str, mtu: int) -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    federation.agree()
    for cloud, other in ((a, b), (b, a)):
        cloud.kubectl.apply(cloud.cloud_peer(other, tunnel={"encapsulation": kind}))
    _, network, _ = a.tenant()
    federation.settle()
    a.expand(network.id, "cloud-b")
    federation.settle()
    expansion = a.expansion()
    assert expansion is not None
    assert (reason(expansion), expansion.status.mtu) == ("Ready", mtu)
    assert [n.mtu for n in b.neutron.networks.values() if n.description] == [mtu]
