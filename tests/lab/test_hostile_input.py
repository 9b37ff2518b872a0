"""What does not fit together, and what somebody may try, on real parts: refused with a reason, nothing half-made."""

import json
from typing import Any

from tests.lab.federation import Federation, objects, patch_spec, wait_ready, wait_reason
from tests.lab.tenant import Tenant

OWN, PEER = "cloud-a", "cloud-b"


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


def test_kubeconfig_that_runs_a_program_is_refused_by_name(peers: Federation) -> None:
    good = peers.b.kubeconfig_for(OWN)
    document = good.replace("token:", "exec: {apiVersion: client.authentication.k8s.io/v1, command: touch}\n    token:")
    peers.a.set_peer_kubeconfig(PEER, document)
    try:
        assert "exec" in wait_reason(peers.a.cloud, "cloudpeer", PEER, "InvalidKubeconfig")["message"]
    finally:
        peers.a.set_peer_kubeconfig(PEER, good)
    peers.wait_for_peers()


def test_peer_that_is_ourselves(peers: Federation) -> None:
    manifest = json.loads(peers.a.cloud.kubectl("get", "cloudpeer", PEER, "-o", "json"))
    spec = manifest["spec"] | {"cloudID": OWN, "gatewayCIDRs": ["203.0.113.0/24"]}
    mirror = {k: manifest[k] for k in ("apiVersion", "kind")} | {"metadata": {"name": "mirror"}, "spec": spec}
    peers.a.cloud.kubectl("apply", "-f", "-", input=json.dumps(mirror))
    wait_reason(peers.a.cloud, "cloudpeer", "mirror", "PeerIsOurselves")
    assert "isthmus-peer-cloud-a" not in peers.a.cloud.kubectl("get", "namespaces")
    peers.a.cloud.kubectl("delete", "cloudpeer", "mirror", "--timeout=30s")


def test_second_network_of_a_project_with_the_same_range(peers: Federation) -> None:
    tenant = Tenant.create(peers.a.cloud, "twice", "10.90.0.0/24")
    second = peers.a.cloud.create_network(tenant.project, "twice-again", tenant.cidr)
    with peers.stretched("twice", "twice", tenant.project.id, tenant.network_id):
        peers.expand("again", "twice", second.id)
        wait_reason(peers.a.cloud, "networkexpansion", "again", "SubnetOverlap", "twice")
        assert peers.copy_of(second.id) is None
        peers.a.cloud.kubectl("delete", "networkexpansion", "-n", "twice", "again", "--timeout=30s")
    peers.settle()
    tenant.delete()


def test_forged_mark_on_a_tenants_network_is_not_believed(peers: Federation) -> None:
    """Somebody in B marks a network of theirs as the copy would be: it is neither adopted nor deleted."""
    tenant = Tenant.create(peers.a.cloud, "marked", "10.91.0.0/24")
    forger = Tenant.create(peers.b.cloud, "forger", "10.91.0.0/24")
    mark = f"isthmus {OWN}.{tenant.network_id}"
    network: Any = forger.project.connection.network
    network.update_network(forger.network_id, description=mark)
    network.set_tags(network.get_network(forger.network_id), ["isthmus"])
    peers.bind("marked", tenant.project.id)
    peers.expand("marked", "marked", tenant.network_id)
    peers.wait_expanded("marked", "marked", tenant.network_id)
    (attachment,) = objects(peers.b.cloud, "attachments")
    assert attachment["spec"]["record"]["networkID"] != forger.network_id
    peers.a.cloud.kubectl("delete", "networkexpansion", "-n", "marked", "marked", "--timeout=30s")
    peers.settle()
    assert network.get_network(forger.network_id).description == mark
    peers.a.cloud.kubectl("delete", "namespace", "marked")
    forger.delete()
    tenant.delete()


def test_tunnel_ids_run_out(peers: Federation) -> None:
    """With a range of two, each cloud has one: the second network must wait, and says so."""

    def set_range(first: int, last: int) -> None:
        for cloud, peer in ((peers.a.cloud, PEER), (peers.b.cloud, OWN)):
            patch_spec(cloud, "cloudpeer", peer, {"tunnel": {"idRange": {"first": first, "last": last}}})

    tenant = Tenant.create(peers.a.cloud, "many", "10.92.0.0/24")
    second = peers.a.cloud.create_network(tenant.project, "many-more", "10.93.0.0/24")
    set_range(7000, 7001)
    try:
        peers.wait_for_peers()
        with peers.stretched("many", "many", tenant.project.id, tenant.network_id):
            peers.expand("more", "many", second.id)
            wait_reason(peers.a.cloud, "networkexpansion", "more", "TunnelIDsExhausted", "many")
            peers.a.cloud.kubectl("delete", "networkexpansion", "-n", "many", "more", "--timeout=30s")
    finally:
        set_range(0x100000, 0x10FFFF)
    peers.settle()
    wait_ready(peers.a.cloud, "cloudpeer", PEER)
    tenant.delete()
