"""Gateways behind real NATs: one side, both, two behind one address; exact MTUs, rebinding, and nothing in clear."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from isthmus.core.placement.mtu import inner_mtu
from isthmus.model.node.ipsec import EspTunnel
from isthmus.model.node.tunnel import Vxlan
from tests.kernel.behind import (
    PAIRS,
    Neighbourhood,
    neighbourhood,
    public_wire,
    rebind,
    remote_ports,
)
from tests.kernel.kinds import join_networks
from tests.kernel.openvswitch import Machine, sh
from tests.testbed.host.process import wait_until

LARGEST = 1388


@pytest.fixture(scope="module")
def all_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbourhood]:
    """Connected."""
    with neighbourhood(tmp_path_factory.mktemp("nat")) as made:
        for cloud in made.nodes.values():
            cloud.fence()
        with public_wire("nat-a") as wire:
            for cloud in reversed([*made.nodes.values()]):
                cloud.connect()
            join_networks(made.nodes.values())
            for cloud in made.nodes.values():
                for connection in cloud.plan.connections:
                    if connection.initiator:
                        cloud.node.ike.initiate(connection.name)
            for cloud in made.nodes.values():
                wait_until(cloud.protected, 20, f"SAs of {cloud.node.name}")
                wait_until(cloud.bfd_up, 20, f"BFD of {cloud.node.name}")
            for pair, machine in made.machines.items():
                wait_until(lambda: machine.ping(1) == 1, 20, f"traffic of {pair}")  # noqa: B023
            assert wire.require_protected()["esp"] >= 6
        yield made


def test_the_gateways_that_cannot_be_reached_open_all_connections(all_: Neighbourhood) -> None:
    roles = {
        name: {(c.initiator, c.passive, type(c.protection)) for c in cloud.plan.connections}
        for name, cloud in all_.nodes.items()
    }
    active, passive = (True, False, EspTunnel), (False, True, EspTunnel)
    assert roles == {"a1": {active}, "a2": {active}, "b": {passive}, "p": {passive}}
    for cloud in all_.nodes.values():
        ike = cloud.node.ike.view()
        for connection in cloud.plan.connections:
            associations = ike.states[connection.name].associations
            assert {found.initiated for found in associations} == {connection.initiator}


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_largest_packet_crosses_whole_and_one_more_byte_in_fragments(
    all_: Neighbourhood, pair: tuple[str, str]
) -> None:
    machine = all_.machines[pair]
    largest = inner_mtu(1500, Vxlan.HEADER_BYTES, tunnel_mode=True, through_nat=True)
    assert largest == LARGEST
    with public_wire("nat-a") as wire:
        assert machine.ping(3) == 3
        assert machine.ping(3, largest) == 3
        counts = wire.require_protected()
        assert counts["esp"] >= 12
        assert counts["fragment"] == 0
        assert machine.ping(3, largest + 1) == 3
        assert machine.ping(3, 1500) == 3
        assert wire.require_protected()["fragment"] >= 12
        assert machine.ping(2, largest, fragment=False) == 2
        assert machine.ping(2, largest + 1, fragment=False) == 0
        wire.require_protected()


def test_a_nat_that_forgets_its_mappings_interrupts_traffic_for_a_moment(all_: Neighbourhood) -> None:
    assert all(20_000 <= port <= 30_000 for port in remote_ports(all_.nodes["p"]))
    with public_wire("nat-a") as wire:
        for ports, low in (("31000-40000", 31_000), ("20000-30000", 20_000)):
            with Machine("vm-a1p").pinging(all_.machines["a1", "p"].far) as lost:
                time.sleep(0.5)
                rebind("nat-a", ports)
                time.sleep(6)
                assert lost() <= 300, "three seconds"
            for pair in PAIRS:
                wait_until(lambda pair=pair: all_.machines[pair].ping(1) == 1, 30, f"traffic of {pair}")  # type: ignore[misc]

            def moved(low: int = low) -> bool:
                return all(low <= port <= low + 10_000 for port in remote_ports(all_.nodes["p"]))

            wait_until(moved, 30, "SAs to the new ports")
            for cloud in all_.nodes.values():
                wait_until(cloud.bfd_up, 30, f"BFD of {cloud.node.name}")
            assert [all_.machines[pair].ping(5) for pair in PAIRS] == [5, 5, 5]
        wire.require_protected()


def test_nothing_leaves_without_charon(all_: Neighbourhood) -> None:
    """The last test: it takes away fences and inner route, so that everything leaves. That is the control."""
    a1 = all_.nodes["a1"]
    a1.node.end_charon(signal.SIGTERM)
    assert not a1.node.protect_policies()
    with public_wire("nat-a") as wire:

        def sent() -> list[str]:
            """What a1 sends in clear, and nobody answers."""
            wire.counts()
            assert [all_.machines[pair].ping(2) for pair in PAIRS if pair[0] == "a1"] == [0, 0]
            time.sleep(0.1)
            return [kind for kind in wire.counts() if kind not in ("ike", "esp", "fragment", "refusal")]

        assert sent() == []
        a1.lower_firewall()
        a1.node.remove_blocks(a1.node.blocks())
        assert sent() == [], "the inner route alone"
        for ends in a1.plan.inner_ends:
            sh(f"ip route replace {ends.remote}/32 via 10.0.1.1 dev eth0 src {ends.local}", "a1")
        assert sent() != [], "neither fence, and the route of others"
        a1.block()
        assert sent() == [], "block policies alone"
        a1.raise_firewall()
        a1.node.remove_blocks(a1.node.blocks())
        assert sent() == [], "the nftables table alone"
    assert all_.machines["a2", "p"].ping(3) == 3, "another gateway behind the same address is not concerned"
