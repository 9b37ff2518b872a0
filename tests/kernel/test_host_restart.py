"""An agent on a real Open vSwitch writes nothing because its database was away: neither ports nor flows.

Open vSwitch has a data path of its own that carries no packets. All else of the node is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.model.names import BRIDGE, INTEGRATION_BRIDGE
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.effects import with_effects
from tests.fakes.nodeobjects import BLUE, RED, attachment, link
from tests.kernel.openvswitch import sh
from tests.testbed.host.process import wait_until
from tests.testbed.host.switch import start_database, start_switch, stop_database, vsctl


class Node:
    """An agent with two networks in place."""

    def __init__(self, socket: str) -> None:
        self.harness, self.effects = AgentHarness(), 0
        for network in (attachment(RED), attachment(BLUE, (link(0x100001),))):
            self.harness.kubectl.apply(network)
        self.database, self._openflow = OvsdbDatabase(socket, 300, "dummy"), OvsOfctl(socket)
        backends = replace(
            self.harness.backends(),
            ovsdb=with_effects(self.database, self._count),
            openflow=with_effects(self._openflow, self._count),
        )
        self.harness.new_agent(backends)
        self.look(3)

    def look(self, times: int, seconds: float = 1.0) -> None:
        """Iterations of the agent, with so much time between them."""
        for _ in range(times):
            self.harness.clock.seconds += seconds
            self.harness.iterate()
            self.harness.agent.prober.probe_once()

    def close(self) -> None:
        self._openflow.close()
        self.database.close()

    def _count(self) -> None:
        self.effects += 1


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[str]:
    with start_switch(tmp_path) as socket:
        settings = "set", "bridge", INTEGRATION_BRIDGE, "datapath_type=dummy"
        vsctl(socket, "del-br", BRIDGE, "--", "add-br", INTEGRATION_BRIDGE, "--", *settings)
        yield socket


@pytest.fixture
def node(socket: str) -> Iterator[Node]:
    node = Node(socket)
    yield node
    node.close()


def test_nothing_is_written_because_the_database_was_restarted(node: Node, socket: str, tmp_path: Path) -> None:
    assert len(node.database.view().ports.patches) == 2
    assert node.effects
    node.effects, flows, applied = 0, _flows(tmp_path), _applied(socket)
    stop_database(tmp_path)
    node.look(3)
    start_database(tmp_path)
    vsctl(socket, "--no-wait", "set", "Open_vSwitch", ".", "external_ids:hostname=again")
    wait_until(lambda: node.database.view().hostname == "again", 20, "the new connection")
    node.look(3)
    node.look(6, seconds=60.0)  # everything is compared at least once
    assert (node.effects, _flows(tmp_path), _applied(socket)) == (0, flows, applied)


def test_what_is_changed_while_the_database_is_restarted_is_restored(node: Node, socket: str, tmp_path: Path) -> None:
    before = node.database.view().ports
    gone = next(iter(before.patches))
    stop_database(tmp_path)
    node.look(1)
    start_database(tmp_path)
    vsctl(socket, "del-port", gone.cloud_name)
    wait_until(lambda: node.database.view().ports != before, 20, "the new connection")
    node.look(3)
    assert node.database.view().ports == before


def _flows(directory: Path) -> list[str]:
    words = "ovs-ofctl -O OpenFlow15 --no-stats --no-names --sort dump-flows"
    return sorted(sh(f"{words} unix:{directory}/{BRIDGE}.mgmt").splitlines())


def _applied(socket: str) -> str:
    """What every transaction that waits for ovs-vswitchd counts up."""
    return sh(f"ovs-vsctl --db={socket} get Open_vSwitch . next_cfg")
