"""What hands frames on between two peers is restarted meanwhile: nothing arrives twice, and nothing comes back."""

import signal
from collections.abc import Callable

import pytest

from tests.lab.federation.hub import Everywhere, Hub, all_hear_all
from tests.testbed.host.process import wait_until
from tests.testbed.node import openvswitch
from tests.testbed.node.node import Node
from tests.testbed.workload.broadcast import BroadcastRun

pytestmark = pytest.mark.stage("third")

BACK_SECONDS = 90


def replace_agent(hub: Hub) -> None:
    """Kill the agent, and start another one."""
    hub.origin.stop_process("agent")
    hub.origin.start_agent()
    hub.origin.wait_reconciled("agent", 3)


def replace_switch(hub: Hub) -> None:
    """Kill ovs-vswitchd, start another one, and wait until the agent has put the flows back.

    Meanwhile the kernel forwards by what it has cached, and then by nothing.
    """
    gateway = hub.origin.cloud.gateway
    before = _first_flows(gateway)
    gateway.kill("ovs-vswitchd", signal.SIGKILL)
    wait_until(lambda: not gateway.alive("ovs-vswitchd"), 60, "end of ovs-vswitchd")
    openvswitch.start_switch(gateway)
    wait_until(lambda: _first_flows(gateway) == before, BACK_SECONDS, "the flows of br-cloud")


def _first_flows(node: Node) -> int:
    """The number of flows in the first table, where nothing is learned; 0 while the switch does not answer."""
    count = "ovs-ofctl -O OpenFlow15 --timeout=5 dump-flows br-cloud table=0 | grep -c cookie="
    return int(node.run(count, check=False).stdout.strip() or 0)


@pytest.mark.parametrize("replace", [replace_agent, replace_switch])
def test_nothing_arrives_twice_while_the_origin_restarts(
    hub: Hub, network: Everywhere, replace: Callable[[Hub], None], record_property: Callable[[str, object], None]
) -> None:
    machines = network.machines
    _, b, c = machines
    with BroadcastRun(machines, network.broadcast) as run, b.start_ping(str(c.address), 0.05) as ping:
        wait_until(lambda: all_hear_all(run, machines), 60, "broadcasts of all machines everywhere")
        replace(hub)
        before = run.heard()
        wait_until(lambda: all_hear_all(run, machines, before), BACK_SECONDS, "broadcasts everywhere again")
        heard, result = run.heard(), ping.stop()
    record_property(f"{replace.__name__} of the origin", f"{result.lost} of {result.transmitted} pings of B to C lost")
    assert {name: of.more_than_once for name, of in heard.items() if of.more_than_once} == {}
    network.wait_for_ping()
