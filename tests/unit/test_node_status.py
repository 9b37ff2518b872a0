"""Status of a gateway node's tunnels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from isthmus.core.node.facts import NodeFacts
from isthmus.core.node.observations import observations
from isthmus.core.node.plan import plan_node
from isthmus.core.node.readiness import joined
from isthmus.core.node.status import node_status
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection, InForceStatus, Software
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.inforce import InForce
from isthmus.model.node.ipsec import IkeState, IkeView, NarrowedChild
from isthmus.model.node.switch import BridgeView, PatchPair, Ports
from isthmus.model.reasons import Reason
from tests.fakes.nodeobjects import ADDRESS, NODE, PEER, RED, attachment, inputs, link

TUNNEL = names.tunnel_port(PEER, "gw-b1")
CHARON_AWAY = Problem(Reason.CHARON_UNAVAILABLE, "charon does not answer: " + "x" * 900)


def connection_with(error: str) -> GatewayConnection:
    """The only connection, with Open vSwitch's state of its tunnel port."""
    plan = plan_node(inputs(), (NodeAddress(ADDRESS, 1500),), frozenset())
    facts = NodeFacts(plan, BridgeView(exists=True, ports=plan.ports, errors={TUNNEL: error}))
    status = node_status(facts, Software())
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


def up_in_charon(**changes: Any) -> NodeFacts:
    """The only connection with IKE SA and children, but without BFD."""
    plan = plan_node(inputs(), (NodeAddress(ADDRESS, 1500),), frozenset())
    (connection,) = plan.connections
    state = IkeState(True, frozenset({"in", "out"}), **changes)
    ike = IkeView("1", {connection.name: connection.digest}, {connection.name: state})
    return NodeFacts(plan, BridgeView(exists=True, ports=plan.ports, bfd_up={TUNNEL: False}), ike)


def test_narrowed_selectors_are_reported_with_both_values() -> None:
    facts = up_in_charon(narrowed=frozenset({NarrowedChild("out", "a[udp] === b", "a[udp/14789] === b")}))
    (connection,) = node_status(facts, Software()).connections
    assert (connection.up, connection.esp, connection.reason) == (False, "Missing", "SelectorsNarrowed")
    assert "out protects a[udp/14789] === b instead of a[udp] === b" in connection.message


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({}, "through the tunnel"),
        ({"receiving": frozenset({("net", PEER)})}, "although packets of networks arrive from the peer"),
        ({"probes": {("net", PEER): True}}, "although dataplane probes are answered"),
        ({"receiving": frozenset({("net", "other")}), "probes": {("net", PEER): False}}, "through the tunnel"),
    ],
)
def test_what_arrives_is_said_where_bfd_is_not_answered(known: dict[str, Any], message: str) -> None:
    (connection,) = node_status(replace(up_in_charon(), **known), Software()).connections
    assert connection.reason == "BFDDown"
    assert connection.message.endswith(message)


def test_an_endless_error_fits_into_a_status() -> None:
    assert len(connection_with("x" * 10_000).message) == 1024


def test_a_status_lists_as_many_connections_as_it_may() -> None:
    gateways = tuple(PeerGateway(name=f"gw-{i:04d}", address=f"198.51.{i // 250}.{i % 250}") for i in range(1601))
    plan = replace(plan_node(inputs(), (NodeAddress(ADDRESS, 1500),), frozenset()), gateways={PEER: gateways})
    facts = NodeFacts(plan, BridgeView(exists=True, ports=plan.ports), charon_problem=CHARON_AWAY)
    status = node_status(facts, Software())
    assert (len(status.connections), status.peers_up) == (1600, "0/1")
    assert max(len(connection.message) for connection in status.connections) < 200, "all of them fit into etcd"
    degraded = condition_of(status.conditions, "Degraded")
    assert degraded is not None
    assert (degraded.reason, degraded.message) == (
        "StatusTruncated",
        f"the status lists 1600 of 1601 connections; all of them are maintained; {CHARON_AWAY.message}"[:1024],
    )


def test_of_very_many_connections_the_first_say_what_is_in_force() -> None:
    gateways = tuple(PeerGateway(name=f"gw-{i:04d}", address=f"198.51.{i // 250}.{i % 250}") for i in range(801))
    plan = replace(plan_node(inputs(), (NodeAddress(ADDRESS, 1500),), frozenset()), gateways={PEER: gateways})
    found = InForce(1, "aes256gcm16-prfsha384", "aes256gcm16", "Transport", "None")
    states = {names.tunnel_port(PEER, gateway.name): IkeState(established=True, in_force=found) for gateway in gateways}
    facts = NodeFacts(plan, BridgeView(exists=True, ports=plan.ports), ike=IkeView("1", {}, states))
    reported = [connection.in_force for connection in node_status(facts, Software()).connections]
    assert None not in reported[:800]
    assert reported[800:] == [InForceStatus(nat="None")]


def test_the_problems_that_do_not_fit_are_counted() -> None:
    assert joined(["one", "two"], 100) == "one; two"
    assert joined(["one", "x" * 90, "y" * 90, "z" * 90], 120) == f"one; {'x' * 90}; and 2 more"
    assert len(joined(["x" * 500] * 50, 120)) == 120


def test_networks_are_reported_in_linear_time() -> None:
    """With a thousand networks, ports that are searched once for each of them cost most of an iteration."""

    class Counted(frozenset[PatchPair]):
        reads = 0

        def __iter__(self) -> Iterator[PatchPair]:
            Counted.reads += 1
            return super().__iter__()

    attachments = [attachment(f"{i:08x}{RED[8:]}", (link(0x100000 + i),)) for i in range(50)]
    wanted = inputs(*attachments)
    plan = plan_node(wanted, (NodeAddress(ADDRESS, 1500),), frozenset())
    ports = Ports(plan.ports.tunnels, Counted(plan.ports.patches))
    facts = NodeFacts(plan, BridgeView(exists=True, ports=ports), flows_installed=True)
    found = observations(NODE, wanted.attachments, facts)
    assert [entry.plugged for entry in found.values()] == [True] * 50
    assert Counted.reads == 1
