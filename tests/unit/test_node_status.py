"""Status of a gateway node's tunnels."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from isthmus.core.node.plan import plan_node
from isthmus.core.node.status import NodeFacts, gateway_node_status
from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection, GatewayNode, Software
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.switch import BridgeView
from tests.fakes.nodeobjects import ADDRESS, NODE, PEER, inputs

TUNNEL = names.tunnel_port(PEER, "gw-b1")


def connection_with(error: str) -> GatewayConnection:
    """The only connection, with Open vSwitch's state of its tunnel port."""
    plan = plan_node(inputs(), (NodeAddress(ADDRESS, 1500),), frozenset())
    facts = NodeFacts(plan, BridgeView(exists=True, ports=plan.ports, errors={TUNNEL: error}))
    status = gateway_node_status(GatewayNode(metadata=ObjectMeta(name=NODE)), facts, Software(), datetime.now(UTC))
    (connection,) = status.connections
    return connection


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (
            "could not add network device ist0 to ofproto (Address already in use)",
            "TunnelPortInUse",
            "UDP port 14789 is in use by another process on this node, so that Open vSwitch cannot receive tunnel "
            f"packets on {ADDRESS}: could not add network device ist0 to ofproto (Address already in use)",
        ),
        (
            "could not open network device ist0 (No such device)",
            "TunnelPortFailed",
            f"Open vSwitch cannot create tunnel port {TUNNEL}: could not open network device ist0 (No such device)",
        ),
    ],
)
def test_a_tunnel_port_that_cannot_be_made_is_explained(error: str, reason: str, message: str) -> None:
    connection = connection_with(error)
    assert (connection.up, connection.reason, connection.message) == (False, reason, message)


def test_an_endless_error_fits_into_a_status() -> None:
    assert len(connection_with("x" * 10_000).message) == 1024
