"""Invalid input, on fakes: each leads to one clear condition, and nothing is created partially."""

from __future__ import annotations

import pytest

from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from tests.fakes.federation import FakeCloud, FakeFederation, reason
from tests.fakes.scenario import Scenario


@pytest.fixture
def ready() -> Scenario:
    return Scenario()


def test_unknown_peer(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "nobody")
    assert ready.outcome() == "PeerNotFound"
    assert ready.nothing_made()


def test_unknown_network(ready: Scenario) -> None:
    ready.a.expand("00000000-0000-0000-0000-00000000dead", "cloud-b")
    assert ready.outcome() == "NetworkNotFound"
    assert ready.nothing_made()


def test_network_of_another_project_is_reported_like_an_unknown_one(ready: Scenario) -> None:
    _, other, _ = ready.a.tenant("bakery")
    before = ready.openstack()
    ready.a.expand(other.id, "cloud-b")
    assert ready.outcome() == "NetworkNotFound"
    expansion = ready.a.expansion()
    assert expansion is not None
    assert expansion.status.network_name is None
    assert (ready.openstack(), ready.kept()) == (before, [])


def test_namespace_not_bound(ready: Scenario) -> None:
    ready.a.namespace("loose")
    ready.a.expand(ready.network.id, "cloud-b", namespace="loose")
    ready.settle()
    assert reason(ready.a.expansion("loose")) == "NamespaceNotBound"
    assert ready.nothing_made()


def test_forged_finalizer_does_not_claim_a_network(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    before = ready.openstack(), [link.spec for link in ready.a.links()]
    ready.a.tenant("a-thief", "10.66.0.0/24")
    ready.a.expand(ready.network.id, "cloud-b", namespace="a-thief")
    forged = ready.a.expansion("a-thief")
    assert forged is not None
    ready.a.kubectl.set_finalizers(forged, (names.FINALIZER,))
    ready.settle()
    assert reason(ready.a.expansion("a-thief")) == "NetworkNotFound"
    assert reason(ready.a.expansion()) == "Ready"
    assert [link.spec for link in ready.a.links()] == before[1]
    ready.a.kubectl.delete(NetworkExpansion, "web", "a-thief")
    ready.settle()
    assert ready.a.expansion("a-thief") is None


def test_network_requested_twice(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    ready.a.expand(ready.network.id, "cloud-c", name="again")
    assert ready.outcome("again") == "NetworkAlreadyExpanded"
    assert ready.outcome() == "Ready"


def test_no_credential(ready: Scenario) -> None:
    secret = f"peer-{ready.b.cloud_id}"
    ready.a.kubectl.delete_manifest("v1", "Secret", secret, names.SYSTEM_NAMESPACE)
    ready.settle()
    assert reason(ready.a.peer("cloud-b")) == "KubeconfigNotFound"


def test_no_free_slice_names_the_largest(ready: Scenario) -> None:
    for last in range(3, 255, 16):
        ready.a.neutron.boot(ready.network.id, ready.project, f"10.20.0.{last}")
    before = ready.openstack()
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "NoFreeSlice"
    expansion = ready.a.expansion()
    assert expansion is not None
    assert "10.20.0.228-10.20.0.242 (15)" in expansion.status.conditions[0].message
    assert (ready.openstack(), ready.kept()) == (before, [])


def test_peer_cordoned_by_us(ready: Scenario) -> None:
    ready.a.kubectl.apply(ready.a.cloud_peer(ready.b, agreement={"state": "Cordoned"}))
    ready.settle()
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Cordoned"
    assert ready.nothing_made()


def test_cordoned_by_the_peer(ready: Scenario) -> None:
    ready.b.kubectl.apply(ready.b.cloud_peer(ready.a, agreement={"state": "Cordoned"}))
    ready.settle()
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "PeerCordoned"
    assert ready.nothing_made()


def test_cordoning_keeps_what_is_stretched(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    for cloud, peer in ((ready.a, ready.b), (ready.b, ready.a)):
        cloud.kubectl.apply(cloud.cloud_peer(peer, agreement={"state": "Cordoned"}))
    assert ready.outcome() == "Ready"


@pytest.mark.parametrize(
    ("agreement", "expected"),
    [
        ({"limits": {"networks": 0}}, "LimitReached"),
        ({"quotas": {"networks": 0}}, "QuotaExceeded"),
        ({"quotas": {"subnets": 0}}, "QuotaExceeded"),
    ],
)
def test_refused_by_the_peer(ready: Scenario, agreement: dict[str, object], expected: str) -> None:
    ready.b.kubectl.apply(ready.b.cloud_peer(ready.a, agreement=agreement))
    ready.settle()
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == expected
    assert ready.b.attachments() == []
    assert ready.openstack()[1] == ready.untouched[1]
    ready.a.kubectl.delete(NetworkExpansion, "web", "shop")
    ready.settle()
    assert ready.nothing_made()


def test_project_not_allowed(ready: Scenario) -> None:
    ready.a.kubectl.apply(ready.a.cloud_peer(ready.b, agreement={"allowedProjects": ["other"]}))
    ready.settle()
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "ProjectNotAllowed"
    assert ready.nothing_made()


def test_subnet_overlaps_one_of_the_same_project(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    ready.a.expand(ready.second_network("10.20.0.128/25"), "cloud-b", name="db")
    assert ready.outcome("db") == "SubnetOverlap"
    assert len(ready.b.neutron.networks) == 1
    ready.a.expand(ready.second_network("10.21.0.0/24"), "cloud-b", name="other")
    assert ready.outcome("other") == "Ready"


def test_equal_cidrs_of_two_tenants(ready: Scenario) -> None:
    _, other, _ = ready.a.tenant("bakery")
    ready.a.expand(ready.network.id, "cloud-b")
    ready.a.expand(other.id, "cloud-b", namespace="bakery")
    ready.settle()
    assert [reason(ready.a.expansion(n)) for n in ("shop", "bakery")] == ["Ready", "Ready"]
    assert len({n.project_id for n in ready.b.neutron.networks.values()}) == 2
    assert len({link.spec.offer.tunnel_id for link in ready.a.links() if link.spec.offer}) == 2


def test_tunnel_ids_exhausted(ready: Scenario) -> None:
    for cloud, peer in ((ready.a, ready.b), (ready.b, ready.a)):
        tunnel = {"port": 14789, "idRange": {"first": 100, "last": 101}}
        cloud.kubectl.apply(cloud.cloud_peer(peer, tunnel=tunnel))
    ready.settle()
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    second = ready.second_network("10.21.0.0/24")
    before = ready.openstack(), ready.kept()
    ready.a.expand(second, "cloud-b", name="db")
    assert ready.outcome("db") == "TunnelIDsExhausted"
    assert (ready.openstack(), ready.kept()) == before


def test_no_common_proposal_names_both(ready: Scenario) -> None:
    policy = {"metadata": {"name": "strong"}, "spec": {"ike": {"proposals": ["aes256gcm16-prfsha512-ecp521"]}}}
    ready.b.kubectl.apply_manifest({"apiVersion": "isthmus.cloud/v1alpha1", "kind": "IPsecPolicy", **policy})
    ready.settle()
    peer = ready.a.peer("cloud-b")
    assert reason(peer) == "NoCommonProposal"
    expected = peer.status.conditions[0].message
    assert "ecp521" in expected
    assert "ecp384" in expected
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "NoCommonProposal"
    assert ready.nothing_made()


def test_differing_tunnel_ports(ready: Scenario) -> None:
    ready.b.kubectl.apply(ready.b.cloud_peer(ready.a, tunnel={"port": 14790}))
    ready.settle()
    assert reason(ready.a.peer("cloud-b")) == "TunnelPortsDiffer"


@pytest.mark.parametrize(
    ("tunnel", "words"),
    [
        ({"encapsulation": "Geneve"}, "VXLAN here and Geneve at the peer"),
        ({"encapsulation": "Geneve", "port": 14789}, "VXLAN here and Geneve at the peer"),
        ({"encapsulation": "GRE"}, "VXLAN here and GRE at the peer"),
    ],
)
def test_differing_encapsulations_are_named_until_both_clouds_have_the_same(
    ready: Scenario, tunnel: dict[str, object], words: str
) -> None:
    ready.b.kubectl.apply(ready.b.cloud_peer(ready.a, tunnel=tunnel))
    ready.settle()
    peers = ready.a.peer("cloud-b"), ready.b.peer("cloud-a")
    assert {reason(peer) for peer in peers} == {"EncapsulationsDiffer"}
    assert words in peers[0].status.conditions[0].message
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "EncapsulationsDiffer"
    assert ready.nothing_made()
    ready.a.kubectl.apply(ready.a.cloud_peer(ready.b, tunnel=tunnel))
    ready.settle()
    assert "EncapsulationsDiffer" not in {reason(ready.a.peer("cloud-b")), reason(ready.b.peer("cloud-a"))}


def _peer(cloud: FakeCloud, name: str, cloud_id: str, *cidrs: str) -> str | None:
    template = cloud.peer("cloud-b")
    spec = template.spec.model_copy(update={"cloud_id": cloud_id, "gateway_cidrs": cidrs})
    cloud.kubectl.apply(CloudPeer(metadata=ObjectMeta(name=name), spec=spec))
    cloud.cycle()
    return reason(cloud.peer(name))


@pytest.mark.parametrize(
    ("cloud_id", "cidr", "expected"),
    [
        ("cloud-a", "203.0.113.0/24", "OwnCloudID"),
        ("cloud-b", "203.0.113.0/24", "DuplicateCloudID"),
        ("cloud-x", "192.0.2.128/25", "GatewayCIDRsOverlap"),
        ("cloud-x", "192.0.3.0/25", "GatewayCIDRsOverlap"),
    ],
)
def test_invalid_cloud_peer(ready: Scenario, cloud_id: str, cidr: str, expected: str) -> None:
    assert _peer(ready.a, "a-new-one", cloud_id, cidr) == expected
    assert names.FINALIZER not in ready.a.peer("a-new-one").metadata.finalizers
    ready.settle()
    assert reason(ready.a.peer("cloud-b")) == "Ready"


def test_policy_not_found(ready: Scenario) -> None:
    spec = {"policyRef": {"name": "missing"}, "authSecretRef": {"name": "peer-cloud-b"}}
    ready.a.kubectl.apply(ready.a.cloud_peer(ready.b, ipsec=spec))
    ready.settle()
    assert reason(ready.a.peer("cloud-b")) == "PolicyNotFound"


def test_foreign_namespace_is_not_adopted() -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    a.namespace("isthmus-peer-cloud-b")
    federation.agree()
    federation.settle()
    assert reason(a.peer("cloud-b")) == "NamespaceNotManaged"
    assert a.kubectl.get_manifest("v1", "ServiceAccount", "peer", "isthmus-peer-cloud-b") is None
    a.kubectl.delete(CloudPeer, "cloud-b")
    federation.settle()
    assert a.kubectl.get_manifest("v1", "Namespace", "isthmus-peer-cloud-b") is not None
    assert b.kubectl.get_manifest("v1", "Namespace", "isthmus-peer-cloud-a") is not None
