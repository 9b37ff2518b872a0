"""IPv6 frames of machines cross, those of routers do not; on userspace Open vSwitch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from isthmus.model.node.drops import Drop
from isthmus.model.node.flows import PlannedLink, PlannedNetwork
from tests.kernel.frames import frame, icmpv6, ipv6, listener_report, neighbour_discovery
from tests.kernel.userspace import MEMBERS, NETWORK, PATCH, TUNNELS, Bridge, userspace_bridge

HERE, HERE_MAC = "fe80::400:ff:fe00:11", "06:00:00:00:00:11"
THERE, THERE_MAC = "fe80::f816:3eff:fe00:b1", "fa:16:3e:00:00:b1"
ROUTER, ROUTER_MAC, GLOBAL = "fe80::f816:3eff:fe00:1", "fa:16:3e:00:00:01", "fd00:20::1"
OTHER = "fd00:20::77"
TUNNEL_ID = 0x100000
LINK = PlannedLink("cloud-b", TUNNELS["cloud-b"], TUNNEL_ID, "02:00:00:00:00:b0")
STRETCHED = PlannedNetwork("net", PATCH, False, ("10.20.0.1",), (LINK,), (GLOBAL, ROUTER))
GROUP = "33:33:ff:00:00:01"


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    with userspace_bridge(tmp_path_factory.mktemp("ipv6")) as bridge:
        bridge.install(STRETCHED)
        yield bridge


def of_machine(mac: str, source: str, other: str) -> dict[str, bytes]:
    """What a machine sends on a link without routers."""
    return {
        "solicitation": frame(GROUP, mac, neighbour_discovery(135, source, "ff02::1:ff00:1", other, mac)),
        "search for a duplicate": frame(GROUP, mac, neighbour_discovery(135, "::", "ff02::1:ff00:1", source, mac)),
        "advertisement": frame("33:33:00:00:00:01", mac, neighbour_discovery(136, source, "ff02::1", source, mac)),
        "listener report": frame("33:33:00:00:00:16", mac, listener_report(source, "ff02::1:ff00:1")),
        "multicast": frame("33:33:00:00:00:fb", mac, ipv6(source, "ff02::fb", 17, 255, "14e914e900080000")),
        "unicast": frame("fa:16:3e:00:00:99", mac, ipv6(source, other, 17, 64, "0009000900080000")),
    }


@pytest.mark.parametrize("what", of_machine("", "::", "::"))
def test_frames_of_machines_cross(bridge: Bridge, what: str) -> None:
    sent = of_machine(HERE_MAC, HERE, THERE)[what]
    assert bridge.enter(sent) == {TUNNELS["cloud-b"]: [sent]}
    sent = of_machine(THERE_MAC, THERE, HERE)[what]
    assert bridge.arrive("cloud-b", TUNNEL_ID, sent) == {PATCH: [sent]}


def test_solicitations_for_this_clouds_router_are_delivered(bridge: Bridge) -> None:
    """It may answer: only who claims to be it is refused."""
    sent = frame(GROUP, THERE_MAC, neighbour_discovery(135, THERE, "ff02::1:ff00:1", ROUTER, THERE_MAC))
    assert bridge.arrive("cloud-b", TUNNEL_ID, sent) == {PATCH: [sent]}


def claims(router: str) -> dict[str, bytes]:
    """Neighbour discovery by which a machine would be taken for that router, or keep it from having its address."""
    mac = THERE_MAC
    return {
        "advertisement": frame("33:33:00:00:00:01", mac, neighbour_discovery(136, THERE, "ff02::1", router, mac)),
        "answer": frame(HERE_MAC, mac, neighbour_discovery(136, router, HERE, router, mac)),
        "solicitation": frame(GROUP, mac, neighbour_discovery(135, router, "ff02::1:ff00:11", HERE, mac)),
        "solicitation of one machine": frame(HERE_MAC, mac, neighbour_discovery(135, router, HERE, HERE, mac)),
        "search for a duplicate": frame(GROUP, mac, neighbour_discovery(135, "::", "ff02::1:ff00:1", router, mac)),
    }


@pytest.mark.parametrize("router", [ROUTER, GLOBAL])
@pytest.mark.parametrize("what", claims("::"))
def test_claims_of_this_clouds_routers_by_a_peer_are_dropped_and_counted(
    bridge: Bridge, what: str, router: str
) -> None:
    key = (NETWORK, MEMBERS["cloud-b"], Drop.GATEWAY)
    before = bridge.openflow.view().dropped.get(key, 0)
    assert bridge.arrive("cloud-b", TUNNEL_ID, claims(router)[what]) == {}
    assert bridge.openflow.view().dropped[key] == before + 1
    sent = claims(OTHER)[what]
    assert bridge.arrive("cloud-b", TUNNEL_ID, sent) == {PATCH: [sent]}, "another address is none of a router"


@pytest.mark.parametrize("what", claims("::"))
def test_without_routers_here_nothing_is_claimed(bridge: Bridge, what: str) -> None:
    bridge.install(replace(STRETCHED, router_addresses=()))
    try:
        sent = claims(ROUTER)[what]
        assert bridge.arrive("cloud-b", TUNNEL_ID, sent) == {PATCH: [sent]}
    finally:
        bridge.install(STRETCHED)


@pytest.mark.parametrize("type_", [133, 134, 137])
def test_what_routers_and_hosts_tell_each_other_is_dropped_and_counted_on_both_ways(bridge: Bridge, type_: int) -> None:
    sent = frame("33:33:00:00:00:01", ROUTER_MAC, icmpv6(type_))
    keys = [(NETWORK, sender, Drop.IPV6_ROUTER) for sender in (0, MEMBERS["cloud-b"])]
    before = [bridge.openflow.view().dropped.get(key, 0) for key in keys]
    assert bridge.enter(sent) == {}
    assert bridge.arrive("cloud-b", TUNNEL_ID, sent) == {}
    assert [bridge.openflow.view().dropped[key] for key in keys] == [count + 1 for count in before]
