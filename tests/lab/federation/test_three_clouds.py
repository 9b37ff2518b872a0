"""Three clouds in one network: all machines reach each other, everything arrives once, and one of them may leave."""

from itertools import permutations

import pytest

from tests.lab.federation.hub import Everywhere, Hub, require_complete
from tests.testbed.install.federation import objects, wait_ready
from tests.testbed.workload.broadcast import BroadcastRun

pytestmark = pytest.mark.stage("third")


def test_all_clouds_agree_on_one_mtu(hub: Hub, network: Everywhere) -> None:
    found = [network.tenant, *(stretch.remote for stretch in network.stretches.values())]
    mtus = {each.project.connection.network.get_network(each.network_id).mtu for each in found}
    (expansion,) = objects(hub.origin.cloud, "networkexpansions")
    assert mtus == {expansion["status"]["mtu"]}


def test_machines_reach_each_other_in_all_pairs(network: Everywhere) -> None:
    for source, target in permutations(network.machines, 2):
        assert source.ping(str(target.address)).all_answered, f"{source.name} to {target.name}"
        assert source.neighbours()[str(target.address)] == target.mac_address
    _, b, c = network.machines
    assert b.tcp_exchange(c).intact


@pytest.mark.parametrize("topology", ["Centralized", "Hybrid"])
def test_broadcasts_of_each_cloud_arrive_once_at_each_other_one(network: Everywhere, topology: str) -> None:
    network.change_topology(topology)
    with BroadcastRun(network.machines, network.broadcast) as run:
        require_complete(run, network.machines)


def test_a_peer_leaves_and_the_others_go_on(hub: Hub, network: Everywhere) -> None:
    """Last, because the network has two members after it."""
    a, _, c = network.machines
    with a.start_ping(str(c.address), 0.05) as run:
        network.drop("cloud-b")
        result = run.stop()
    assert result.all_answered, result
    name = network.tenant.name
    wait_ready(hub.origin.cloud, "networkexpansion", name, name)
    assert c.ping(str(a.address)).all_answered
