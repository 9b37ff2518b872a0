"""Clouds are upgraded one at a time, from a release that knows version 1 of the protocol only, and lose nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.release import OLD, unpack
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, objects
from tests.testbed.install.installation import REPOSITORY, SYSTEM, Installation
from tests.testbed.workload.tenant import Stretch, reachable_stretch

pytestmark = [pytest.mark.long, pytest.mark.stage("alone")]


@pytest.fixture(scope="module")
def old(peers: Federation) -> Iterator[Path]:
    """The old release, where the gateway nodes see it."""
    directory = peers.lab.directory / "old-release"
    directory.mkdir()
    yield unpack(OLD, directory, "operator", "deploy", "crds")
    shutil.rmtree(directory)


def run_release(installation: Installation, tree: Path) -> None:
    """Install a release over the one that runs, with the documented steps: manifests first, then both processes.

    The old release has the account of agents in isthmus-system, this one elsewhere.
    """
    installation.cloud.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(tree / "deploy"))
    if tree == REPOSITORY:
        installation.agent.renew_credential()
        installation.cloud.kubectl("delete", "serviceaccount", "-n", SYSTEM, "isthmus-agent", "--ignore-not-found")
    else:
        installation.agent.renew_credential(SYSTEM)
    for role, start in (("controller", installation.start_controller), ("agent", installation.start_agent)):
        installation.stop_process(role)
        start() if tree == REPOSITORY else start(PYTHONPATH=str(tree / "operator"))
    for role in ("controller", "agent"):
        installation.wait_reconciled(role, 3)


@pytest.fixture
def both_old(peers: Federation, old: Path) -> Iterator[Federation]:
    """The old release in both clouds, with nothing stretched; afterwards this one again."""
    peers.settle()
    for side in peers.both:
        run_release(side, old)
        side.cloud.kubectl("delete", "lease", "-n", SYSTEM, *leases(side), "--ignore-not-found")
    peers.wait_for_peers()
    yield peers
    for side in peers.both:
        run_release(side, REPOSITORY)
    peers.wait_for_peers()


@pytest.mark.parametrize("first", ["origin", "receiver"])
def test_upgrade_in_place_loses_no_traffic(both_old: Federation, first: str) -> None:
    peers = both_old
    with reachable_stretch(peers, f"upgrade-{first}", "10.84.0.0/24") as stretch:
        assert [of_this_release(side) for side in peers.both] == [set(), set()], "both are old"
        before = identities(peers)
        slice_name = f"{peers.link_name(stretch.tenant.network_id)}.0"
        one, other = (peers.a, peers.b) if first == "origin" else (peers.b, peers.a)
        upgrade(peers, stretch, one)
        assert of_this_release(other) == set(), "the other one is old"
        with reachable_stretch(peers, "between", "10.85.0.0/24") as between:
            assert between.wait_for_ping().all_answered
        upgrade(peers, stretch, other)
        assert identities(peers) == before
        for side in peers.both:
            wait_until(lambda: of_this_release(side) >= {*leases(side), slice_name}, 30, "Leases and a PortSlice")  # noqa: B023
    peers.settle()
    assert objects(peers.a.cloud, "portslices") == []


def upgrade(peers: Federation, stretch: Stretch, side: Installation) -> None:
    """Run this release in one cloud: no ping of the stretched network is lost, and both clouds report it as Ready."""
    result = stretch.ping_during(lambda: run_release(side, REPOSITORY))
    assert result.all_answered, result
    peers.wait_for_peers()
    name = stretch.tenant.name
    peers.wait_expanded(name, name, stretch.tenant.network_id)


def identities(peers: Federation) -> list[object]:
    """What is recreated if a network is withdrawn or moves: objects, and ports and networks of ours in Neutron."""
    found: list[object] = []
    for cloud in (side.cloud for side in peers.both):
        found += sorted(o["metadata"]["uid"] for o in objects(cloud, "attachments,expansionlinks"))
        network = cloud.openstack().network
        found += sorted(str(n.id) for n in network.networks())
        found += sorted((p.id, p.binding_host_id) for p in network.ports() if p.device_owner.startswith("isthmus:"))
    return found


def of_this_release(side: Installation) -> set[str]:
    """Names of the Leases and PortSlices in this cloud, which the old release does not know of."""
    found = [*objects(side.cloud, "portslices"), *objects(side.cloud, "leases")]
    return {each["metadata"]["name"] for each in found if each["metadata"]["namespace"].startswith("isthmus-")}


def leases(side: Installation) -> tuple[str, str]:
    """Names of the Leases of the controller and of the agent."""
    return "isthmus-controller", f"isthmus-agent-{side.cloud.gateway.name}"
