"""A peer that is only invited has an account here, and nothing is published for it or configured."""

from __future__ import annotations

import pytest

from isthmus.controller.run import published_identity
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from tests.fakes.federation import FakeCloud, FakeFederation, reason

INVITED = {"gatewayCIDRs": [], "agreement": {"state": "Invited"}}


@pytest.fixture
def federation() -> FakeFederation:
    federation = FakeFederation()
    a, b = federation.clouds
    a.agree(b, **INVITED)
    b.agree(a)
    federation.settle()
    return federation


def published(cloud: FakeCloud) -> list[PeerLink]:
    return cloud.kubectl.list_objects(PeerLink)


def test_has_an_account_and_nothing_is_published(federation: FakeFederation) -> None:
    a, _ = federation.clouds
    assert reason(a.peer("cloud-b")) == "Invited"
    assert "kubectl isthmus accept" in a.peer("cloud-b").status.conditions[0].message
    assert a.kubectl.get_manifest("v1", "ServiceAccount", "peer", "isthmus-peer-cloud-b") is not None
    assert published(a) == []
    types = {condition.type for condition in a.peer("cloud-b").status.conditions}
    assert types.isdisjoint({"Reachable", "Agreed", "TunnelUp"})


def test_no_network_is_stretched_to_it(federation: FakeFederation) -> None:
    a, _ = federation.clouds
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    expansion = a.expansion()
    assert expansion is not None
    assert reason(expansion) == "WaitingForAgreement"
    assert a.links() == []


def test_becomes_active_by_its_answer(federation: FakeFederation) -> None:
    a, b = federation.clouds
    a.agree(b)
    federation.settle()
    assert (reason(a.peer("cloud-b")), reason(b.peer("cloud-a"))) == ("Ready", "Ready")
    assert [link.spec.state for link in published(a)] == ["Active"]


def test_is_removed_without_the_peer(federation: FakeFederation) -> None:
    a, _ = federation.clouds
    a.kubectl.delete(CloudPeer, "cloud-b")
    federation.settle()
    assert a.kubectl.get(CloudPeer, "cloud-b") is None
    assert a.kubectl.get_manifest("v1", "Namespace", "isthmus-peer-cloud-b") is None


def test_identity_is_published_as_in_the_settings(federation: FakeFederation) -> None:
    assert published_identity(federation.clouds[0].settings) == {
        "isthmus.cloud/cloud-id": "cloud-a",
        "isthmus.cloud/gateway-cidrs": "192.0.2.0/24,2001:db8:a::/64",
    }
