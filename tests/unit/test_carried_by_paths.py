"""An agent finds out what a path carries, and says so: in its status and metrics, and to TCP by its tunnel devices."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from isthmus.core.node.diff import PortComparison
from isthmus.core.node.inner import inner_ends
from isthmus.core.node.pathmtu import INTERVAL_SECONDS, LOST_ECHOES
from isthmus.core.node.plan import NodePlan
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.inforce import EspMode, Nat
from isthmus.model.node.switch import BridgeView, EchoPort, Ports, TunnelPort
from isthmus.model.node.tunnel import Gre, ModeName, TunnelEnds, Vxlan
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.cluster import FakeCluster
from tests.fakes.nodeobjects import ADDRESS, NODE, PEER, peerlink

ROUND_SECONDS = 2.0
ENDS = TunnelEnds(ADDRESS, "198.51.100.11")


@pytest.fixture
def harness() -> AgentHarness:
    harness = AgentHarness()
    harness.start_with_mtu(1416)
    return harness


def carried(harness: AgentHarness, *, rounds: int = 1) -> int | None:
    """What the status says after so many rounds."""
    for _ in range(rounds):
        harness.clock.seconds += ROUND_SECONDS
        harness.agent.prober.probe_once()
        harness.agent.whole_prober.probe_once()
        harness.iterate()
    (connection,) = harness.get(GatewayNode, NODE).status.connections
    return connection.carried_mtu  # type: ignore[no-any-return]


def segments(harness: AgentHarness) -> set[int]:
    """The limits of TCP's segments, of IPv4 and IPv6."""
    expressions = (e for rule in harness.node.clamps.rules for e in json.loads(rule.statements))
    return {e["mangle"]["value"] for e in expressions if "mangle" in e}


def agree_on(harness: AgentHarness, mode: ModeName) -> None:
    controller, link = FakeCluster(harness.store), peerlink(mode=mode)
    controller.apply(link)
    controller.apply_status(link)


def metric(harness: AgentHarness) -> float | None:
    labels = {"peer": PEER, "gateway": "gw-b1"}
    return harness.metrics.registry.get_sample_value("isthmus_path_mtu_bytes", labels)


def test_a_path_that_carries_what_the_interface_does(harness: AgentHarness, caplog: pytest.LogCaptureFixture) -> None:
    assert (carried(harness, rounds=0), metric(harness)) == (None, None), "nobody has tried"
    assert (carried(harness), metric(harness)) == (1416, 1416)
    assert segments(harness) == {1416 - 40, 1416 - 60}
    version = harness.get(GatewayNode, NODE).metadata.resource_version
    assert carried(harness, rounds=20) == 1416
    assert harness.get(GatewayNode, NODE).metadata.resource_version == version
    assert not [text for text in caplog.messages if "cross whole" in text]


def test_a_path_that_carries_less(harness: AgentHarness, caplog: pytest.LogCaptureFixture) -> None:
    harness.node.whole_mtu = 1316
    assert (carried(harness), metric(harness)) == (1316, 1316)
    assert segments(harness) == {1316 - 40, 1316 - 60}
    (text,) = [text for text in caplog.messages if "cross whole" in text]
    assert text.startswith(f"packets of up to 1316 bytes cross whole to {PEER} (ist")
    assert text.endswith("), and our interface carries 1416")


def test_a_path_that_becomes_less_and_more_again(harness: AgentHarness) -> None:
    assert carried(harness) == 1416
    harness.node.whole_mtu = 1301
    assert carried(harness, rounds=LOST_ECHOES - 1) == 1416
    assert carried(harness) == 1301
    harness.node.whole_mtu = 1416
    assert carried(harness, rounds=3) == 1301
    harness.clock.seconds += INTERVAL_SECONDS
    assert carried(harness) == 1301, "it may be another path of several"
    harness.clock.seconds += INTERVAL_SECONDS
    assert carried(harness) == 1416
    assert segments(harness) == {1416 - 40, 1416 - 60}


def test_a_tunnel_that_is_down_says_nothing_of_sizes(harness: AgentHarness) -> None:
    assert carried(harness) == 1416
    harness.node.peer_answers = False
    assert carried(harness, rounds=30) == 1416
    harness.node.peer_answers = True
    assert carried(harness, rounds=5) == 1416


def test_a_new_agent_keeps_what_is_known_until_it_knows(harness: AgentHarness) -> None:
    harness.node.whole_mtu = 1316
    assert carried(harness) == 1316
    harness.new_agent()
    harness.settle(1)
    assert (carried(harness, rounds=0), metric(harness)) == (1316, None)
    harness.node.whole_mtu = 1330
    assert carried(harness, rounds=3) == 1330


def test_a_smaller_interface_counts_at_once(harness: AgentHarness) -> None:
    assert carried(harness) == 1416
    harness.node.address = NodeAddress(ADDRESS, 1400)
    assert carried(harness, rounds=2) == 1316


def test_an_interface_that_carries_less_than_any_network_may_have(
    harness: AgentHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """576 bytes are enough for a tunnel address, and leave less for machines: the node is reported all the same."""
    assert carried(harness) == 1416
    harness.node.address = NodeAddress(ADDRESS, 600)
    assert (carried(harness, rounds=2), metric(harness)) == (1416, None), "what was known last"
    assert "a defect of Isthmus" not in caplog.text
    status = harness.get(GatewayNode, NODE).status
    assert [address.mtu for address in status.addresses] == [600]


def test_a_large_underlay(harness: AgentHarness) -> None:
    harness.node.address = NodeAddress(ADDRESS, 9000)
    harness.node.path_mtu = harness.node.whole_mtu = 8916
    harness.settle(2)
    assert carried(harness, rounds=2) == 8916


@pytest.mark.parametrize(
    ("mode", "nat", "whole"),
    [
        ("Transport", "None", 1416),
        ("Transport", "Local", 1408),
        ("Transport", "Remote", 1408),
        ("Transport", "Both", 1408),
        ("Tunnel", "None", 1396),
        ("Tunnel", "Both", 1388),
    ],
)
def test_more_than_esp_leaves_room_for_is_never_tried(
    harness: AgentHarness, mode: EspMode, nat: Nat, whole: int
) -> None:
    """Although all echoes would come back here."""
    agree_on(harness, mode)
    harness.settle(3)
    in_force = harness.node.in_force
    in_force.update({digest: replace(found, nat=nat) for digest, found in in_force.items()})
    harness.settle(1)
    assert carried(harness, rounds=0) is None
    assert segments(harness) == {whole - 40, whole - 60}, "before anything was tried"
    assert carried(harness) == whole
    assert segments(harness) == {whole - 40, whole - 60}


def echo_ends(harness: AgentHarness) -> set[str]:
    """The remote ends that flows set for what leaves by echo ports."""
    return {end for flow in harness.node.flows.values() for end in re.findall(r"([0-9.]+)->tun_dst", flow[1])}


def test_echoes_go_to_new_ends_only_behind_fences_and_a_connection(
    harness: AgentHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """Here another's device keeps the inner ends from being made, so that nothing is loaded for them."""
    assert echo_ends(harness) == {ENDS.remote}
    harness.node.foreign_inner_device = True
    agree_on(harness, "Tunnel")
    harness.settle(1)
    assert echo_ends(harness) == set()
    assert "a defect of Isthmus" not in caplog.text, "the former connection lacks no fence"
    harness.node.foreign_inner_device = False
    harness.settle(3)
    assert echo_ends(harness) == {inner_ends("gw-a1.cloud-a", "gw-b1.cloud-b").remote}


def test_what_cannot_be_sent_is_not_known(harness: AgentHarness) -> None:
    harness.node.may_send_probes = False
    assert carried(harness, rounds=5) is None


def test_no_echo_port_takes_the_place_of_a_foreign_one() -> None:
    """Open vSwitch has one GRE port for any ends, whatever bridge it is on; UDP ports are ours alone."""
    tunnels = frozenset({TunnelPort("ist1", Gre(), ENDS), TunnelPort("ist2", Vxlan(14789), ENDS)})
    plan = NodePlan(ports=Ports(tunnels, echoes=frozenset(EchoPort(t.encapsulation) for t in tunnels)))
    loaded, (gre,) = [t.name for t in tunnels], (e for e in plan.ports.echoes if isinstance(e.encapsulation, Gre))
    for shared in (False, True):
        bridge = BridgeView(True, Ports(), gre_is_shared=shared)
        assert (gre in PortComparison().missing(plan, bridge, loaded).echoes) is not shared
        assert len(PortComparison().missing(plan, bridge, loaded).echoes) == 2 - shared
        assert PortComparison().missing(plan, bridge, []).echoes == frozenset(), "not before there is a connection"
        existing = BridgeView(True, plan.ports, gre_is_shared=shared)
        assert PortComparison().unwanted(plan, existing) == ({gre.name} if shared else frozenset())


def test_a_tunnel_that_carries_more_again_is_known_at_once(
    harness: AgentHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """In tunnel mode, and no longer; nothing on the path carries less, and so nothing is warned of."""
    assert carried(harness) == 1416
    agree_on(harness, "Tunnel")
    harness.settle(3)
    assert carried(harness, rounds=2) == 1396
    agree_on(harness, "Transport")
    harness.settle(3)
    assert carried(harness, rounds=2) == 1416
    assert not [each for each in caplog.records if "cross whole" in each.message and each.levelname == "WARNING"]
