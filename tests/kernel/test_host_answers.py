"""ARP requests for addresses that a peer publishes are answered here, and no others; on userspace Open vSwitch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from isthmus.model.node.flows import KnownAddress, PlannedLink, PlannedNetwork
from isthmus.model.node.pipeline import answer_meter, storm_meter
from tests.kernel.frames import BROADCAST, arp, frame
from tests.kernel.userspace import NETWORK, PATCH, TUNNELS, Bridge, userspace_bridge

HERE, HERE_MAC = "10.20.0.11", "06:00:00:00:00:11"
IN_B, IN_B_MAC = "10.20.0.129", "fa:16:3e:00:00:b1"
IN_C, IN_C_MAC = "10.20.0.193", "00:16:3e:ff:fe:c1"
QUIET, QUIET_MAC = "10.20.0.131", "fa:16:3e:00:00:b3"
UNKNOWN = "10.20.0.77"
KNOWN_IN_B = KnownAddress(IN_B, IN_B_MAC), KnownAddress(QUIET, QUIET_MAC)
TO_B = PlannedLink("cloud-b", TUNNELS["cloud-b"], 0x100000, "02:00:00:00:00:b0", KNOWN_IN_B)
TO_C = PlannedLink("cloud-c", TUNNELS["cloud-c"], 0x180000, "02:00:00:00:00:c0", (KnownAddress(IN_C, IN_C_MAC),))
STRETCHED = PlannedNetwork("net", PATCH, True, ("10.20.0.1",), (TO_B, TO_C))
OUT = sorted(TUNNELS.values())


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    with userspace_bridge(tmp_path_factory.mktemp("answers")) as bridge:
        bridge.install(STRETCHED)
        yield bridge


def _request(target: str, sender: str = HERE, mac: str = HERE_MAC, destination: str = BROADCAST) -> bytes:
    return frame(destination, mac, arp(1, mac, sender, target))


def _answer(target: str, target_mac: str) -> bytes:
    """The reply of a machine with that address to the one here (RFC 826)."""
    body = arp(2, target_mac, target, HERE)
    return frame(HERE_MAC, target_mac, body[:40] + HERE_MAC.replace(":", "") + body[52:])


def test_what_is_installed_is_what_was_written(bridge: Bridge) -> None:
    view = bridge.openflow.view()
    assert view.flows == {cookie: found.flows for cookie, found in bridge.installed.items()}
    assert not bridge.install(STRETCHED).sets


@pytest.mark.parametrize(("target", "mac"), [(IN_B, IN_B_MAC), (IN_C, IN_C_MAC)])
def test_request_is_answered_in_the_name_of_the_machine_and_does_not_cross(
    bridge: Bridge, target: str, mac: str
) -> None:
    assert bridge.enter(_request(target)) == {PATCH: [_answer(target, mac)]}


CROSS = {
    "an address that is not known": _request(UNKNOWN),
    "an address of this cloud": _request("10.20.0.12"),
    "search for a duplicate": _request(IN_B, sender="0.0.0.0"),
    "announcement": _request(HERE, sender=HERE),
    "announcement of a machine that has moved here": _request(IN_B, sender=IN_B, mac=IN_B_MAC),
    "request of a machine that has moved here": _request(IN_C, sender=IN_B, mac=IN_B_MAC),
    "reply": frame(BROADCAST, HERE_MAC, arp(2, HERE_MAC, HERE, IN_B)),
    "request to an address that is not learned": _request(IN_B, destination="fa:16:3e:00:00:99"),
    "request to a group": _request(IN_B, destination="01:00:5e:00:00:01"),
    "reverse ARP": frame(BROADCAST, HERE_MAC, "8035" + arp(3, HERE_MAC, HERE, IN_B)[4:]),
}


@pytest.mark.parametrize("what", CROSS)
def test_everything_else_crosses_unchanged(bridge: Bridge, what: str) -> None:
    assert bridge.enter(CROSS[what]) == {port: [CROSS[what]] for port in OUT}


def test_request_to_the_machine_itself_goes_where_it_was_learned(bridge: Bridge) -> None:
    bridge.arrive("cloud-c", 0x180000, frame(BROADCAST, IN_C_MAC, arp(1, IN_C_MAC, IN_C, HERE)))
    sent = _request(IN_C, destination=IN_C_MAC)
    assert bridge.enter(sent) == {TUNNELS["cloud-c"]: [sent]}


def test_what_is_sent_to_a_published_machine_reaches_its_cloud_alone_until_it_is_seen_elsewhere(
    bridge: Bridge,
) -> None:
    """It was answered for, and may never have sent anything; no storm meter limits it."""
    sent = frame(QUIET_MAC, HERE_MAC, "88b7")
    bridge.ofctl("mod-meter", f"meter={storm_meter(NETWORK)},pktps,burst,band=type=drop,rate=1,burst_size=1")
    try:
        assert bridge.enter(*[sent] * 10) == {TUNNELS["cloud-b"]: [sent] * 10}
    finally:
        bridge.install(STRETCHED)
    bridge.arrive("cloud-c", 0x180000, frame(BROADCAST, QUIET_MAC, arp(1, QUIET_MAC, QUIET, HERE)))
    assert bridge.enter(sent) == {TUNNELS["cloud-c"]: [sent]}


def test_requests_of_a_peer_are_delivered(bridge: Bridge) -> None:
    """Not even those for what another peer publishes are answered: each cloud answers its own machines."""
    for target in (HERE, IN_B, IN_C):
        sent = frame(BROADCAST, IN_B_MAC, arp(1, IN_B_MAC, IN_B, target))
        assert bridge.arrive("cloud-b", 0x100000, sent) == {PATCH: [sent]}


def test_claims_of_the_gateway_stay_dropped(bridge: Bridge) -> None:
    sent = frame(BROADCAST, IN_B_MAC, arp(1, IN_B_MAC, "10.20.0.1", HERE))
    assert bridge.arrive("cloud-b", 0x100000, sent) == {}


def test_answers_pass_their_own_meter(bridge: Bridge) -> None:
    """Without tokens there is no answer."""
    meter = answer_meter(NETWORK)
    bridge.ofctl("mod-meter", f"meter={meter},pktps,burst,band=type=drop,rate=1,burst_size=1")
    try:
        answered = bridge.enter(*[_request(IN_B)] * 10).get(PATCH, [])
        assert len(answered) < 5
    finally:
        bridge.install(STRETCHED)
    assert bridge.enter(_request(IN_B)) == {PATCH: [_answer(IN_B, IN_B_MAC)]}


def test_one_address_more_or_less_changes_its_own_flows_alone(bridge: Bridge) -> None:
    more = replace(TO_B, known=(*TO_B.known, KnownAddress("10.20.0.130", "fa:16:3e:00:00:b2")))
    change = bridge.install(replace(STRETCHED, links=(more, TO_C)))
    assert [(len(found.add), found.delete) for found in change.sets] == [(2, ())]
    change = bridge.install(STRETCHED)
    assert [(found.add, len(found.delete)) for found in change.sets] == [((), 2)]
    assert bridge.enter(_request("10.20.0.130")).keys() == {*OUT}


def test_address_with_another_mac_is_answered_with_that(bridge: Bridge) -> None:
    moved = replace(TO_B, known=(KnownAddress(IN_B, IN_C_MAC),))
    bridge.install(replace(STRETCHED, links=(moved, TO_C)))
    try:
        assert bridge.enter(_request(IN_B)) == {PATCH: [_answer(IN_B, IN_C_MAC)]}
    finally:
        bridge.install(STRETCHED)
