"""Three clouds in one network: all machines reach each other, everything arrives once, and one of them may leave."""

from collections import Counter
from itertools import permutations

import pytest

from tests.lab.federation.hub import Everywhere, Hub
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import objects, wait_ready
from tests.testbed.workload.broadcast import BroadcastRun, Heard

pytestmark = pytest.mark.stage("third")

BROADCASTS = 40


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


def test_broadcasts_of_each_cloud_arrive_once_at_each_other_one(network: Everywhere) -> None:
    """From the first one that a machine has received on: the programs do not start at the same time."""
    machines = network.machines
    with BroadcastRun(machines, network.broadcast) as run:
        wait_until(lambda: min(_fewest(run.heard()).values()) >= BROADCASTS, 60, f"{BROADCASTS} broadcasts of each")
        heard = run.heard()
    for receiver in machines:
        of = heard[receiver.name]
        assert of.more_than_once == []
        for sender in machines:
            if sender is not receiver:
                numbers = sorted(number for source, number in of.seen if source == sender.address)
                assert numbers == list(range(numbers[0], numbers[-1] + 1)), f"{sender.name} to {receiver.name}"


def _fewest(heard: dict[str, Heard]) -> dict[str, int]:
    """By machine: how many broadcasts it has received of the one it has received fewest of, of two others."""
    counts = {name: Counter(source for source, _ in of.seen) for name, of in heard.items()}
    return {name: min(found.values()) if len(found) == len(heard) - 1 else 0 for name, found in counts.items()}


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
