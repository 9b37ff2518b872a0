"""What hands frames on between two peers moves to another gateway node meanwhile: nothing comes twice, or back."""

from collections.abc import Iterator

import pytest

from tests.lab.federation.hub import Everywhere, Hub, all_hear_all, require_complete, require_nothing_twice
from tests.lab.gateways.pair import Carried, Pair, connected_gateways, two_gateways
from tests.testbed.cloud import nodes
from tests.testbed.host.process import wait_until
from tests.testbed.workload.broadcast import BroadcastRun

pytestmark = [pytest.mark.stage("third"), pytest.mark.long]

BACK_SECONDS = 90


@pytest.fixture
def pair(hub: Hub) -> Iterator[Pair]:
    """A second gateway node of the origin, to which both receivers have tunnels."""
    with two_gateways(hub.federations[0]) as pair:
        _, second = pair.nodes
        hub.spoke.lab.wan.expect(hub.capture, second)
        hub.spoke.wait_for_peers(BACK_SECONDS)
        yield pair
        # Otherwise a receiver would still send to it when it is gone, and the WAN's router refuse that in clear.
        nodes.label(pair.cloud, second, is_gateway=False)
        for cloud in hub.clouds[1:]:
            wait_until(lambda: second.name not in connected_gateways(cloud), 60, f"{cloud.cloud_id} to leave it")  # noqa: B023


def test_nothing_arrives_twice_while_the_origin_replaces_its_gateway_node(
    hub: Hub, network: Everywhere, pair: Pair
) -> None:
    """By the second one, and that by the first one, on which the origin's machine stays."""
    machines = network.machines
    carried = Carried(pair, network.stretches["cloud-b"])
    first, second = pair.nodes
    with BroadcastRun(machines, network.broadcast) as run:
        wait_until(lambda: all_hear_all(run, machines), 60, "broadcasts of all machines everywhere")
        for node in (second, first):
            assert carried.active() == pair.other(node).name
            carried.move_to(node)
            hub.spoke.wait_for_peers(BACK_SECONDS)
            before = run.heard()
            wait_until(lambda: all_hear_all(run, machines, before), BACK_SECONDS, "broadcasts everywhere again")  # noqa: B023
            network.wait_for_ping()
            require_complete(run, machines, run.heard())
        require_nothing_twice(run)
