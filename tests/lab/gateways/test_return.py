"""Networks return to the node that they prefer once it has been usable for a while, if the settings say so."""

import time
from collections.abc import Callable

import pytest

from tests.lab.gateways.pair import Carried
from tests.testbed.cloud import nodes

pytestmark = pytest.mark.stage("gateways")

RETURN_SECONDS = 3.0
Record = Callable[[str, object], None]


def test_network_returns_to_the_node_that_it_prefers(carried: Carried, record_property: Record) -> None:
    pair = carried.pair
    with pair.side.controller_settings(gateway_return_seconds=RETURN_SECONDS):
        pair.side.wait_reconciled("controller", 1)
        # Each has a moment of its own between this time and twice of it, after which the controller has work to do.
        time.sleep(5 * RETURN_SECONDS)
        preferred = next(node for node in pair.nodes if node.name == carried.active())
        nodes.label(pair.cloud, preferred, is_gateway=False)
        try:
            carried.wait_carried_by(pair.other(preferred))
        finally:
            began = time.monotonic()  # the controller may know of the label before the command has ended
            nodes.label(pair.cloud, preferred, is_gateway=True)
        pair.side.wait_node_ready(preferred)
        carried.wait_carried_by(preferred)
        record_property("network returned after its node was back", f"{time.monotonic() - began:.0f} s")
        assert time.monotonic() - began > RETURN_SECONDS
        assert [host for _, host in carried.ports()] == [preferred.name]
