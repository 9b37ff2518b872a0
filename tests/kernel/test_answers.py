"""The kernel's data path answers ARP for known addresses of a peer; IPv6 crosses, but for claims of routers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from isthmus.core.network.router_addresses import link_local_address
from isthmus.model import names
from isthmus.model.node.drops import Drop
from isthmus.model.node.flows import KnownAddress, PlannedNetwork
from tests.kernel.bridged import Cloud
from tests.kernel.frames import BROADCAST, arp, frame, neighbour_discovery
from tests.kernel.openvswitch import Machine, received_with, sh
from tests.testbed.host.process import wait_until

# An address that no machine has: whoever knows it has been answered by the bridge.
ABSENT = KnownAddress("10.20.0.201", "fa:16:3e:00:00:c9")
KNOWN = (ABSENT, *(KnownAddress(f"10.20.0.{number}", f"fa:16:3e:00:00:{number:02x}") for number in range(202, 232)))
ROUTER = "fe80::f816:3eff:fe00:1"
ROUTER_IPV4, ROUTER_MAC = "10.20.0.7", "fa:16:3e:00:00:07"
UNKNOWN = "10.20.0.99"
STORM, STORMS = 6000, 3
RATE, BURST = 200, 400
PACED = 100


def _with(network: PlannedNetwork, *known: KnownAddress) -> PlannedNetwork:
    (link,) = network.links
    return replace(network, links=(replace(link, known=known),), router_addresses=(ROUTER_IPV4, ROUTER))


@pytest.fixture
def knowing(clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]) -> Iterator[Cloud]:
    """Cloud a knows addresses of red's machines in cloud b, and has a router of IPv6 there."""
    a, _ = clouds
    red, *others = a.networks
    a.install((_with(red, *KNOWN, KnownAddress("10.20.0.12", machines["b-red"].mac)), *others))
    _forget(machines["a-red"])
    try:
        yield a
    finally:
        a.install()
        _forget(machines["a-red"])


def _forget(machine: Machine) -> None:
    sh("ip neigh flush dev eth0", machine.netns)


def _request(machine: Machine, target: str) -> bytes:
    return frame(BROADCAST, machine.mac, arp(1, machine.mac, "10.20.0.11", target))


def _requests(frames: list[bytes], target: str) -> list[bytes]:
    """The ARP requests for an address among received frames."""
    wanted = bytes(map(int, target.split(".")))
    return [found for found in frames if found[12:14] == b"\x08\x06" and found[21] == 1 and found[38:42] == wanted]


def _answers(frames: list[bytes]) -> list[bytes]:
    """The ARP replies among received frames."""
    return [found for found in frames if found[12:14] == b"\x08\x06" and found[21] == 2]


@pytest.mark.usefixtures("knowing")
def test_known_address_is_resolved_without_the_peer(machines: dict[str, Machine]) -> None:
    asking, far = machines["a-red"], machines["b-red"]
    with far.listening() as received:
        assert asking.ping(ABSENT.address, 1) == 0
        assert ABSENT.mac in sh(f"ip neigh show {ABSENT.address}", asking.netns)
        assert asking.ping(UNKNOWN, 1) == 0
        frames = received_with(received, lambda found: _requests(found, UNKNOWN))
    assert _requests(frames, ABSENT.address) == []
    assert _requests(frames, UNKNOWN), "what is not known crosses"


@pytest.mark.usefixtures("knowing")
def test_machine_of_the_peer_is_reached_by_the_answer(machines: dict[str, Machine]) -> None:
    asking, far = machines["a-red"], machines["b-red"]
    with far.listening() as received:
        assert asking.ping("10.20.0.12") == 3
        broadcast = [found for found in _requests(received(0.5), "10.20.0.12") if found[:6] == b"\xff" * 6]
    assert broadcast == []
    assert far.mac in sh("ip neigh show 10.20.0.12", asking.netns)


@pytest.mark.usefixtures("knowing")
def test_requests_of_routers_that_have_no_ingress_port_cross(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]
) -> None:
    """As OVN's do; the control shows that without their addresses they would be lost."""
    switch, patch = clouds[0].switch, names.patch_in_integration_bridge("red")
    for address, crossing in ((ROUTER_IPV4, 1), ("10.20.0.8", 0)):
        asked = frame(BROADCAST, ROUTER_MAC, arp(1, ROUTER_MAC, address, ABSENT.address))
        with machines["b-red"].listening() as received:
            switch.ofctl(f"packet-out br-int 'in_port=controller,packet={asked.hex()},actions=output:{patch}'")
            frames = received_with(received, lambda found: not crossing or _requests(found, ABSENT.address))  # noqa: B023
            assert len(_requests(frames, ABSENT.address)) == crossing


@pytest.mark.usefixtures("knowing")
def test_other_network_with_the_same_addresses_is_not_answered(machines: dict[str, Machine]) -> None:
    with machines["b-blue"].listening() as received:
        assert machines["a-blue"].ping(ABSENT.address, 1) == 0
        assert _requests(received_with(received, lambda found: _requests(found, ABSENT.address)), ABSENT.address)


@pytest.mark.usefixtures("knowing")
@pytest.mark.parametrize("sender", ["0.0.0.0", "10.20.0.12", ABSENT.address], ids=["probe", "moved", "announcement"])
def test_probes_and_announcements_cross(machines: dict[str, Machine], sender: str) -> None:
    asking, far = machines["a-red"], machines["b-red"]
    with far.listening() as received:
        asking.send(frame(BROADCAST, asking.mac, arp(1, asking.mac, sender, ABSENT.address)))
        frames = received_with(received, lambda found: _requests(found, ABSENT.address))
        assert len(_requests(frames, ABSENT.address)) == 1


def test_requests_at_a_normal_pace_are_all_answered(knowing: Cloud, machines: dict[str, Machine]) -> None:
    asking, before = machines["a-red"], _dropped(knowing)
    with asking.listening() as received:
        for _ in range(PACED):
            asking.send(_request(asking, ABSENT.address))
            time.sleep(0.5 / RATE)
        answers = _answers(received_with(received, lambda found: len(_answers(found)) >= PACED))
    assert len(answers) == PACED
    assert _dropped(knowing) == before


def _dropped(cloud: Cloud) -> int:
    """How many frames of its machines in the first network the meters have dropped."""
    network, _ = cloud.key(0)
    return cloud.openflow.view().dropped.get((network, 0, Drop.STORM), 0)


def _answered_by_vswitchd(cloud: Cloud) -> int:
    """The packets of cached flows that hand each packet to ovs-vswitchd."""
    cached = cloud.switch.appctl("dpctl/dump-flows").splitlines()
    counts = (re.search(r"packets:(\d+)", flow) for flow in cached if "slow_path(action)" in flow and "arp(" in flow)
    return sum(int(count[1]) for count in counts if count)


STORMS_OF = {
    "one known address": (ABSENT.address,),
    "all known addresses": tuple(entry.address for entry in KNOWN),
    "an address that is not known": (UNKNOWN,),
}


@pytest.mark.parametrize("targets", STORMS_OF.values(), ids=STORMS_OF)
def test_storm_of_requests_hurts_neither_tunnels_nor_another_network(
    knowing: Cloud, machines: dict[str, Machine], targets: tuple[str, ...]
) -> None:
    """Each answer is made by ovs-vswitchd, which BFD needs, too: the kernel drops what is above the limit."""
    asking, far = machines["a-red"], machines["b-red"]
    frames = [_request(asking, targets[number % len(targets)]) for number in range(STORM)]
    asking.send(*frames[: len(targets)])
    assert machines["a-blue"].ping("10.20.0.12") == 3
    known = UNKNOWN not in targets

    def storm() -> None:
        time.sleep(BURST / RATE)  # the meter is full
        with machines["a-blue"].pinging("10.20.0.12") as lost, far.listening() as received:
            before, handed = asking.frames("rx"), _answered_by_vswitchd(knowing)
            dropped, began = _dropped(knowing), time.monotonic()
            for _ in range(STORMS):
                asking.send(*frames)
            assert bool(_requests(received(1.0), targets[0])) != known
            limit = BURST + RATE * (time.monotonic() - began) + 20
            answered = asking.frames("rx") - before
            assert _answered_by_vswitchd(knowing) - handed <= limit
            assert lost() == 0
        if known:
            assert BURST / 2 < answered <= limit
            assert _dropped(knowing) - dropped > STORM

    assert knowing.keeps_bfd_up(storm)


@pytest.mark.usefixtures("knowing")
def test_machines_reach_each_other_by_ipv6(machines: dict[str, Machine]) -> None:
    """By multicast neighbour discovery, of which nothing is answered for them."""
    for here, there in (("a-red", "b-red"), ("b-red", "a-red")):
        sh("ip -6 neigh flush dev eth0", machines[here].netns)
        assert machines[here].ping(f"{link_local_address(machines[there].mac)}%eth0") == 3


@pytest.mark.parametrize("option", ["2->nd_options_type", "0x60000000->nd_reserved"])
def test_neighbour_discovery_cannot_be_answered(clouds: tuple[Cloud, Cloud], option: str) -> None:
    """A solicitation cannot be turned into an advertisement; where it can, this should be done as for ARP."""
    match = "table=99,icmp6,icmp_type=135,icmp_code=0"
    with pytest.raises(AssertionError, match="OFPBAC_BAD_SET_ARGUMENT"):
        clouds[0].switch.ofctl(f"add-flow br-cloud '{match},actions=set_field:{option},IN_PORT'")


def test_claims_of_a_router_by_the_peer_are_dropped_and_counted(knowing: Cloud, machines: dict[str, Machine]) -> None:
    sender, victim = machines["b-red"], machines["a-red"]
    own = link_local_address(sender.mac)
    claim, true = (
        frame("33:33:00:00:00:01", sender.mac, neighbour_discovery(136, own, "ff02::1", target, sender.mac))
        for target in (ROUTER, own)
    )
    key = (*knowing.key(0), Drop.GATEWAY)
    before = knowing.openflow.view().dropped.get(key, 0)
    with victim.listening() as received:
        sender.send(claim, true)
        frames = received_with(received, lambda found: true in found)
    assert true in frames
    assert claim not in frames
    wait_until(lambda: knowing.openflow.view().dropped.get(key, 0) == before + 1, 20, "the counter")
    advertised = frame("33:33:00:00:00:01", victim.mac, neighbour_discovery(136, ROUTER, "ff02::1", ROUTER, victim.mac))
    with sender.listening() as received:
        victim.send(advertised)
        assert advertised in received_with(received, lambda found: advertised in found)
