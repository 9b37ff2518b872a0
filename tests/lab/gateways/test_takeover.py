"""A node that is gone loses its networks to the other one, once, and does not get in the way when it is back."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.lab.gateways.pair import BROADCAST, Carried, Pair
from tests.testbed.cloud import nodes
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import wait_ready, wait_reason
from tests.testbed.node import hosting
from tests.testbed.node.gateway import Gateway
from tests.testbed.workload.broadcast import BroadcastRun, Heard
from tests.testbed.workload.machine import Machine

pytestmark = pytest.mark.stage("gateways")

# The Lease expires after 40 s; one request to Neutron may time out (30 s) and is repeated. How long it took is printed.
TAKEOVER_SECONDS = 120.0
Record = Callable[[str, object], None]


@contextmanager
def disconnected(carried: Carried, node: Gateway) -> Iterator[None]:
    """Pull both network cables of a node for the duration of the block; Kubernetes notices either change."""
    namespaces = carried.pair.peers.lab.state.namespaces
    hosting.connect(node.site, namespaces, connected=False)
    nodes.report_ready(carried.pair.cloud, node, "Unknown")
    try:
        yield
    finally:
        hosting.connect(node.site, namespaces, connected=True)
        nodes.report_ready(carried.pair.cloud, node, "True")


def test_networks_of_a_node_that_is_gone_move_once(
    carried: Carried, received: Carried, record_property: Record
) -> None:
    first, second = carried.pair.nodes
    both = (carried, received)
    for network in both:
        network.move_to(second)
    # One machine keeps on sending on the node that is gone.
    with ExitStack() as undo:
        beside = carried.stretch.tenant.boot("moving-beside", node=second)
        undo.callback(beside.delete)
        machines = [carried.stretch.local, carried.stretch.remotes[0], beside]
        run = undo.enter_context(BroadcastRun(machines, BROADCAST))
        wait_until(lambda: all_hear_all(run, machines), 60, "broadcasts of all machines everywhere")
        with disconnected(carried, second):
            gone = time.monotonic()
            for network in both:
                network.wait_carried_by(first, TAKEOVER_SECONDS)
                name, seconds = network.stretch.tenant.name, time.monotonic() - gone
                record_property(f"traffic of network {name} back after its node was gone", f"{seconds:.0f} s")
            taken_over = [network.place() for network in both]
        assert [[host for _, host in ports] for _, ports in taken_over] == [[first.name], [first.name]]
        ping = carried.stretch.ping_during(lambda: wait_back(carried.pair, second))
        assert ping.all_answered, ping
        assert [network.place() for network in both] == taken_over, "networks stay where they are"
        before = run.heard()
        wait_until(lambda: all_hear_all(run, machines, before), 60, "broadcasts of all machines everywhere again")
        heard = run.heard()
    assert {name: of.more_than_once for name, of in heard.items() if of.more_than_once} == {}
    for stretch in (network.stretch for network in both):
        (replica,) = stretch.federation.replicas_of(stretch.tenant.network_id)
        assert str(replica.id) == stretch.remote.network_id


def wait_back(pair: Pair, node: Gateway) -> None:
    """Wait until the node can forward again, and has unplugged the networks that it does not carry any more."""
    pair.side.wait_node_ready(node)
    pair.peers.wait_for_peers(60)
    wait_until(lambda: not pair.patches(node), 60, f"{node.name} to unplug the networks")


def all_hear_all(run: BroadcastRun, machines: list[Machine], since: dict[str, Heard] | None = None) -> bool:
    """Whether each machine has received something of each other one, sent after `since`."""
    heard = run.heard()
    return all(
        heard[one.name].last_from(other) > (since[other.name].sent if since else 0)
        for one in machines
        for other in machines
        if one is not other
    )


def test_takeover_that_neutron_refuses_is_reported_and_made_up_for(carried: Carried) -> None:
    first, second = carried.pair.nodes
    carried.move_to(first)
    cloud = carried.pair.cloud
    tenant, network = carried.stretch.tenant.name, cloud.openstack().network
    project = str(cloud.operator().current_project_id)
    # Neutron accepts less than is in use by force only.
    network.update_quota(project, ports=0, force=True)
    try:
        nodes.label(cloud, first, is_gateway=False)
        wait_reason(cloud, "networkexpansion", tenant, "QuotaExceeded", tenant)
        reported = wait_reason(cloud, "attachment", carried.link, "QuotaExceeded", "isthmus-system")
        assert "port" in reported["message"]
        assert carried.ports() == [], "two nodes never have a port"
    finally:
        network.delete_quota(project)
    try:
        carried.wait_carried_by(second)
        wait_ready(cloud, "networkexpansion", tenant, tenant, timeout_seconds=60)
        assert [host for _, host in carried.ports()] == [second.name]
    finally:
        nodes.label(cloud, first, is_gateway=True)
