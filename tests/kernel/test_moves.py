"""A machine that moves between two clouds is found at its new place from its first frame there on."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from isthmus.model.node.pipeline import Table, learned_cookie
from tests.kernel.bridged import TAGS, Cloud
from tests.kernel.frames import BROADCAST, arp, frame, ipv4_udp
from tests.kernel.openvswitch import Machine, sh
from tests.testbed.host.process import wait_until

MOVING = "06:00:00:00:00:42"
_COOKIE = re.compile(r"cookie=(0x[0-9a-f]+)")


def _place(cloud: Cloud, mac: str) -> set[int]:
    """Cookies of the flows that say where an address is."""
    listed = cloud.switch.ofctl(f"dump-flows br-cloud table={Table.LEARNED:d},dl_dst={mac}")
    return {int(cookie, 16) for cookie in _COOKIE.findall(listed)}


def _appear(machine: Machine) -> None:
    """The moving machine's first frame: it announces itself, as after a live migration."""
    machine.send(frame(BROADCAST, MOVING, arp(1, MOVING, "10.20.0.42", "10.20.0.42")))


def _arrive(sender: Machine, receiver: Machine) -> None:
    """Once cached flows are revalidated: within 500 ms (`max-revalidator`), or more on a slow machine."""
    wait_until(lambda: _arrives(sender, receiver), 20, "a frame to the moving machine")


def _arrives(sender: Machine, receiver: Machine) -> bool:
    sent = frame(MOVING, sender.mac, ipv4_udp("10.20.0.99", "10.20.0.42", 9, 9))
    with receiver.listening() as received:
        sender.send(sent)
        return sent in received(0.5)


@pytest.fixture
def neighbour(clouds: tuple[Cloud, Cloud]) -> Iterator[Machine]:
    """Another machine of network red in cloud a."""
    a, _ = clouds
    yield a.switch.attach_port("a-red2", "10.20.0.13", TAGS["red"])
    a.switch.vsctl("del-port br-int t-a-red2")
    sh("ip netns delete a-red2")


def test_moved_machine_is_followed_at_its_first_frame(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]
) -> None:
    """From cloud b to cloud a and back: in each cloud one flow says where it is, and the first frame replaces it."""
    by_name = {cloud.name: cloud for cloud in clouds}
    for here, there in (("b", "a"), ("a", "b")) * 2:
        _appear(machines[f"{here}-red"])
        number, _ = by_name[here].key(0)
        far_number, far_member = by_name[there].key(0)
        wait_until(lambda: _place(by_name[here], MOVING) == {learned_cookie(number)}, 20, "its place here")  # noqa: B023
        wait_until(
            lambda: _place(by_name[there], MOVING) == {learned_cookie(far_number, far_member)},  # noqa: B023
            20,
            "its place there",
        )
        _arrive(machines[f"{there}-red"], machines[f"{here}-red"])


def test_frames_for_machines_of_this_cloud_do_not_cross(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine], neighbour: Machine
) -> None:
    """br-int floods them when it has forgotten the address."""
    a, b = machines["a-red"], machines["b-red"]
    _appear(b)
    _arrive(neighbour, b)
    _appear(a)
    wait_until(lambda: _place(clouds[0], MOVING) == {learned_cookie(clouds[0].key(0)[0])}, 20, "its place here")
    wait_until(lambda: not _arrives(neighbour, b), 20, "the end of frames to the other cloud")
    clouds[0].switch.appctl("fdb/flush br-int")
    _arrive(neighbour, a)
    clouds[0].switch.appctl("fdb/flush br-int")
    assert not _arrives(neighbour, b)


def test_moved_machine_of_one_network_is_not_looked_for_in_another(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]
) -> None:
    """Tenants may have equal MAC addresses."""
    a, _ = clouds
    _appear(machines["a-red"])
    _appear(machines["b-blue"])
    red, member = a.key(0)
    blue, _ = a.key(1)
    wait_until(lambda: _place(a, MOVING) == {learned_cookie(red), learned_cookie(blue, member)}, 20, "both places")
    _arrive(machines["b-red"], machines["a-red"])
    _arrive(machines["a-blue"], machines["b-blue"])
