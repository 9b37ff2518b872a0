"""Complete agents with a real NAT between them, in front of the cloud that sorts second: it opens the connection."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from tests.kernel.agreements import reason_of
from tests.kernel.behind import NAT_B, PUBLIC, add_nat, add_node, masquerade, public_wire, rebind
from tests.kernel.losses import dropping_in
from tests.kernel.node import Node
from tests.kernel.openvswitch import Switch, sh
from tests.kernel.side import Side
from tests.testbed.host.process import wait_until

RESYNC_SECONDS = 2


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """a is public, b behind the NAT; with one network stretched."""
    directory = tmp_path_factory.mktemp("agents")
    sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip link add wan type bridge && ip link set wan up")
    add_nat("nat-b", NAT_B, "10.0.2", "")
    masquerade("nat-b", "20000-30000")
    made = []
    for name, address, router in (("a", PUBLIC, None), ("b", "10.0.2.11", "nat-b")):
        node = Node(name, address, directory)
        add_node(node, router)
        switch = Switch(name, directory / name)
        node.start_charon()
        machine = switch.attach_port(f"vm-{name}", f"10.20.0.1{1 if name == 'a' else 2}", 0)
        published = {"address": NAT_B, "nat": "Behind"} if router else {}
        made.append(Side(name, node, switch, machine, RESYNC_SECONDS, published=published))
    a, b = made
    with public_wire("nat-b") as wire:
        for side, other in ((a, b), (b, a)):
            side.start()
            side.introduce(other, "Auto")
        for side, other in ((a, b), (b, a)):
            wait_until(side.connected, 30, f"connection of {side.name}")
            side.attach(other)
        for side in made:
            wait_until(side.network_connected, 30, f"link of {side.name}")
        wire.require_protected()
    yield a, b
    for side in made:
        side.stop()
        side.node.end_charon(signal.SIGKILL)
        side.switch.stop()
    sh("for n in vm-a vm-b a b nat-b; do ip netns del $n; done; ip link del wan")
    sh("echo 0 > /proc/sys/net/ipv6/conf/default/disable_ipv6")


def connection(side: Side) -> tuple[str | None, str | None]:
    found = side.kubectl.get(GatewayNode, f"gw-{side.name}")
    assert found is not None
    (entry,) = found.status.connections
    return (entry.in_force.esp_mode, entry.in_force.nat) if entry.in_force is not None else (None, None)


def test_machines_reach_each_other_and_the_nodes_say_how(sides: tuple[Side, Side]) -> None:
    a, b = sides
    with public_wire("nat-b") as wire:
        assert a.machine.ping("10.20.0.12", 5) == 5
        assert b.machine.ping("10.20.0.11", 5) == 5
        assert wire.require_protected()["esp"] >= 20
    assert connection(a) == ("Tunnel", "Remote")
    assert connection(b) == ("Tunnel", "Local")
    assert not [effect for effect in a.effects if effect.startswith("initiate")], "a cannot"


def test_restarted_agents_change_nothing_and_lose_no_traffic(sides: tuple[Side, Side]) -> None:
    a, _ = sides
    with a.machine.pinging("10.20.0.12") as lost:
        for side in sides:
            side.stop()
            side.effects.clear()
            side.start()
        time.sleep(2 * RESYNC_SECONDS + 1)
        assert lost() == 0
    for side in sides:
        assert [effect for effect in side.effects if not effect.startswith("apply_status")] == []


def test_inner_ends_that_somebody_removes_are_restored(sides: tuple[Side, Side]) -> None:
    a, _ = sides
    with public_wire("nat-b") as wire:
        sh("ip link del isinner", "a")
        wait_until(lambda: "isinner" in sh("ip -o route", "a"), 30, "the route")
        wait_until(lambda: a.machine.ping("10.20.0.12", 1) == 1, 30, "traffic")
        for side in sides:
            wait_until(side.connected, 30, f"connection of {side.name}")
        wire.require_protected()


def test_a_nat_that_forgets_its_mappings_interrupts_traffic_for_a_moment(sides: tuple[Side, Side]) -> None:
    _, b = sides
    with public_wire("nat-b") as wire, b.machine.pinging("10.20.0.11") as lost:
        time.sleep(0.5)
        rebind("nat-b", "31000-40000")
        time.sleep(5)
        assert lost() <= 300, "three seconds"
        wire.require_protected()
    for side in sides:
        wait_until(side.connected, 30, f"connection of {side.name}")


def _restart_charon(side: Side, pinging: Side) -> int:
    """Kill a gateway's charon and start another one; returns how many requests a machine has sent meanwhile."""
    before = pinging.machine.frames("tx")
    side.node.end_charon(signal.SIGKILL)
    side.node.start_charon()
    return pinging.machine.frames("tx") - before


def test_the_hidden_gateways_killed_charon_is_replaced(sides: tuple[Side, Side]) -> None:
    a, b = sides
    before = b.node.associations()
    with a.machine.pinging("10.20.0.12") as lost, public_wire("nat-b") as wire:
        away = _restart_charon(b, a)
        wait_until(lambda: not b.node.associations() & before, 180, "new states alone")
        for side in sides:
            wait_until(side.connected, 30, f"connection of {side.name}")
            wait_until(lambda side=side: len(side.node.associations()) == 4, 20, "nothing beside them")  # type: ignore[misc]
        assert lost() <= max(200, away + 100), (
            "while charon was away: the kernel takes ESP in UDP in by charon's socket"
        )
        wire.require_protected()


def test_the_reachable_gateways_killed_charon_is_replaced_by_the_hidden_one(sides: tuple[Side, Side]) -> None:
    """With the next rekeying: as long as the old SAs carry traffic nothing shows that the charon is another one."""
    a, b = sides
    before = a.node.associations()
    with a.machine.pinging("10.20.0.12") as lost:
        away = _restart_charon(a, a)
        wait_until(lambda: not a.connected(), 20, "a report of the lost IKE SA")
        assert lost() <= max(200, away + 100), "likewise"
    assert a.machine.ping("10.20.0.12", 5) == 5
    ike = b.node.new_ike()
    ((name, state),) = ike.view().states.items()
    ike.rekey(name, state.spis)
    wait_until(lambda: not a.node.associations() & before, 180, "new states alone")
    for side in sides:
        wait_until(side.connected, 30, f"connection of {side.name}")
    assert a.machine.ping("10.20.0.12", 5) == 5


def test_udp_port_4500_that_is_blocked_is_reported_and_heals(sides: tuple[Side, Side]) -> None:
    """IKE begins on port 500 again and again, which is open, and nothing is tried without UDP or in clear."""
    _, b = sides
    with dropping_in("nat-b", "udp sport 4500"), public_wire("nat-b") as wire:
        for side in sides:
            wait_until(lambda side=side: reason_of(side) == "IKENotEstablished", 60, f"a report of {side.name}")  # type: ignore[misc]
        assert b.machine.ping("10.20.0.11", 2) == 0
        wire.require_protected()
    with public_wire("nat-b") as wire:
        for side in sides:
            wait_until(side.connected, 60, f"connection of {side.name}")
        wait_until(lambda: b.machine.ping("10.20.0.11", 3) == 3, 20, "traffic")
        assert wire.require_protected()["esp"] > 0


def test_withdrawal_leaves_nothing(sides: tuple[Side, Side]) -> None:
    """The last test."""
    for side in sides:
        side.withdraw()
    for side in sides:
        wait_until(lambda side=side: "isinner" not in sh("ip -o link", side.name), 20, "no device")  # type: ignore[misc]
        wait_until(lambda side=side: not side.node.associations(), 20, "no SA")  # type: ignore[misc]
        wait_until(lambda side=side: not side.node.blocks(), 20, "no block")  # type: ignore[misc]
