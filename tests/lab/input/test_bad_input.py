"""Invalid input in real clouds: a clear condition, nothing created partially. tests/unit has more cases on fakes."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, objects, patch_spec, wait_reason
from tests.testbed.kubernetes.cluster import KubectlError
from tests.testbed.workload.tenant import Tenant

NAMESPACE = "mistaken"
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
    """Apply a NetworkExpansion `wrong`; it is deleted after the test and must leave nothing behind."""

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
        peers.a.cloud.kubectl("delete", "networkexpansion", "-n", where, "wrong", "--timeout=60s", "--ignore-not-found")
    peers.settle()


def wait_for_rejection(peers: Federation, reason: str, namespace: str = NAMESPACE) -> str:
    """Wait for the reason, check that nothing was created in either cloud, and return the message."""
    message = wait_reason(peers.a.cloud, "networkexpansion", "wrong", reason, namespace)["message"]
    require_nothing_created(peers)
    return str(message)


def require_nothing_created(peers: Federation) -> None:
    """Nothing of ours is in either cloud, and the tenant's pools and MTU are unchanged."""
    require_nothing_received(peers)
    assert not objects(peers.a.cloud, "attachments,expansionlinks") + objects(peers.b.cloud, "expansionlinks")
    network = peers.a.cloud.openstack().network
    assert not [p for p in network.ports() if p.device_owner.startswith("isthmus:")]
    for found in network.networks(name=NAMESPACE):
        assert found.mtu == TENANT_MTU
        (subnet,) = network.subnets(network_id=found.id)
        assert subnet.allocation_pools == [{"start": "10.70.0.2", "end": "10.70.0.14"}]


def require_nothing_received(peers: Federation) -> None:
    """B has nothing for a network of A: no Attachment, port, replica, project or domain."""
    cloud = peers.b.cloud
    assert not objects(cloud, "attachments")
    assert not [p for p in cloud.openstack().network.ports() if p.device_owner.startswith("isthmus:")]
    assert not [n for n in cloud.openstack().network.networks() if n.description.startswith("isthmus")]
    identity: Any = cloud.openstack().identity
    assert not [domain.name for domain in identity.domains() if domain.name.startswith("isthmus-")]
    assert not [p.name for p in identity.projects() if (p.description or "").startswith("isthmus")]


def test_unknown_peer(peers: Federation, tenant: Tenant, expansion: Callable[..., None]) -> None:
    expansion(tenant.network_id, peer="cloud-nowhere")
    assert "cloud-nowhere" in wait_for_rejection(peers, "PeerNotFound")


@pytest.mark.usefixtures("tenant")
def test_unknown_network(peers: Federation, expansion: Callable[..., None]) -> None:
    expansion(str(uuid.uuid4()))
    wait_for_rejection(peers, "NetworkNotFound")


@pytest.mark.usefixtures("tenant")
def test_network_of_another_project(peers: Federation, expansion: Callable[..., None]) -> None:
    """Not distinguished from an absent network: a tenant learns nothing about other tenants."""
    other = Tenant.create(peers.a.cloud, "somebody-else", "10.71.0.0/24")
    expansion(other.network_id)
    wait_for_rejection(peers, "NetworkNotFound")
    other.delete()


def test_namespace_not_bound(peers: Federation, tenant: Tenant, expansion: Callable[..., None]) -> None:
    peers.a.cloud.kubectl("create", "namespace", "unbound")
    expansion(tenant.network_id, namespace="unbound")
    assert "isthmus.cloud/project-id" in wait_for_rejection(peers, "NamespaceNotBound", "unbound")
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
        wait_for_rejection(peers, "NetworkNotStretchable")
    finally:
        peers.a.cloud.kubectl("delete", "networkexpansion", "-n", NAMESPACE, "wrong", "--timeout=60s")
        network.update_network(tenant.network_id, **{kind: False})
        for policy in [p for p in network.rbac_policies() if p.object_id == tenant.network_id]:
            network.delete_rbac_policy(policy)


def test_slice_larger_than_any_free_run(peers: Federation, tenant: Tenant, expansion: Callable[..., None]) -> None:
    expansion(tenant.network_id, addressing={"sliceSize": 200})
    message = wait_for_rejection(peers, "NoFreeSlice")
    assert "pools of 10.70.0.0/28 have 13 addresses; the peer needs 200 and this cloud 3 of them" in message


def test_peer_cordoned_by_us(peers: Federation, tenant: Tenant, expansion: Callable[..., None]) -> None:
    patch_spec(peers.a.cloud, "cloudpeer", "cloud-b", {"agreement": {"state": "Cordoned"}})
    try:
        expansion(tenant.network_id)
        wait_for_rejection(peers, "Cordoned")
    finally:
        patch_spec(peers.a.cloud, "cloudpeer", "cloud-b", {"agreement": {"state": "Active"}})
    peers.wait_for_peers()


def test_cordoned_by_the_peer(peers: Federation, tenant: Tenant, expansion: Callable[..., None]) -> None:
    def set_state(state: str) -> None:
        patch_spec(peers.b.cloud, "cloudpeer", "cloud-a", {"agreement": {"state": state}})
        wait_until(lambda: _peer_state(peers) == state, 30, f"A to read that B is {state}")

    set_state("Cordoned")
    try:
        expansion(tenant.network_id)
        wait_for_rejection(peers, "PeerCordoned")
    finally:
        set_state("Active")


def test_peers_quota_is_exhausted(peers: Federation, tenant: Tenant, expansion: Callable[..., None]) -> None:
    def set_quota(networks: int) -> None:
        patch_spec(peers.b.cloud, "cloudpeer", "cloud-a", {"agreement": {"quotas": {"networks": networks}}})

    set_quota(0)
    try:
        expansion(tenant.network_id)
        wait_reason(peers.a.cloud, "networkexpansion", "wrong", "QuotaExceeded", NAMESPACE)
        require_nothing_received(peers)
    finally:
        set_quota(5)
    # Once the cause is removed, it recovers without a change to the expansion.
    peers.wait_expanded("wrong", NAMESPACE, tenant.network_id)


def test_immutable_field(peers: Federation, tenant: Tenant, expansion: Callable[..., None]) -> None:
    expansion(str(uuid.uuid4()))
    with pytest.raises(KubectlError, match="networkID is immutable"):
        expansion(tenant.network_id)
    wait_for_rejection(peers, "NetworkNotFound")


def test_peer_with_our_own_cloud_id(peers: Federation) -> None:
    manifest = json.loads(peers.a.cloud.kubectl("get", "cloudpeer", "cloud-b", "-o", "json"))
    spec = manifest["spec"] | {"cloudID": "cloud-a", "gatewayCIDRs": ["203.0.113.0/24"]}
    mirror = {k: manifest[k] for k in ("apiVersion", "kind")} | {"metadata": {"name": "mirror"}, "spec": spec}
    peers.a.cloud.kubectl("apply", "-f", "-", input=json.dumps(mirror))
    wait_reason(peers.a.cloud, "cloudpeer", "mirror", "OwnCloudID")
    require_nothing_created(peers)
    assert "isthmus-peer-cloud-a" not in peers.a.cloud.kubectl("get", "namespaces")
    peers.a.cloud.kubectl("delete", "cloudpeer", "mirror", "--timeout=60s")


def test_weak_proposal(peers: Federation) -> None:
    with pytest.raises(KubectlError, match=r"spec\.ike\.proposals.*this cipher has blocks of 64 bits"):
        patch_spec(peers.a.cloud, "ipsecpolicy", "strong", {"ike": {"proposals": ["3des-sha1-modp1024"]}})


@pytest.mark.usefixtures("tenant")
def test_tenant_binds_its_own_namespace(peers: Federation) -> None:
    """The right to change a namespace does not include the right to bind it."""
    kubectl = peers.a.cloud.kubectl
    with ExitStack() as undo:
        kubectl("create", "clusterrole", "mistaken", "--verb=get,patch", "--resource=namespaces")
        undo.callback(kubectl, "delete", "clusterrole", "mistaken")
        kubectl("create", "clusterrolebinding", "mistaken", "--clusterrole=mistaken", "--user=mistaken")
        undo.callback(kubectl, "delete", "clusterrolebinding", "mistaken")
        annotate = ("annotate", "--overwrite", "namespace", NAMESPACE, "--as=mistaken")
        # A new right takes a moment to reach the authoriser.
        wait_until(lambda: is_permitted(peers, *annotate, "harmless=yes"), 60, "the right to annotate")
        with pytest.raises(KubectlError, match="projectbindings"):
            kubectl(*annotate, f"isthmus.cloud/project-id={uuid.uuid4().hex}")


def is_permitted(peers: Federation, *arguments: str) -> bool:
    try:
        peers.a.cloud.kubectl(*arguments)
    except KubectlError:
        return False
    return True


def _peer_state(peers: Federation) -> str:
    (link,) = objects(peers.a.cloud, "peerlinks")
    return str(link.get("status", {}).get("peer", {}).get("spec", {}).get("state"))
