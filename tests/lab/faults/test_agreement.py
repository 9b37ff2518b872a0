"""What administrators decide about networks: each decision has its reason at the origin, and is undone without a trace.

Approval and revocation by the receiver's, its limits, and one withdrawn network that the origin's forget.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, objects, patch_spec, wait_ready, wait_reason
from tests.testbed.install.installation import Installation
from tests.testbed.workload.tenant import Stretch, Tenant

pytestmark = pytest.mark.stage("empty")

NAME, CIDR = "agreement", "10.48.0.0/24"
WHY = "not in this quarter"


@pytest.fixture(scope="module")
def tenant(peers: Federation) -> Iterator[Tenant]:
    """A tenant of A for all of them; both clouds are compared with what they were before."""
    with peers.unchanged_inventory():
        tenant = Tenant.create(peers.a.cloud, NAME, CIDR)
        yield tenant
        tenant.delete()


def test_network_waits_for_approval_and_is_revoked(peers: Federation, tenant: Tenant) -> None:
    a, b, network_id = peers.a.cloud, peers.b.cloud, tenant.network_id
    with ExitStack() as undo:
        local = tenant.boot("agreement-a")
        undo.callback(local.delete)
        undo.enter_context(agreed(peers, acceptance="Manual"))
        undo.enter_context(requested(peers, tenant))
        wait_reason(a, "networkexpansion", NAME, "AwaitingApproval", NAME)
        assert peers.replica_of(network_id) is None
        undo.callback(delete_approval, peers, network_id)
        run_plugin(peers.b, "approve", NAME)
        peers.wait_expanded(NAME, NAME, network_id)
        stretch = Stretch.of(peers, tenant, local)
        undo.callback(stretch.remove_remotes)
        stretch.admit()
        remote = stretch.boot_remote("agreement-b")
        stretch.wait_for_ping()

        run_plugin(peers.b, "refuse", NAME, "--disconnect", "--reason", WHY)
        assert WHY in wait_reason(a, "networkexpansion", NAME, "RefusedByAdministrator", NAME)["message"]
        wait_until(lambda: not local.reaches(remote), 30, "the machines to be cut off from each other")
        assert local.ping(str(remote.address), count=3).received == 0
        assert b.openstack().network.get_port(remote.port_id).fixed_ips[0]["ip_address"] == remote.address
        stretch.remove_remotes()
        wait_until(lambda: peers.replica_of(network_id) is None, 120, "the replica to be deleted")


def test_network_above_a_limit_is_refused_until_the_limit_is_raised(peers: Federation, tenant: Tenant) -> None:
    a, b = peers.a.cloud, peers.b.cloud
    (peer,) = objects(b, "cloudpeers")
    ports = peer["spec"]["agreement"]["quotas"]["ports"]  # that one project reserves
    with agreed(peers, limits={"projects": 0, "ports": ports - 1}), requested(peers, tenant):
        assert "number of projects" in wait_reason(a, "networkexpansion", NAME, "LimitReached", NAME)["message"]
        patch_spec(b, "cloudpeer", a.cloud_id, {"agreement": {"limits": {"projects": 1}}})
        wait_until(lambda: "number of ports" in why_not_ready(peers), 60, "the limit of ports to be reported")
        assert peers.replica_of(tenant.network_id) is None
        patch_spec(b, "cloudpeer", a.cloud_id, {"agreement": {"limits": {"ports": ports}}})
        peers.wait_expanded(NAME, NAME, tenant.network_id)


def test_withdrawn_network_is_forgotten_while_the_peer_is_silent(peers: Federation, tenant: Tenant) -> None:
    a, b, network_id = peers.a.cloud, peers.b.cloud, tenant.network_id
    link = peers.link_name(network_id)
    with requested(peers, tenant):
        peers.wait_expanded(NAME, NAME, network_id)
        (offered,) = objects(a, "expansionlinks")
        left = {"name": link, "tunnelID": offered["spec"]["offer"]["tunnelID"]}
        with peers.lab.wan.without_apis():
            a.kubectl("delete", "networkexpansion", "-n", NAME, NAME, "--timeout=60s")
            assert [found["spec"]["state"] for found in objects(a, "expansionlinks")] == ["Withdrawn"]
            run_plugin(peers.a, "forget", b.cloud_id, "--network", link, "--yes")
            wait_until(lambda: not objects(a, "expansionlinks"), 60, "the link to be deleted")
            assert orphans(peers) == [left]
            assert peers.replica_of(network_id) is not None
        wait_until(lambda: peers.replica_of(network_id) is None, 120, "B to release the network")
        wait_until(lambda: not orphans(peers), 120, "A to know that nothing is left")
    peers.wait_for_peers()


@contextmanager
def requested(peers: Federation, tenant: Tenant) -> Iterator[None]:
    """Ask for the network to be stretched; afterwards nothing of it is left, so that the next one counts as new."""
    with peers.requested(NAME, NAME, tenant.project.id, tenant.network_id):
        yield
    peers.settle()


@contextmanager
def agreed(peers: Federation, **changed: Any) -> Iterator[None]:
    """Change B's agreement with A for the duration of the block; its controller knows when the block begins."""
    b, peer = peers.b.cloud, peers.a.cloud.cloud_id
    patch_spec(b, "cloudpeer", peer, {"agreement": changed})
    try:
        wait_ready(b, "cloudpeer", peer)
        yield
    finally:
        patch_spec(b, "cloudpeer", peer, {"agreement": dict.fromkeys(changed)})


def run_plugin(side: Installation, *arguments: str) -> None:
    """Run `kubectl isthmus` as the administrator of one cloud."""
    with tempfile.TemporaryDirectory() as directory:
        side.isthmus(*arguments, directory=directory)


def delete_approval(peers: Federation, network_id: str) -> None:
    """Delete B's decision about a network of A."""
    namespace = f"isthmus-peer-{peers.a.cloud.cloud_id}"
    peers.b.cloud.kubectl(
        *("delete", "expansionapproval", "-n", namespace, peers.link_name(network_id), "--ignore-not-found")
    )


def why_not_ready(peers: Federation) -> str:
    """What the tenant reads."""
    return str(condition(peers.a.cloud, "networkexpansion", NAME, NAME).get("message", ""))


def orphans(peers: Federation) -> Any:
    """What A lists as possibly left at B."""
    (peer,) = objects(peers.a.cloud, "cloudpeers")
    return peer["status"].get("orphans", [])
