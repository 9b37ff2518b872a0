"""Bad input on real parts: a clear condition, nothing half-made. The whole table runs on the fakes (tests/unit)."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab.federation import Federation, condition, objects, wait_reason
from tests.lab.kube import KubectlError
from tests.lab.process import wait_until
from tests.lab.tenant import Tenant

NAMESPACE = "clumsy"
TENANT_MTU = 1442  # ML2/OVN: Geneve over 1500


@pytest.fixture(scope="module")
def tenant(peers: Federation) -> Iterator[Tenant]:
    tenant = Tenant.create(peers.a.cloud, NAMESPACE, "10.70.0.0/28")
    peers.bind(NAMESPACE, tenant.project.id)
    yield tenant
    peers.a.cloud.kubectl("delete", "namespace", NAMESPACE)
    tenant.delete()


@pytest.fixture
def expansion(peers: Federation) -> Iterator[Callable[..., None]]:
    """Apply a NetworkExpansion `wrong`; it is deleted after the test, and nothing may be left of it."""

    def apply(network_id: str, peer: str = "cloud-b", namespace: str = NAMESPACE, **spec: Any) -> None:
        manifest = {
            "apiVersion": "isthmus.cloud/v1alpha1",
            "kind": "NetworkExpansion",
            "metadata": {"name": "wrong", "namespace": namespace},
            "spec": {"networkID": network_id, "peers": [{"name": peer}], **spec},
        }
        peers.a.cloud.kubectl("apply", "-f", "-", input=json.dumps(manifest))

    yield apply
    for found in objects(peers.a.cloud, "networkexpansions"):
        where = found["metadata"]["namespace"]
        peers.a.cloud.kubectl("delete", "networkexpansion", "-n", where, "wrong", "--timeout=30s", "--ignore-not-found")
    peers.settle()


def says(peers: Federation, reason: str, namespace: str = NAMESPACE) -> str:
    """Wait for the reason, see that neither cloud has anything for it, and return the message."""
    message = wait_reason(peers.a.cloud, "networkexpansion", "wrong", reason, namespace)["message"]
    half_made(peers)
    return str(message)


def half_made(peers: Federation) -> None:
    """Nothing of ours is in either cloud, and no pool or MTU of the tenant's was touched."""
    for cloud in peers.lab.clouds:
        assert not objects(cloud, "attachments,expansionlinks")
        assert not [p for p in cloud.openstack().network.ports() if p.device_owner.startswith("isthmus:")]
    identity: Any = peers.b.cloud.openstack().identity
    assert not [domain.name for domain in identity.domains() if domain.name.startswith("isthmus-")]
    network = peers.a.cloud.openstack().network
    for found in network.networks(name=NAMESPACE):
        assert found.mtu == TENANT_MTU
        (subnet,) = network.subnets(network_id=found.id)
        assert subnet.allocation_pools == [{"start": "10.70.0.2", "end": "10.70.0.14"}]


def test_unknown_peer(peers: Federation, tenant: Tenant, expansion: Callable[..., None]) -> None:
    expansion(tenant.network_id, peer="cloud-nowhere")
    assert "cloud-nowhere" in says(peers, "PeerNotFound")


@pytest.mark.usefixtures("tenant")
def test_unknown_network(peers: Federation, expansion: Callable[..., None]) -> None:
    expansion(str(uuid.uuid4()))
    says(peers, "NetworkNotFound")


@pytest.mark.usefixtures("tenant")
def test_network_of_another_project(peers: Federation, expansion: Callable[..., None]) -> None:
    """It is not told apart from one that is not there: a tenant learns nothing about others."""
    other = Tenant.create(peers.a.cloud, "somebody-else", "10.71.0.0/24")
    expansion(other.network_id)
    says(peers, "NetworkNotFound")
    other.delete()


def test_namespace_that_is_not_bound(peers: Federation, tenant: Tenant, expansion: Callable[..., None]) -> None:
    peers.a.cloud.kubectl("create", "namespace", "unbound")
    expansion(tenant.network_id, namespace="unbound")
    assert "isthmus.cloud/project-id" in says(peers, "NamespaceNotBound", "unbound")
    peers.a.cloud.kubectl("delete", "networkexpansion", "-n", "unbound", "wrong")
    peers.a.cloud.kubectl("delete", "namespace", "unbound")


@pytest.mark.parametrize("kind", ["is_shared", "is_router_external"])
def test_shared_or_external_network(
    peers: Federation, tenant: Tenant, expansion: Callable[..., None], kind: str
) -> None:
    network: Any = peers.a.cloud.openstack().network
    network.update_network(tenant.network_id, **{kind: True})
    try:
        expansion(tenant.network_id)
        says(peers, "NetworkNotStretchable")
    finally:
        peers.a.cloud.kubectl("delete", "networkexpansion", "-n", NAMESPACE, "wrong", "--timeout=30s")
        network.update_network(tenant.network_id, **{kind: False})
        for policy in [p for p in network.rbac_policies() if p.object_id == tenant.network_id]:
            network.delete_rbac_policy(policy)


def test_slice_larger_than_any_free_run(peers: Federation, tenant: Tenant, expansion: Callable[..., None]) -> None:
    expansion(tenant.network_id, addressing={"sliceSize": 200})
    assert "the largest is" in says(peers, "NoFreeSlice")


def test_peer_that_cordoned(peers: Federation, tenant: Tenant, expansion: Callable[..., None]) -> None:
    def set_state(state: str) -> None:
        patch = json.dumps({"spec": {"agreement": {"state": state}}})
        peers.b.cloud.kubectl("patch", "cloudpeer", "cloud-a", "--type=merge", "-p", patch)

    set_state("Cordoned")
    try:
        wait_until(lambda: _peer_state(peers) == "Cordoned", 30, "A to see that B cordoned")
        expansion(tenant.network_id)
        says(peers, "PeerCordoned")
    finally:
        set_state("Active")
        wait_until(lambda: _peer_state(peers) == "Active", 30, "A to see that B is active again")


def test_quota_of_the_peer_is_used_up(peers: Federation, tenant: Tenant, expansion: Callable[..., None]) -> None:
    def set_quota(networks: int) -> None:
        patch = json.dumps({"spec": {"agreement": {"quotas": {"networks": networks}}}})
        peers.b.cloud.kubectl("patch", "cloudpeer", "cloud-a", "--type=merge", "-p", patch)

    set_quota(0)
    try:
        expansion(tenant.network_id)
        wait_reason(peers.a.cloud, "networkexpansion", "wrong", "QuotaExceeded", NAMESPACE)
        assert peers.copy_of(tenant.network_id) is None
    finally:
        set_quota(5)
    # The cause is gone: it heals without anybody touching the expansion.
    peers.wait_expanded("wrong", NAMESPACE, tenant.network_id)


def test_immutable_field(tenant: Tenant, expansion: Callable[..., None]) -> None:
    expansion(str(uuid.uuid4()))
    with pytest.raises(KubectlError, match="networkID is immutable"):
        expansion(tenant.network_id)


def test_wrong_key(peers: Federation) -> None:
    """Where it was changed, the tunnel is said to be down; nothing passes in clear; with the right key it heals.

    The other side keeps what was negotiated under the old key, and has nothing to complain about.
    """
    with peers.lab.wan.capture() as capture:
        peers.a.set_psk("cloud-b", "0" * 64)
        try:
            said = wait_reason(peers.a.cloud, "cloudpeer", "cloud-b", "TunnelDown")
            assert "0" * 64 not in json.dumps(said)
            assert condition(peers.b.cloud, "cloudpeer", "cloud-a")["status"] == "True"
        finally:
            peers.agree_on_key()
        peers.wait_for_peers()
    capture.summary().require_protected()


def test_missing_key(peers: Federation) -> None:
    peers.a.cloud.kubectl("delete", "secret", "-n", "isthmus-ipsec", "peer-cloud-b")
    try:
        wait_until(
            lambda: "MissingKey" in json.dumps(objects(peers.a.cloud, "gatewaynodes")),
            60,
            "the gateway node to say that its key is missing",
        )
    finally:
        peers.agree_on_key()
    peers.wait_for_peers()


def test_missing_kubeconfig(peers: Federation) -> None:
    good = peers.b.kubeconfig_for("cloud-a")
    peers.a.cloud.kubectl("delete", "secret", "-n", "isthmus-system", "peer-cloud-b")
    try:
        said = wait_reason(peers.a.cloud, "cloudpeer", "cloud-b", "WaitingForCredentials")
        assert "isthmus-system/peer-cloud-b" in said["message"]
    finally:
        peers.a.set_peer_kubeconfig("cloud-b", good)
    peers.wait_for_peers()


def _peer_state(peers: Federation) -> str:
    (link,) = objects(peers.a.cloud, "peerlinks")
    return str(link.get("status", {}).get("peer", {}).get("spec", {}).get("state"))
