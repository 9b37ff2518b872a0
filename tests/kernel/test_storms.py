"""Storms of one network hurt no other, and frames for known addresses never meet the storm meters."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from isthmus.model.node.pipeline import Table
from tests.kernel.bridged import Cloud
from tests.kernel.frames import BROADCAST, arp, frame, ipv4_udp
from tests.kernel.openvswitch import Machine, arrived
from tests.testbed.host.process import wait_until

RATE, BURST = 1000, 1000
FRAMES = 6000
UNKNOWN = "06:00:00:00:00:77"
_SETTLED_SECONDS = 2.0


def _datagram(destination: str, sender: Machine) -> bytes:
    return frame(destination, sender.mac, ipv4_udp("10.20.0.99", "10.20.0.98", 9, 9))


def _storm(sender: Machine, receiver: Machine, sent: bytes, count: int = FRAMES) -> tuple[int, float]:
    """Send the frame as often as that at once; returns how often it arrived, and the seconds until the last did."""
    time.sleep(BURST / RATE)  # the meters are full again
    return arrived(sender, receiver, sent, count)


def _passed_at_most(seconds: float) -> float:
    """What a meter lets pass, and a few frames of neighbour discovery or ARP beside it."""
    return BURST + RATE * (seconds + 0.1) + 20


@contextmanager
def _without_meters(cloud: Cloud, table: Table) -> Iterator[None]:
    """A cloud that does not limit what it sends or delivers."""
    listed = cloud.switch.ofctl(f"--no-names dump-flows br-cloud table={table:d}")
    for match, actions in re.findall(r"priority=10,(\S+) actions=meter:\d+,(\S+)", listed):
        cloud.switch.ofctl(f"mod-flows br-cloud 'table={table:d},{match},actions={actions}'")
    try:
        yield
    finally:
        cloud.install()


@pytest.mark.parametrize("destination", [BROADCAST, "01:00:5e:00:00:fb", UNKNOWN])
def test_group_and_unknown_frames_are_limited_before_they_leave(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine], destination: str
) -> None:
    _, b = clouds
    sender, receiver = machines["a-red"], machines["b-red"]
    with _without_meters(b, Table.DELIVER):
        passed, seconds = _storm(sender, receiver, _datagram(destination, sender))
    assert BURST / 2 <= passed <= _passed_at_most(seconds) < FRAMES


@pytest.mark.parametrize("destination", [BROADCAST, UNKNOWN])
def test_group_and_unknown_frames_of_a_greedy_peer_are_limited(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine], destination: str
) -> None:
    """Its own cloud lets all of them pass."""
    a, b = clouds
    sender, receiver = machines["b-red"], machines["a-red"]
    with _without_meters(b, Table.FLOOD):
        passed, seconds = _storm(sender, receiver, _datagram(destination, sender))
        with _without_meters(a, Table.DELIVER):
            unlimited, _ = _storm(sender, receiver, _datagram(destination, sender))
    assert BURST / 2 <= passed <= _passed_at_most(seconds) < FRAMES
    assert unlimited >= FRAMES * 0.9, "the control: nothing else limits them"


def test_other_networks_and_probes_do_not_notice_a_storm(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]
) -> None:
    a, b = clouds
    sender = machines["b-red"]
    assert machines["a-blue"].ping("10.20.0.12") == 3
    with _without_meters(b, Table.FLOOD), machines["a-blue"].pinging("10.20.0.12") as lost:
        for _ in range(5):
            sender.send(*[_datagram(BROADCAST, sender)] * FRAMES)
            assert a.probe() == b.probe() == {"red": 1, "blue": 1}
        assert lost() == 0


def test_frames_to_known_addresses_are_not_limited(machines: dict[str, Machine]) -> None:
    a, b = machines["a-red"], machines["b-red"]
    for sender, receiver in ((a, b), (b, a)):
        assert sender.ping("10.20.0.12" if sender is a else "10.20.0.11") == 3
        passed, _ = _storm(sender, receiver, _datagram(receiver.mac, sender))
        assert passed >= FRAMES * 0.9


def test_tcp_and_ping_of_the_network_itself_go_on_during_a_storm(machines: dict[str, Machine]) -> None:
    a, b = machines["a-red"], machines["b-red"]
    assert a.ping("10.20.0.12") == 3
    with a.pinging("10.20.0.12") as lost:
        for _ in range(5):
            b.send(*[_datagram(BROADCAST, b)] * FRAMES)
        assert lost() == 0


def test_one_broadcast_after_a_storm_crosses(machines: dict[str, Machine]) -> None:
    a, b = machines["a-red"], machines["b-red"]
    a.send(*[_datagram(BROADCAST, a)] * FRAMES)
    time.sleep(_SETTLED_SECONDS)
    request = frame(BROADCAST, a.mac, arp(1, a.mac, "10.20.0.11", "10.20.0.12"))
    with b.listening() as received:
        a.send(request)
        wait_until(lambda: request in received(0.5), 20, "the broadcast")
