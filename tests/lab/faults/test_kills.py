"""Kills after selected effects in real clouds; tests/unit and tests/property cover all effects on fakes."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, objects
from tests.testbed.install.installation import Installation
from tests.testbed.install.killed import LAST_WORDS
from tests.testbed.workload.tenant import Tenant

pytestmark = [pytest.mark.stage("empty"), pytest.mark.long]

# The effects of creation and of deletion after which the process is killed; each occurs only there.
SAMPLE = [
    ("controller", "a", "cloud.update_subnet", "cloud.delete_port"),
    ("controller", "b", "cloud.create_network", "cloud.delete_project"),
    ("agent", "a", "ovsdb.apply", "openflow.replace"),
    ("agent", "b", "openflow.replace", "ovsdb.apply"),
]
OURS_AT_A, OURS_AT_B = ["isthmus:attachment"], ["isthmus:attachment", "isthmus:gateway"]


@pytest.fixture
def tenant(peers: Federation) -> Iterator[Tenant]:
    tenant = Tenant.create(peers.a.cloud, "killed", "10.50.0.0/24")
    peers.bind("killed", tenant.project.id)
    yield tenant
    peers.a.cloud.kubectl("delete", "namespace", "killed")
    tenant.delete()


@pytest.mark.parametrize(("role", "side", "creating", "deleting"), SAMPLE)
def test_kill_leaves_no_orphan_and_no_duplicate(
    peers: Federation, tenant: Tenant, role: str, side: str, creating: str, deleting: str
) -> None:
    victim = peers.a if side == "a" else peers.b
    peers.settle()
    with peers.unchanged_inventory():
        start_until_killed(victim, role, creating)
        peers.expand("killed", "killed", tenant.network_id)
        restart(victim, role, creating)
        peers.wait_expanded("killed", "killed", tenant.network_id)
        require_one_of_each(peers, tenant)

        start_until_killed(victim, role, deleting)
        peers.a.cloud.kubectl("delete", "networkexpansion", "-n", "killed", "killed", "--wait=false")
        restart(victim, role, deleting)
        peers.a.cloud.kubectl("wait", "--for=delete", "-n", "killed", "networkexpansion/killed", "--timeout=60s")
        peers.settle()
        wait_until(lambda: peers.replica_of(tenant.network_id) is None, 60, "the replica to be deleted")
        wait_until(lambda: _no_patch_left(victim), 30, "the patch to be removed")


def start_until_killed(installation: Installation, role: str, effect: str) -> None:
    """Start a process that will be killed after that effect, and wait until it is idle."""
    installation.stop_process(role)
    installation.start_killed_after(role, effect)
    installation.wait_reconciled(role, 2)
    assert installation.alive(role)


def restart(installation: Installation, role: str, effect: str) -> None:
    """Wait until the process is killed, check after which effect, and restart it."""
    wait_until(lambda: not installation.alive(role), 120, f"the kill of the {role}")
    logged = [line for line in installation.log(role).read_text().splitlines() if line.startswith(LAST_WORDS)]
    assert logged[-1:] == [f"{LAST_WORDS}{effect}"]
    if role == "controller":
        installation.start_controller()
    else:
        installation.start_agent()


def require_one_of_each(peers: Federation, tenant: Tenant) -> None:
    """One Attachment and one ExpansionLink on each side, one replica, and one port of ours for each purpose."""
    link = peers.link_name(tenant.network_id)
    for cloud in peers.lab.clouds:
        assert [o["metadata"]["name"] for o in objects(cloud, "attachments,expansionlinks")] == [link, link]
    (replica,) = peers.replicas_of(tenant.network_id)
    assert _ports_of_ours(peers.a.cloud) == [(owner, tenant.network_id) for owner in OURS_AT_A]
    assert _ports_of_ours(peers.b.cloud) == [(owner, replica.id) for owner in OURS_AT_B]


def _ports_of_ours(cloud: Cloud) -> list[tuple[str, Any]]:
    ports = cloud.openstack().network.ports()
    return sorted((p.device_owner, p.network_id) for p in ports if p.device_owner.startswith("isthmus:"))


def _no_patch_left(installation: Installation) -> bool:
    return "isc" not in installation.cloud.gateway.run(["ovs-vsctl", "list-ports", "br-cloud"]).stdout
