"""What a peer may use of the bandwidth: which frames meet its meters, and what becomes of the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.core.node.plan import NodePlan
from isthmus.model.node.flows import BandwidthMeter, FlowChanges
from isthmus.model.node.pipeline import PROBE_ETHERTYPE, PROBE_REQUEST_MAC, Direction, bandwidth_meter
from tests.fakes.flowplans import PEERS, Bridge, network, plan
from tests.flowinterpreter.switch import Switch, of_sets
from tests.golden.test_flows import CASES, NUMBERS, PORTS, TUNNELS, rendered
from tests.kernel.frames import BROADCAST, frame, ipv4_udp

PROBE, B, C, RED = (PORTS[name] for name in ("isprobe", TUNNELS["cloud-b"], TUNNELS["cloud-c"], "red"))
TO_B, TO_C, B_TO_C, C_TO_B = 0x100000, 0x180000, 0x100001, 0x180001  # tunnel IDs of the case of the golden flows
OF_A, OF_B, OF_C = "fa:16:3e:00:00:a1", "fa:16:3e:00:00:b1", "fa:16:3e:00:00:c1"
NETWORKS = [network(index) for index in range(3)]


def _frame(destination: str, source: str) -> bytes:
    return frame(destination, source, ipv4_udp("10.20.0.9", "10.20.0.8", 9, 9))


def _origin(*used_up: Direction) -> Switch:
    """An origin that knows one machine of each cloud; cloud B has used up what it may in these directions."""
    switch = Switch(
        of_sets(rendered("limited-at-origin")), (bandwidth_meter(NUMBERS.members["cloud-b"], d) for d in used_up)
    )
    for port, tunnel_id, mac in ((RED, 0, OF_A), (C, TO_C, OF_C)):
        switch.receive(_frame(BROADCAST, mac), port, tunnel_id)
    return switch


def _ports(switch: Switch, frame: bytes, port: int, tunnel_id: int = 0) -> list[int]:
    return sorted(sent.port for sent in switch.receive(frame, port, tunnel_id))


class TestReceived:
    """The peer has used up what it may send."""

    def test_everything_of_machines_of_the_peer_is_limited(self) -> None:
        switch = _origin(Direction.RECEIVED)
        assert _ports(switch, _frame(OF_A, OF_B), B, TO_B) == []
        assert _ports(switch, _frame(BROADCAST, OF_B), B, TO_B) == []
        assert _ports(switch, _frame(OF_C, OF_B), B, B_TO_C) == [], "what is handed on"

    def test_other_peers_are_not_concerned(self) -> None:
        switch = _origin(Direction.RECEIVED)
        assert _ports(switch, _frame(OF_A, OF_C), C, TO_C) == [RED]
        assert _ports(switch, _frame(OF_B, OF_C), C, C_TO_B) == [B]
        assert _ports(switch, _frame(BROADCAST, OF_A), RED) == [B, C]

    def test_probes_pass(self) -> None:
        request = frame(PROBE_REQUEST_MAC, "02:00:00:00:00:01", f"{PROBE_ETHERTYPE:04x}")
        in_port = [sent.port for sent in _origin(*Direction).receive(request, B, TO_B)]
        assert in_port == [B], "reflected"


class TestSent:
    """The peer has used up what it may be sent."""

    def test_frames_of_this_cloud_and_of_others_are_limited(self) -> None:
        switch = _origin(Direction.SENT)
        switch.receive(_frame(BROADCAST, OF_B), B, TO_B)
        assert _ports(switch, _frame(OF_B, OF_A), RED) == []
        assert _ports(switch, _frame(OF_B, OF_C), C, C_TO_B) == [], "what is handed on"
        assert _ports(switch, _frame(OF_C, OF_A), RED) == [C]

    def test_copies_of_a_flooded_frame_for_others_are_not_lost(self) -> None:
        """A meter that drops a frame ends what follows in the same flow; storm meters limit these."""
        assert _ports(_origin(Direction.SENT), _frame(BROADCAST, OF_A), RED) == [B, C]

    def test_probes_pass(self) -> None:
        (link, _) = CASES["limited-at-origin"][0].links
        request = frame(PROBE_REQUEST_MAC, link.probe_mac, f"{PROBE_ETHERTYPE:04x}")
        assert _ports(_origin(*Direction), request, PROBE) == [B]


@pytest.fixture
def bridge() -> Bridge:
    found = Bridge()
    found.have(plan(NETWORKS))
    return found


def _limited(mbps: int, of: NodePlan) -> NodePlan:
    return replace(of, bandwidth_mbps={PEERS[0]: mbps})


def _limits(bridge: Bridge) -> dict[int, int]:
    """Kilobits per second by meter."""
    return {m.id: m.kilobits_per_second for m in bridge.node.meters.values() if isinstance(m, BandwidthMeter)}


def test_limit_has_one_meter_for_each_direction(bridge: Bridge) -> None:
    bridge.have(_limited(300, plan(NETWORKS)))
    number = bridge.node.numbers.members[PEERS[0]]
    assert _limits(bridge) == {bandwidth_meter(number, direction): 300_000 for direction in Direction}


def test_another_limit_changes_meters_alone(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    bridge.have(_limited(300, plan(NETWORKS)))
    flows, made = bridge.installed(), list[FlowChanges]()
    monkeypatch.setattr(bridge.flows._openflow, "replace", made.append)
    bridge.have(_limited(200, plan(NETWORKS)))
    assert bridge.installed() == flows
    (change,) = made
    assert [m.kilobits_per_second for m in change.meters if isinstance(m, BandwidthMeter)] == [200_000, 200_000]
    assert not any(found.add or found.delete or found.delete_tables for found in change.sets)


def test_without_a_limit_everything_is_as_before(bridge: Bridge) -> None:
    flows, meters = bridge.installed(), dict(bridge.node.meters)
    bridge.have(_limited(300, plan(NETWORKS)))
    assert bridge.installed() != flows
    bridge.have(plan(NETWORKS))
    assert (bridge.installed(), bridge.node.meters) == (flows, meters)


def test_meters_stay_with_a_network_that_is_not_understood_any_more(bridge: Bridge) -> None:
    """Open vSwitch deletes the flows that use a meter with it."""
    bridge.have(_limited(300, plan(NETWORKS)))
    limits = _limits(bridge)
    kept = replace(plan(NETWORKS[1:]), kept_patches=frozenset({NETWORKS[0].patch_port}), ports=plan(NETWORKS).ports)
    bridge.have(kept)
    assert _limits(bridge) == limits
    bridge.have(plan(NETWORKS[1:]))
    assert _limits(bridge) == {}
