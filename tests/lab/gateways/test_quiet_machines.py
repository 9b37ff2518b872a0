"""A network that moves to the node of one of its machines is reached from there at once, though nobody broadcasts."""

from collections.abc import Callable

import pytest

from tests.lab.gateways.pair import Carried

pytestmark = pytest.mark.stage("gateways")

UNUSED = "10.46.0.77"
Record = Callable[[str, object], None]


def test_network_moves_to_the_node_of_a_machine(carried: Carried, record_property: Record) -> None:
    """Its br-int has learned that the remote machine is behind the other node, from a broadcast: its ARP request."""
    first, second = carried.pair.nodes
    carried.move_to(second)
    carried.stretch.remotes[0].ping(UNUSED, count=3)
    result = carried.stretch.ping_beside(lambda: carried.move_to(first))
    record_property("network moved to the node of a machine", f"silent for {result.longest_silence_seconds:.1f} s")
    assert result.received > 0
