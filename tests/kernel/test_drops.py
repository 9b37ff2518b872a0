"""What br-cloud drops is counted by network, by the cloud that it comes from, and by reason."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from isthmus.model.node.drops import Drop
from isthmus.model.node.pipeline import Table, set_cookie
from tests.kernel.bridged import GATEWAY, Cloud
from tests.kernel.frames import BROADCAST, arp, frame, ipv4_udp, what_never_crosses
from tests.kernel.openvswitch import Machine, sh
from tests.testbed.host.process import wait_until

REASONS = {
    Drop.VLAN_TAG: ("VLAN tag",),
    Drop.FORGED: ("echo ethertype", "echo request", "group source"),
    Drop.LINK_LOCAL: ("spanning tree",),
    Drop.CLOUD_SERVICE: ("DHCP discover", "DHCP offer", "DHCPv6 solicit", "metadata request", "metadata ARP"),
    Drop.IPV6_ROUTER: ("router solicitation", "router advertisement", "redirect"),
}
TIMES = 3
FRAMES = 6000
MAC = "06:00:00:00:00:55"


@pytest.fixture(scope="module", autouse=True)
def _quiet(machines: dict[str, Machine]) -> None:
    """Machines look for no routers of IPv6, which would be counted, too."""
    for machine in machines.values():
        sh("sysctl -qw net.ipv6.conf.eth0.accept_ra=0", machine.netns)


@contextmanager
def _dropped(cloud: Cloud, expected: dict[tuple[int, int, Drop], int]) -> Iterator[None]:
    """Exactly this is dropped meanwhile."""
    cloud.switch.revalidate()  # what was dropped before is counted before, as what machines send when they begin
    before = cloud.openflow.view().dropped
    yield

    def counted() -> dict[tuple[int, int, Drop], int]:
        now = cloud.openflow.view().dropped
        return {key: count - before.get(key, 0) for key, count in now.items() if count > before.get(key, 0)}

    with suppress(TimeoutError):
        wait_until(lambda: counted() == expected, 20, "the counters")
    assert counted() == expected


def _enter(cloud: Cloud, network: int, *frames: bytes) -> None:
    """Have frames enter br-cloud by a network's patch; br-int drops some of them before."""
    patch = cloud.database.view().ofport[cloud.networks[network].patch_port]
    for sent in frames:
        cloud.switch.ofctl(f"packet-out br-cloud 'in_port={patch},packet={sent.hex()},actions=resubmit(,0)'")


@contextmanager
def _without_guard(cloud: Cloud) -> Iterator[None]:
    """The peer's own guard does not work."""
    cloud.switch.ofctl(f"del-flows br-cloud 'table={Table.GUARD:d},cookie={set_cookie():#x}/-1'")
    cloud.switch.ofctl(f"add-flow br-cloud table={Table.GUARD:d},reg1=0,actions=goto_table:{Table.UNICAST:d}")
    try:
        yield
    finally:
        cloud.install()


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.label)
def test_what_this_cloud_may_not_send_is_counted(clouds: tuple[Cloud, Cloud], reason: Drop) -> None:
    a, _ = clouds
    red, _ = a.key(0)
    frames = [what_never_crosses(MAC)[what] for what in REASONS[reason]]
    with _dropped(a, {(red, 0, reason): len(frames)}):
        _enter(a, 0, *frames)


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.label)
def test_what_a_peer_may_not_send_is_counted(clouds: tuple[Cloud, Cloud], reason: Drop) -> None:
    a, b = clouds
    blue, member = a.key(1)
    sent = {what: found for what, found in what_never_crosses(MAC).items() if not what.startswith("echo")}
    frames = [sent[what] for what in REASONS[reason] if what in sent]
    with _without_guard(b), _dropped(a, {(blue, member, reason): len(frames)}):
        _enter(b, 1, *frames)


def test_frames_of_machines_are_counted(clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]) -> None:
    """Most of them by the kernel's cached flows."""
    a, _ = clouds
    red, _ = a.key(0)
    sent = what_never_crosses(machines["a-red"].mac)
    with _dropped(a, {(red, 0, Drop.CLOUD_SERVICE): 100, (red, 0, Drop.IPV6_ROUTER): 50}):
        for _ in range(50):
            machines["a-red"].send(sent["DHCP discover"], sent["metadata ARP"], sent["router advertisement"])
            time.sleep(0.01)


def test_claims_of_the_gateway_are_counted_where_they_leave(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]
) -> None:
    _, b = clouds
    sender = machines["b-red"]
    claim = frame(BROADCAST, sender.mac, arp(2, sender.mac, GATEWAY, "10.20.0.50"))
    with _dropped(b, {(b.key(0)[0], 0, Drop.GATEWAY): TIMES}):
        sender.send(*[claim] * TIMES)


def test_claims_of_the_gateway_by_a_peer_are_counted_where_they_arrive(clouds: tuple[Cloud, Cloud]) -> None:
    """Its own cloud lets them pass."""
    a, b = clouds
    claim = frame(BROADCAST, MAC, arp(2, MAC, GATEWAY, "10.20.0.50"))
    with _without_guard(b), _dropped(a, {(*a.key(0), Drop.GATEWAY): TIMES}):
        b.switch.ofctl(f"del-flows br-cloud table={Table.GUARD:d},arp,arp_spa={GATEWAY}")
        _enter(b, 0, *[claim] * TIMES)


def test_frames_with_several_reasons_have_one(clouds: tuple[Cloud, Cloud]) -> None:
    a, _ = clouds
    discover = ipv4_udp("0.0.0.0", "255.255.255.255", 68, 67)
    tagged = frame("01:80:c2:00:00:00", "03:00:00:00:00:01", "81000007" + discover)
    forged = frame("01:80:c2:00:00:00", "03:00:00:00:00:01", discover)
    red, _ = a.key(0)
    with _dropped(a, {(red, 0, Drop.VLAN_TAG): 2, (red, 0, Drop.FORGED): 1}):
        _enter(a, 0, tagged, tagged, forged)


def test_storms_are_counted_for_the_sender(clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]) -> None:
    """All that a machine has sent has arrived or is counted, and nowhere else."""
    a, b = clouds
    sender, receiver = machines["a-blue"], machines["b-blue"]
    sent = frame(BROADCAST, sender.mac, ipv4_udp("10.20.0.99", "10.20.0.98", 9, 9))
    keys = (*a.key(1)[:1], 0, Drop.STORM), (*b.key(1), Drop.STORM)
    with receiver.listening() as received:

        def arrives() -> bool:
            sender.send(sent)
            return sent in received(0.2)

        # The kernels' flows are cached when one arrives: until then the queue of upcalls loses some.
        wait_until(arrives, 20, "the first frame")
    before, arrived = _of(clouds, keys), receiver.frames("rx")
    sender.send(*[sent] * FRAMES)

    def accounted() -> int:
        return sum(_of(clouds, keys)) - sum(before) + receiver.frames("rx") - arrived

    with suppress(TimeoutError):
        wait_until(lambda: abs(FRAMES - accounted()) <= 10, 20, "the counters")
    assert abs(FRAMES - accounted()) <= 10
    assert _of(clouds, keys)[0] - before[0] > 1000
    storms = {key for key in a.openflow.view().dropped if key[2] == Drop.STORM}
    assert storms == {keys[0]}


def _of(clouds: tuple[Cloud, Cloud], keys: tuple[tuple[int, int, Drop], tuple[int, int, Drop]]) -> tuple[int, int]:
    first, second = (cloud.openflow.view().dropped.get(key, 0) for cloud, key in zip(clouds, keys, strict=True))
    return first, second
