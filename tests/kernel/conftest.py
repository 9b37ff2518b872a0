"""Two nodes for each test, or two whole agents for a module."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel import bridged
from tests.kernel.bridged import TAGS, Cloud
from tests.kernel.node import Node, Pair
from tests.kernel.openvswitch import Machine, Switch, sh
from tests.kernel.side import RESYNC_SECONDS, Side
from tests.testbed.host.process import wait_until


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two nodes with a charon each, connected by a link of MTU 1500, without policies and SAs."""
    pair = Pair(Node("a", "192.0.2.1", tmp_path), Node("b", "192.0.2.2", tmp_path))
    sh("ip netns add a\nip netns add b\nip link add eth0 netns a type veth peer name eth0 netns b")
    try:
        for node in pair.nodes:
            sh(f"ip link set lo up\nip addr add {node.address}/24 dev eth0\nip link set eth0 up", node.name)
            node.start_charon()
        yield pair
    finally:
        for node in pair.nodes:
            node.end_charon(signal.SIGKILL)
            sh(f"ip netns del {node.name}")


@pytest.fixture(scope="module")
def sides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """Two clouds whose agents run and know nothing of each other yet.

    A module may name its RESYNC_SECONDS, and other ADDRESSES of the gateways than 192.0.2.1 and 192.0.2.2.
    """
    resync_seconds = getattr(request.module, "RESYNC_SECONDS", RESYNC_SECONDS)
    directory = tmp_path_factory.mktemp("agents")
    sh("ip netns add a\nip netns add b\nip link add eth0 netns a type veth peer name eth0 netns b")
    made = []
    for name, address in zip("ab", getattr(request.module, "ADDRESSES", ("192.0.2.1", "192.0.2.2")), strict=True):
        node = Node(name, address, directory)
        prefix = "64 dev eth0 nodad" if ":" in address else "24 dev eth0"
        sh(f"ip link set lo up\nip link set eth0 up\nip addr add {address}/{prefix}", name)
        switch = Switch(name, directory / name)
        node.start_charon()
        machine = switch.attach_port(f"vm-{name}", f"10.20.0.1{address[-1]}", 0)
        made.append(Side(name, node, switch, machine, resync_seconds))
    for side in made:
        side.start()
    yield made[0], made[1]
    for side in made:
        side.stop()
        side.node.end_charon(signal.SIGKILL)
        side.switch.stop()
    sh("ip netns del vm-a; ip netns del vm-b; ip netns del a; ip netns del b")


@pytest.fixture(scope="module")
def stretched(sides: tuple[Side, Side]) -> tuple[Side, Side]:
    """The same, with one network stretched."""
    a, b = sides
    a.introduce(b)
    b.introduce(a)
    for side in sides:
        wait_until(side.connected, 60, f"connection of {side.name}")
    a.attach(b)
    b.attach(a)
    for side in sides:
        wait_until(side.network_connected, 60, f"link of {side.name}")
    return sides


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Cloud]]:
    """Two clouds on one node, with their networks stretched; no agents, no ESP."""
    directory = tmp_path_factory.mktemp("ovs")
    sh(
        "ip netns add node-a; ip netns add node-b; ip -n node-a link set lo up; ip -n node-b link set lo up\n"
        "ip link add wan netns node-a type veth peer name wan netns node-b\n"
        "ip -n node-a addr add 192.0.2.1/24 dev wan; ip -n node-b addr add 192.0.2.2/24 dev wan\n"
        "ip -n node-a link set wan up; ip -n node-b link set wan up"
    )
    a = bridged.side("a", "b", ("192.0.2.1", "192.0.2.2"), directory)
    b = bridged.side("b", "a", ("192.0.2.2", "192.0.2.1"), directory)
    for cloud in (a, b):
        cloud.build()
    yield a, b
    for cloud in (a, b):
        cloud.openflow.close()
        cloud.database.close()
        cloud.switch.stop()
    sh("ip netns delete node-a; ip netns delete node-b")


@pytest.fixture(scope="module")
def machines(clouds: tuple[Cloud, Cloud]) -> Iterator[dict[str, Machine]]:
    """Two tenants with equal addresses on both sides."""
    plugged = {
        f"{cloud.name}-{network}": cloud.switch.attach_port(f"{cloud.name}-{network}", f"10.20.0.{host}", tag)
        for cloud, host in zip(clouds, (11, 12), strict=True)
        for network, tag in TAGS.items()
    }
    yield plugged
    for name in plugged:
        sh(f"ip netns delete {name}")
