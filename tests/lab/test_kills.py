"""A sample of sudden ends on real parts; the fakes' tier goes through all of them (tests/property)."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.lab.federation import Federation, objects
from tests.lab.installation import Installation
from tests.lab.process import wait_until
from tests.lab.tenant import Tenant

# Effects into creating and into deleting after which the process dies: early, in the middle, late.
SAMPLE = [("controller", "a", 5, 3), ("controller", "b", 8, 5), ("agent", "a", 1, 1), ("agent", "b", 2, 2)]


@pytest.fixture
def tenant(peers: Federation) -> Iterator[Tenant]:
    tenant = Tenant.create(peers.a.cloud, "mortal", "10.50.0.0/24")
    peers.bind("mortal", tenant.project.id)
    yield tenant
    peers.a.cloud.kubectl("delete", "namespace", "mortal")
    tenant.delete()


@pytest.mark.parametrize(("role", "side", "creating", "deleting"), SAMPLE)
def test_sudden_end_leaves_no_orphan_and_no_duplicate(
    peers: Federation, tenant: Tenant, role: str, side: str, creating: int, deleting: int
) -> None:
    victim = peers.a if side == "a" else peers.b
    peers.settle()
    with peers.nothing_changes():
        restart_mortal(victim, role, creating)
        peers.expand("mortal", "mortal", tenant.network_id)
        wait_for_end(victim, role)
        revive(victim, role)
        peers.wait_expanded("mortal", "mortal", tenant.network_id)
        link = f"{peers.a.cloud.cloud_id}.{tenant.network_id}"
        for cloud in peers.lab.clouds:
            found = [o["metadata"]["name"] for o in objects(cloud, "attachments,expansionlinks")]
            assert found == [link, link]
        copies = [n for n in peers.b.cloud.openstack().network.networks() if n.description == f"isthmus {link}"]
        assert len(copies) == 1

        restart_mortal(victim, role, deleting)
        peers.a.cloud.kubectl("delete", "networkexpansion", "-n", "mortal", "mortal", "--wait=false")
        wait_for_end(victim, role)
        revive(victim, role)
        peers.a.cloud.kubectl("wait", "--for=delete", "-n", "mortal", "networkexpansion/mortal", "--timeout=60s")
        peers.settle()
        wait_until(lambda: peers.copy_of(tenant.network_id) is None, 60, "the copy to go")
        wait_until(lambda: _no_patch_left(victim), 30, "the patch to go")


def restart_mortal(installation: Installation, role: str, effects: int) -> None:
    """Let the process run for so many effects from now on; what it does at its start is none of them."""
    for _ in range(3):
        installation.stop_process(role)
        installation.start_mortal(role, effects)
        with suppress(TimeoutError):
            installation.wait_reconciled(role, 2, timeout_seconds=30)
            return
    raise AssertionError(f"the {role} does not live to see what is asked of it")


def wait_for_end(installation: Installation, role: str) -> None:
    """Wait for its sudden end; a process with fewer effects to do than that would not be a test."""
    wait_until(lambda: not installation.alive(role), 120, f"the sudden end of the {role}")


def revive(installation: Installation, role: str) -> None:
    """Start it as it is in life."""
    if role == "controller":
        installation.start_controller()
    else:
        installation.start_agent()


def _no_patch_left(installation: Installation) -> bool:
    return "isc" not in installation.cloud.gateway.run(["ovs-vsctl", "list-ports", "br-cloud"]).stdout
