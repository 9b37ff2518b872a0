"""Conflicting settings and forgeries in real clouds: rejected with a reason, nothing created partially."""

from typing import Any

from tests.testbed.install.federation import Federation, objects, patch_spec, wait_ready, wait_reason
from tests.testbed.workload.tenant import Tenant, mtu_and_pools

OWN, PEER = "cloud-a", "cloud-b"


def require_nothing_of(peers: Federation, network_id: str) -> None:
    """B has created nothing for this network: no Attachment, no replica, and only the ports of the other network."""
    cloud = peers.b.cloud
    assert peers.link_name(network_id) not in [a["metadata"]["name"] for a in objects(cloud, "attachments")]
    assert not peers.replicas_of(network_id)
    owners = [p.device_owner for p in cloud.openstack().network.ports() if p.device_owner.startswith("isthmus:")]
    assert sorted(owners) == ["isthmus:attachment", "isthmus:gateway"]


def test_no_common_proposal_names_both_offers(peers: Federation) -> None:
    patch_spec(peers.a.cloud, "ipsecpolicy", "strong", {"esp": {"proposals": ["aes256gcm16-x25519"]}})
    try:
        for cloud, peer in ((peers.a.cloud, PEER), (peers.b.cloud, OWN)):
            message = wait_reason(cloud, "cloudpeer", peer, "NoCommonProposal")["message"]
            assert "aes256gcm16-x25519" in message
            assert "aes256gcm16-ecp384" in message
    finally:
        patch_spec(peers.a.cloud, "ipsecpolicy", "strong", {"esp": {"proposals": ["aes256gcm16-ecp384"]}})
    peers.wait_for_peers()


def test_second_network_with_an_overlapping_subnet(peers: Federation) -> None:
    tenant = Tenant.create(peers.a.cloud, "twice", "10.90.0.0/24")
    second = peers.a.cloud.create_network(tenant.project, "twice-again", "10.90.0.128/25")
    before = mtu_and_pools(peers.a.cloud, second.id)
    with peers.stretched("twice", "twice", tenant.project.id, tenant.network_id):
        peers.expand("again", "twice", second.id)
        wait_reason(peers.a.cloud, "networkexpansion", "again", "SubnetOverlap", "twice")
        require_nothing_of(peers, second.id)
        peers.a.cloud.kubectl("delete", "networkexpansion", "-n", "twice", "again", "--timeout=60s")
        assert mtu_and_pools(peers.a.cloud, second.id) == before
    peers.settle()
    tenant.delete()


def test_forged_ownership_marker_on_a_tenants_network_is_ignored(peers: Federation) -> None:
    """A user in B gives a network the ownership marker of a replica: it is neither adopted nor deleted."""
    tenant = Tenant.create(peers.a.cloud, "marked", "10.91.0.0/24")
    forger = Tenant.create(peers.b.cloud, "forger", "10.91.0.0/24")
    marker = f"isthmus {OWN}.{tenant.network_id}"
    network: Any = forger.project.connection.network
    network.update_network(forger.network_id, description=marker)
    network.set_tags(network.get_network(forger.network_id), ["isthmus"])
    peers.bind("marked", tenant.project.id)
    peers.expand("marked", "marked", tenant.network_id)
    peers.wait_expanded("marked", "marked", tenant.network_id)
    (attachment,) = objects(peers.b.cloud, "attachments")
    assert attachment["spec"]["record"]["networkID"] != forger.network_id
    peers.a.cloud.kubectl("delete", "networkexpansion", "-n", "marked", "marked", "--timeout=60s")
    peers.settle()
    assert network.get_network(forger.network_id).description == marker
    peers.a.cloud.delete_namespace("marked")
    forger.delete()
    tenant.delete()


def test_tunnel_ids_are_exhausted(peers: Federation) -> None:
    """With a range of two, each cloud has one ID: the second network has to wait and reports it."""

    def set_range(first: int, last: int) -> None:
        for cloud, peer in ((peers.a.cloud, PEER), (peers.b.cloud, OWN)):
            patch_spec(cloud, "cloudpeer", peer, {"tunnel": {"idRange": {"first": first, "last": last}}})

    tenant = Tenant.create(peers.a.cloud, "many", "10.92.0.0/24")
    second = peers.a.cloud.create_network(tenant.project, "many-more", "10.93.0.0/24")
    before = mtu_and_pools(peers.a.cloud, second.id)
    set_range(7000, 7001)
    try:
        peers.wait_for_peers()
        with peers.stretched("many", "many", tenant.project.id, tenant.network_id):
            peers.expand("more", "many", second.id)
            wait_reason(peers.a.cloud, "networkexpansion", "more", "TunnelIDsExhausted", "many")
            require_nothing_of(peers, second.id)
            assert mtu_and_pools(peers.a.cloud, second.id) == before
            assert not [k for k in objects(peers.a.cloud, "expansionlinks,attachments") if second.id in str(k)]
            peers.a.cloud.kubectl("delete", "networkexpansion", "-n", "many", "more", "--timeout=60s")
    finally:
        set_range(0x100000, 0x10FFFF)
    peers.settle()
    wait_ready(peers.a.cloud, "cloudpeer", PEER)
    tenant.delete()
