"""A member of a network speaks for its own addresses only, on the kernel's data path."""

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
from tests.kernel.frames import BROADCAST, arp, frame, ipv4_udp, neighbour_discovery
from tests.kernel.openvswitch import Machine
from tests.testbed.host.process import wait_until

MOVING = "06:00:00:00:00:42"
VIRTUAL = "00:00:5e:00:01:07"
NESTED = "06:00:00:00:00:43"
OF_A, OF_B = ("10.20.0.11", "fd00::11"), ("10.20.0.12", "fd00::12")
ALL_NODES = "33:33:00:00:00:01"
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


def _claims(mac: str) -> dict[str, bytes]:
    """Frames of the machine with that MAC address that claim those of IP of cloud a's machine."""
    address, of_ipv6 = OF_A
    return {
        "ARP reply": frame(BROADCAST, mac, arp(2, mac, address, "10.20.0.98")),
        "ARP request": frame(BROADCAST, mac, arp(1, mac, address, "10.20.0.98")),
        "ARP announcement": frame(BROADCAST, mac, arp(1, mac, address, address)),
        "advertisement": frame(ALL_NODES, mac, neighbour_discovery(136, "fd00::99", "ff02::1", of_ipv6, mac)),
        "solicitation": frame(ALL_NODES, mac, neighbour_discovery(135, of_ipv6, "ff02::1", "fd00::98", mac)),
    }


@pytest.fixture
def exclusive(clouds: tuple[Cloud, Cloud], owned: tuple[str, str]) -> None:
    """Both clouds also know whose the IP addresses of these machines are."""
    (of_a, of_b), (a, b) = owned, clouds
    _have(a, PlannedOwner(None, None, (of_a,), OF_A), PlannedOwner("cloud-b", None, (of_b,), OF_B))
    _have(b, PlannedOwner(None, None, (of_b,), OF_B), PlannedOwner("cloud-a", None, (of_a,), OF_A))


@pytest.mark.usefixtures("exclusive")
@pytest.mark.parametrize("mac", ["of the machine", VIRTUAL, NESTED])
def test_claims_of_another_clouds_ip_address_do_not_leave(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine], mac: str
) -> None:
    sent = _claims(machines["b-red"].mac if mac == "of the machine" else mac)
    with _dropped(clouds[1], 0, len(sent)):
        assert _arrived(machines["b-red"], machines["a-red"], [*sent.values()]) == 0


@pytest.mark.usefixtures("exclusive")
def test_claims_of_this_clouds_ip_address_are_not_taken_from_a_peer_that_does_not_guard(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]
) -> None:
    a, b = clouds
    sent = _claims(machines["b-red"].mac)
    _have(b)
    assert _arrived(machines["b-red"], machines["a-red"], [*_claims(NESTED).values()]) == 0
    with _dropped(a, a.key(0)[1], len(sent)):
        assert _arrived(machines["b-red"], machines["a-red"], [*sent.values()]) == 0
    _have(a)
    assert _arrived(machines["b-red"], machines["a-red"], [*sent.values()], len(sent)) == len(sent), "they do cross"


@pytest.mark.usefixtures("exclusive")
def test_owners_claims_searches_for_duplicates_and_other_addresses_cross(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]
) -> None:
    """Virtual addresses among them, which move between clouds; and the owner answers who searches for duplicates."""
    a, b = clouds
    mac = machines["b-red"].mac
    sent = [
        frame(BROADCAST, mac, arp(1, mac, "0.0.0.0", OF_A[0])),
        frame(ALL_NODES, mac, neighbour_discovery(135, "::", "ff02::1", OF_A[1], mac)),
        frame(BROADCAST, mac, arp(1, mac, "10.20.0.100", "10.20.0.100")),
        frame(BROADCAST, VIRTUAL, arp(1, VIRTUAL, "10.20.0.100", "10.20.0.100")),
        frame(ALL_NODES, mac, neighbour_discovery(136, "fd00::100", "ff02::1", "fd00::100", mac)),
    ]
    with _dropped(a, 0, 0), _dropped(b, 0, 0):
        assert _arrived(machines["b-red"], machines["a-red"], sent, len(sent)) == len(sent)
        of_a = [*_claims(machines["a-red"].mac).values()]
        assert _arrived(machines["a-red"], machines["b-red"], of_a, len(of_a)) == len(of_a)
        assert machines["b-red"].ping(OF_A[0]) == 3


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
    """Published addresses are looked up by the source alone, which the kernel's cached flows have for learning.

    IP addresses are looked up for ARP and neighbour discovery only: cached flows of other frames have none of them.
    """
    a, _ = clouds
    addresses = tuple(f"10.21.{number >> 8}.{number & 255}" for number in range(PUBLISHED))
    sources = [f"06:00:00:01:00:{number:02x}" for number in range(SENDERS)]
    without = _cached(a, machines, sources)
    many = tuple(
        f"06:00:01:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}" for number in range(PUBLISHED)
    )
    _have(a, PlannedOwner(None, None, owned[:1], OF_A), PlannedOwner("cloud-b", None, (*owned[1:], *many), addresses))
    with flow_changes(a.switch, "br-cloud") as changes:
        fewer = PlannedOwner("cloud-b", None, (*owned[1:], *many[:-1]), addresses)
        _have(a, PlannedOwner(None, None, owned[:1], OF_A), fewer)
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
    listed = [line for line in cloud.switch.appctl("dpctl/dump-flows").splitlines() if "06:00:00:01:00:" in line]
    assert not [line for line in listed if "10.20.0.99" in line]
    return len(listed)
