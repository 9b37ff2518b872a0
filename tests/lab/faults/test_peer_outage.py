"""A peer API outage of half a minute does not affect the data plane, is reported in the status, and ends by itself."""

import time
from typing import Any

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, objects, wait_ready
from tests.testbed.workload.loss import ping_losing_nothing
from tests.testbed.workload.tenant import Stretch, Tenant, mtu_and_pools

OUTAGE_SECONDS = 30.0


def test_peer_api_outage_does_not_affect_the_data_plane(peers: Federation, stretched: Stretch) -> None:
    ping_losing_nothing(stretched, lambda: cut_api_of_b(peers, stretched.tenant.name))


def cut_api_of_b(peers: Federation, network: str) -> None:
    """Cut A's access to B's API for half a minute and check what A reports of the peer and the network."""
    a, b, began = peers.a.cloud, peers.b.cloud, time.monotonic()
    peers.lab.wan.cut_api("b")
    try:
        wait_until(lambda: reachable(peers) == "False", OUTAGE_SECONDS, "A to report the outage", poll_seconds=1)
        assert condition(a, "networkexpansion", network, network)["status"] == "True"
        time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - began)))
        assert reachable(peers) == "False"
        assert condition(a, "cloudpeer", b.cloud_id)["status"] == "False"
        assert condition(a, "networkexpansion", network, network)["status"] == "True"
    finally:
        peers.lab.wan.restore_api("b")
    wait_ready(a, "cloudpeer", b.cloud_id, timeout_seconds=60)
    assert reachable(peers) == "True"


def test_network_is_withdrawn_during_a_peer_api_outage(peers: Federation) -> None:
    """Immediately on our side; the peer releases the network once it can read our link."""
    a, tenant = peers.a.cloud, Tenant.create(peers.a.cloud, "outage", "10.45.0.0/24")
    name, network_id = tenant.name, tenant.network_id
    before = mtu_and_pools(a, network_id)
    with peers.stretched(name, name, tenant.project.id, network_id):
        assert mtu_and_pools(a, network_id) != before
        with peers.lab.wan.without_apis():
            a.kubectl("delete", "networkexpansion", "-n", name, name, "--timeout=60s")
            assert mtu_and_pools(a, network_id) == before
            assert not [p for p in a.openstack().network.ports(network_id=network_id) if is_ours(p)]
            # The withdrawn link, which reserves the tunnel ID; and everything at B, which could not read it.
            assert kinds_of(peers, a, network_id) == ["ExpansionLink"]
            assert kinds_of(peers, peers.b.cloud, network_id) == ["Attachment", "ExpansionLink"]
            assert peers.replica_of(network_id) is not None
        wait_until(lambda: peers.replica_of(network_id) is None, 60, "B to release the network")
        for cloud in peers.lab.clouds:
            wait_until(lambda: kinds_of(peers, cloud, network_id) == [], 60, "the last links to be deleted")  # noqa: B023
    peers.wait_for_peers()
    tenant.delete()


def is_ours(port: Any) -> bool:
    """Whether the port is ours."""
    return bool(port.device_owner.startswith("isthmus:"))


def kinds_of(peers: Federation, cloud: Cloud, network_id: str) -> list[str]:
    """Kinds of our objects for the network in a cloud's Kubernetes API."""
    name = peers.link_name(network_id)
    return [o["kind"] for o in objects(cloud, "attachments,expansionlinks") if o["metadata"]["name"] == name]


def reachable(peers: Federation) -> Any:
    """Condition Reachable of B in cloud A."""
    return condition(peers.a.cloud, "cloudpeer", peers.b.cloud.cloud_id, type_="Reachable").get("status")
