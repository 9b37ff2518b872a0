"""What fails beside the data plane of the active node moves no network and loses nothing."""

import time
from collections.abc import Callable

import pytest

from tests.lab.gateways.pair import Carried, Pair
from tests.testbed.cloud import nodes
from tests.testbed.cloud.outage import kubernetes_api_silent
from tests.testbed.host.process import wait_until
from tests.testbed.node import openvswitch
from tests.testbed.node.gateway import Gateway
from tests.testbed.workload.loss import ping_losing_nothing

pytestmark = pytest.mark.stage("gateways")

# The agent's Lease lasts 40 s, and a node may be not Ready for 10 s.
API_SILENT_SECONDS, AGENT_DEAD_SECONDS, KUBELET_SILENT_SECONDS = 45.0, 50.0, 5.0
Record = Callable[[str, object], None]


def restart_charon(_pair: Pair, node: Gateway) -> None:
    """Kill charon and start it again; the agent configures the new one."""
    before = node.spis()
    node.charon.kill()
    node.charon.start()
    wait_until(lambda: node.spis() and not node.spis() & before, 90, "only new SAs")


def restart_ovsdb(_pair: Pair, node: Gateway) -> None:
    """Restart ovsdb-server; ovs-vswitchd, the agent and Neutron's agent connect again."""
    openvswitch.restart_database(node)
    time.sleep(5)


def leave_api_silent(pair: Pair, _node: Gateway) -> None:
    """Neither the agents nor the controller reach their own Kubernetes API."""
    with kubernetes_api_silent(pair.cloud):
        time.sleep(API_SILENT_SECONDS)


def leave_agent_dead(pair: Pair, node: Gateway) -> None:
    """The agent is killed, and its Lease expires; its node is Ready."""
    agent = pair.agents[node.name]
    agent.kill()
    try:
        renewed = pair.lease(node)
        time.sleep(AGENT_DEAD_SECONDS)
        assert pair.lease(node) == renewed, "nobody renews it"
        assert renewed["leaseDurationSeconds"] < AGENT_DEAD_SECONDS
    finally:
        agent.start()


def silence_kubelet(pair: Pair, node: Gateway) -> None:
    """Kubernetes hears nothing of the node's kubelet; its agent works."""
    nodes.report_ready(pair.cloud, node, "Unknown")
    try:
        time.sleep(KUBELET_SILENT_SECONDS)
    finally:
        nodes.report_ready(pair.cloud, node, "True")


# How long the network may be silent. A new charon negotiates new SAs: the peer may use them a moment before we can.
SILENCE_SECONDS = {restart_charon: 0.5, restart_ovsdb: 0, silence_kubelet: 0, leave_api_silent: 0, leave_agent_dead: 0}


# tests/unit/test_gateway_failover.py has them on fakes.
_IN_TEST_LONG = (silence_kubelet, leave_api_silent, leave_agent_dead)


@pytest.mark.parametrize(
    "event",
    [pytest.param(event, marks=[pytest.mark.long] if event in _IN_TEST_LONG else []) for event in SILENCE_SECONDS],
    ids=lambda event: event.__name__,
)
def test_nothing_moves(carried: Carried, event: Callable[[Pair, Gateway], None], record_property: Record) -> None:
    node = carried.pair.cloud.second_gateway
    carried.move_to(node)
    before = carried.place()
    ping = ping_losing_nothing(carried.stretch, lambda: event(carried.pair, node), SILENCE_SECONDS[event])
    silence = ping.longest_silence_seconds
    record_property(event.__name__, f"{ping.lost} of {ping.transmitted} pings lost, longest silence {silence:.2f} s")
    carried.pair.side.wait_node_ready(node)
    carried.pair.peers.wait_for_peers(60)
    assert carried.place() == before
    assert len(carried.pair.patches(node)) == 1
