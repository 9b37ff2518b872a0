"""A member of a network speaks for its own MAC addresses only, on the kernel's data path."""

from __future__ import annotations

import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from isthmus.model.node.drops import Drop
from isthmus.model.node.flows import PlannedOwner
from isthmus.model.node.pipeline import Table, learned_cookie, owner_cookie
from tests.kernel.bridged import Cloud
from tests.kernel.flowchanges import flow_changes
from tests.kernel.frames import BROADCAST, frame, ipv4_udp
from tests.kernel.openvswitch import Machine
from tests.testbed.host.process import wait_until

MOVING = "06:00:00:00:00:42"
VIRTUAL = "00:00:5e:00:01:07"
NESTED = "06:00:00:00:00:43"
FRAMES = 5
PUBLISHED = 10_000
SENDERS = 50


def _have(cloud: Cloud, *owners: PlannedOwner) -> None:
    """These are the owners of the addresses of network red at that cloud from now on."""
    red, *others = cloud.networks
    cloud.networks = (replace(red, owners=owners), *others)
    cloud.install()


def _publish(clouds: tuple[Cloud, Cloud], of_a: tuple[str, ...], of_b: tuple[str, ...]) -> None:
    """Both clouds hear of what each of them has."""
    a, b = clouds
    _have(a, PlannedOwner(None, None, of_a), PlannedOwner("cloud-b", None, of_b))
    _have(b, PlannedOwner(None, None, of_b), PlannedOwner("cloud-a", None, of_a))


@pytest.fixture
def owned(clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]) -> Iterator[tuple[str, str]]:
    """The MAC addresses of the machines of network red, which their clouds publish."""
    found = machines["a-red"].mac, machines["b-red"].mac
    _publish(clouds, (found[0],), (found[1],))
    yield found
    for cloud in clouds:
        _have(cloud)


def _numbered(source: str, destination: str = BROADCAST) -> list[bytes]:
    """Different frames each time."""
    first = time.monotonic_ns()
    datagrams = (
        ipv4_udp("10.20.0.99", "10.20.0.98", 9, 9, struct.pack("!Q", first + number)) for number in range(FRAMES)
    )
    return [frame(destination, source, datagram) for datagram in datagrams]


def _arrived(sender: Machine, receiver: Machine, sent: list[bytes], wanted: int = 0) -> int:
    """How many of these frames arrive; so many are waited for, and others half a second."""
    found = set[bytes]()
    with receiver.listening() as received:
        sender.send(*sent)

        def enough() -> bool:
            found.update({*received(0.5)} & {*sent})
            return len(found) >= wanted

        with suppress(TimeoutError):
            wait_until(enough, 20, "the frames")
    return len(found)


@contextmanager
def _dropped(cloud: Cloud, sender: int, count: int) -> Iterator[None]:
    """Meanwhile the cloud drops so many frames of that member of network red for somebody else's address."""
    key = (cloud.key(0)[0], sender, Drop.OWNERSHIP)
    before = cloud.openflow.view().dropped

    def counted() -> Counter[tuple[int, int, Drop]]:
        return Counter(cloud.openflow.view().dropped) - Counter(before)

    yield
    with suppress(TimeoutError):
        wait_until(lambda: counted()[key] >= count, 20, "the counter")
    assert {found: frames for found, frames in counted().items() if found[2] == Drop.OWNERSHIP} == (
        {key: count} if count else {}
    )


def _listed(cloud: Cloud, table: Table, match: str) -> list[str]:
    listed = cloud.switch.ofctl(f"dump-flows br-cloud table={table:d},{match}").splitlines()
    return [line for line in listed if "actions=" in line]


@pytest.mark.usefixtures("owned")
def test_machines_whose_addresses_are_published_reach_each_other(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]
) -> None:
    a, b = clouds
    with _dropped(a, 0, 0), _dropped(b, 0, 0):
        assert machines["a-red"].ping("10.20.0.12") == 3
        assert machines["b-red"].ping("10.20.0.11") == 3
    assert a.probe() == {"red": 1, "blue": 1}


def test_address_of_the_other_cloud_does_not_leave(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine], owned: tuple[str, str]
) -> None:
    _, b = clouds
    with _dropped(b, 0, FRAMES):
        assert _arrived(machines["b-red"], machines["a-red"], _numbered(owned[0])) == 0


def test_address_of_this_cloud_is_not_taken_from_a_peer_that_does_not_guard(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine], owned: tuple[str, str]
) -> None:
    """One of an earlier release. Nothing is learned from it: this cloud's machine is still found here."""
    a, b = clouds
    number, member = a.key(0)
    assert machines["a-red"].ping("10.20.0.12") == 3
    _have(b)
    with _dropped(a, member, FRAMES):
        assert _arrived(machines["b-red"], machines["a-red"], _numbered(owned[0])) == 0
    (place,) = _listed(a, Table.LEARNED, f"dl_dst={owned[0]}")
    assert f"cookie={learned_cookie(number):#x}," in place


@pytest.mark.usefixtures("owned")
@pytest.mark.parametrize("source", [VIRTUAL, NESTED])
def test_address_that_nobody_publishes_is_wherever_it_is_seen(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine], source: str
) -> None:
    a, b = clouds
    for sender, receiver in (("b-red", "a-red"), ("a-red", "b-red")) * 2:
        with _dropped(a, 0, 0), _dropped(b, 0, 0):
            assert _arrived(machines[sender], machines[receiver], _numbered(source), FRAMES) == FRAMES


def test_other_network_is_not_concerned(machines: dict[str, Machine], owned: tuple[str, str]) -> None:
    """Tenants may have equal MAC addresses."""
    assert _arrived(machines["b-blue"], machines["a-blue"], _numbered(owned[0]), FRAMES) == FRAMES


def test_moved_machine_is_heard_as_soon_as_its_old_cloud_no_longer_publishes_it(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine], owned: tuple[str, str]
) -> None:
    """From cloud b to cloud a, in the order in which they hear of it."""
    (here, there), a, b = owned, machines["a-red"], machines["b-red"]
    _publish(clouds, (here,), (there, MOVING))
    assert _arrived(b, a, _numbered(MOVING), FRAMES) == FRAMES
    assert _arrived(a, b, _numbered(MOVING)) == 0, "it is still cloud b's"
    _have(clouds[0], PlannedOwner(None, None, (here, MOVING)), PlannedOwner("cloud-b", None, (there,)))
    assert _arrived(a, b, _numbered(MOVING)) == 0, "cloud b has it, too, and believes itself"
    _have(clouds[1], PlannedOwner(None, None, (there,)), PlannedOwner("cloud-a", None, (here,)))
    assert _arrived(a, b, _numbered(MOVING), FRAMES) == FRAMES
    _publish(clouds, (here, MOVING), (there,))
    assert _arrived(a, b, _numbered(MOVING), FRAMES) == FRAMES
    assert _arrived(b, a, _numbered(MOVING)) == 0
    assert a.ping("10.20.0.12") == 3


@pytest.mark.usefixtures("owned")
def test_probes_pass_whatever_a_member_publishes(clouds: tuple[Cloud, Cloud]) -> None:
    a, b = clouds
    probes = tuple(link.probe_mac for cloud in clouds for link in cloud.networks[0].links)
    for cloud in clouds:
        _have(cloud, PlannedOwner(None, None, probes))
    assert a.probe() == b.probe() == {"red": 1, "blue": 1}
    peer_a, peer_b = (PlannedOwner(cloud.peer, None, probes) for cloud in clouds)
    _have(a, peer_a)
    _have(b, peer_b)
    assert a.probe() == b.probe() == {"red": 1, "blue": 1}


def test_one_port_of_many_changes_one_flow_and_no_cached_flow_more(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine], owned: tuple[str, str]
) -> None:
    """Published addresses are looked up by the source alone, which the kernel's cached flows have for learning."""
    a, _ = clouds
    sources = [f"06:00:00:01:00:{number:02x}" for number in range(SENDERS)]
    without = _cached(a, machines, sources)
    many = tuple(
        f"06:00:01:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}" for number in range(PUBLISHED)
    )
    _have(a, PlannedOwner(None, None, owned[:1]), PlannedOwner("cloud-b", None, (*owned[1:], *many)))
    with flow_changes(a.switch, "br-cloud") as changes:
        _have(a, PlannedOwner(None, None, owned[:1]), PlannedOwner("cloud-b", None, (*owned[1:], *many[:-1])))
        touched = [change for change in changes() if change.table != Table.LEARNED]
    (gone,) = touched
    assert (gone.event, gone.table, gone.cookie) == ("DELETED", Table.OWNER, owner_cookie(a.key(0)[0]))
    assert f"dl_src={many[-1]}" in gone.match
    assert _cached(a, machines, sources) <= without + 5
    _have(a)
    assert _listed(a, Table.OWNER, f"dl_src={many[0]}") == []


def _cached(cloud: Cloud, machines: dict[str, Machine], sources: list[str]) -> int:
    """The number of the kernel's cached flows after machines of these addresses have sent to one of the cloud."""
    cloud.switch.appctl("dpctl/del-flows")
    sent = [frame(machines["a-red"].mac, source, ipv4_udp("10.20.0.99", "10.20.0.11", 9, 9)) for source in sources]
    for _ in range(3):
        for each in sent:
            machines["b-red"].send(each)
            time.sleep(0.01)
    listed = cloud.switch.appctl("dpctl/dump-flows").splitlines()
    return sum("06:00:00:01:00:" in line for line in listed)
