"""What an agent reports of the path to a peer's gateway, which distinguishes the faults of a connection."""

from __future__ import annotations

import pytest

from isthmus.adapters.strongswan import messages
from isthmus.core.node.paths import longest
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode, GatewayPath
from isthmus.model.node.flows import PlannedLink, PlannedNetwork, PlannedNetworks
from isthmus.plugin.core import gatewaypath
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.nodeobjects import NODE, attachment


@pytest.fixture
def harness() -> AgentHarness:
    harness = AgentHarness()
    harness.start_with_mtu(1416)
    return harness


def path(harness: AgentHarness, *, seconds: int = 1) -> GatewayPath:
    """The path after so many iterations, one each second, in which everything is probed."""
    for _ in range(seconds):
        harness.clock.seconds += 1
        harness.iterate()
        harness.agent.prober.probe_once()
        harness.agent.path_prober.probe_once()
    harness.iterate()
    (connection,) = harness.get(GatewayNode, NODE).status.connections
    assert connection.path is not None
    return connection.path  # type: ignore[no-any-return]


def lose_ike(harness: AgentHarness) -> None:
    harness.node.peer_answers = False
    for name in tuple(harness.node.negotiated):
        harness.node.negotiated.pop(name)


def test_of_a_connection_that_is_up(harness: AgentHarness) -> None:
    up = GatewayPath(ike=True, esp=True, peer_receives=True, mtu=1416, full_size=True)
    assert path(harness, seconds=3) == up
    version = harness.get(GatewayNode, NODE).metadata.resource_version
    for _ in range(20):
        harness.node.esp_packets += 100
        harness.node.ike_packets += 1
        assert path(harness) == up
    assert harness.get(GatewayNode, NODE).metadata.resource_version == version, "counters are not written"


def test_silent_gateway_is_pinged_only_after_a_while(harness: AgentHarness) -> None:
    lose_ike(harness)
    assert path(harness, seconds=3).ike is None, "an established SA was there a moment ago"
    harness.node.peer_answers_ping = False
    assert path(harness, seconds=8) == GatewayPath()
    assert path(harness, seconds=9) == GatewayPath(ping=False, ike=False)
    harness.node.peer_answers_ping = True
    assert path(harness) == GatewayPath(ping=True, ike=False)
    harness.node.ike_packets += 1
    assert path(harness) == GatewayPath(ike=True), "who is heard is not pinged"


def test_esp_that_does_not_arrive(harness: AgentHarness) -> None:
    harness.node.peer_answers = False  # BFD and probes, but the SAs stay
    harness.node.esp_packets = 7
    assert path(harness).esp is True
    assert path(harness, seconds=4).esp is None, "not known for a few seconds"
    assert path(harness, seconds=8).esp is False
    harness.node.esp_packets += 1
    assert path(harness).esp is True


def test_peer_that_receives_nothing(harness: AgentHarness) -> None:
    harness.node.peer_answers = False
    harness.node.bfd_init = frozenset(harness.node.loaded)
    harness.node.esp_packets += 1
    found = path(harness)
    assert (found.esp, found.peer_receives) == (True, False)


def test_long_frames_that_do_not_come_back(harness: AgentHarness) -> None:
    path(harness)
    harness.node.path_mtu = 1400
    assert path(harness, seconds=2).full_size is True
    found = path(harness, seconds=3)
    assert (found.mtu, found.full_size) == (1416, False)
    harness.node.peer_answers = False
    assert path(harness, seconds=4).full_size is None, "no link is up that it could be tried on"


def test_nothing_is_known_without_charon_or_a_capability(harness: AgentHarness) -> None:
    lose_ike(harness)
    harness.node.may_send_probes = False
    assert path(harness, seconds=20).ping is None
    harness.node.charon_answers = False
    harness.clock.seconds += 1
    harness.iterate()
    (connection,) = harness.get(GatewayNode, NODE).status.connections
    assert connection.path is None


def test_network_with_the_greatest_mtu_is_chosen_for_each_connection() -> None:
    mtus = {"cloud-a.1": 1400, "cloud-a.2": 1416, "cloud-a.3": None}
    networks, attachments = [], {}
    for name, mtu in mtus.items():
        link = PlannedLink("cloud-b", "istb", 1, f"02:00:00:00:00:0{name[-1]}")
        networks.append(PlannedNetwork(name, f"patch-{name}", True, (), (link,)))
        found = attachment()
        attachments[name] = found.model_copy(update={"spec": found.spec.model_copy(update={"mtu": mtu})})
    (chosen,) = longest(PlannedNetworks.of(networks), attachments).items()
    assert (chosen[0], chosen[1].link, chosen[1].mtu) == ("istb", ("cloud-a.2", "cloud-b"), 1416)


def test_log_of_a_received_packet_names_its_sender() -> None:
    received = b"received packet: from 203.0.113.7[500] to 192.0.2.11[500] (416 bytes)"
    assert messages.sender_of_ike_packet({"msg": received}) == "203.0.113.7"
    assert messages.sender_of_ike_packet({"msg": received.replace(b"received", b"sending")}) is None
    connections: list[messages.Message] = [{"ist1": {"remote_addrs": [b"203.0.113.7"]}}, {"other": {}}]
    assert messages.remote_addresses(connections) == {"203.0.113.7"}


def test_plugin_reads_what_the_agent_reports(harness: AgentHarness) -> None:
    reported = path(harness, seconds=3).to_wire()
    read = gatewaypath.path({"path": reported})
    assert read == gatewaypath.Path(None, True, True, True, 1416, True, is_reported=True)
    assert gatewaypath.path({"path": GatewayPath(ping=False).to_wire()}).ping is False
