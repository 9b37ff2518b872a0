"""Two receivers that are peers: frames between them go directly, and through the origin while that fails.

Last of this directory: from then on there is traffic between the two on the WAN.
"""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.lab.federation.hub import (
    BROADCASTS,
    Everywhere,
    Hub,
    frames_between,
    require_complete,
    require_nothing_twice,
)
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import objects
from tests.testbed.install.spoke import CHANGED_SECONDS, DIRECT, THROUGH, Receivers
from tests.testbed.workload.broadcast import BroadcastRun
from tests.testbed.workload.loss import ping_losing_nothing
from tests.testbed.workload.tenant import Stretch

pytestmark = pytest.mark.stage("third")

PROMISED_SECONDS = 1.5
"""How long a direct path that is cut may at most take the traffic with it."""

FRAME_BYTES = 1000

_PINGS = 100


@pytest.fixture(scope="module")
def receivers(hub: Hub) -> Iterator[Receivers]:
    """Clouds B and C as peers of each other."""
    found = Receivers(hub.federations[0], hub.spoke)
    hub.require_apart()
    hub.receivers_are_peers = True
    try:
        found.introduce()
        yield found
    finally:
        found.remove_peers()


@pytest.fixture(scope="module")
def hybrid(receivers: Receivers, network: Everywhere) -> Iterator[Everywhere]:
    """A network in all three clouds, in the default topology; the two peers reach each other directly."""
    network.rejoin()
    wait_for_path(receivers, network, DIRECT)
    yield network
    network.withdraw()


def wait_for_path(receivers: Receivers, network: Everywhere, wanted: str) -> None:
    receivers.wait_for_path(network.hub.federations[0].link_name(network.tenant.network_id), wanted)


def between(receivers: Receivers, network: Everywhere) -> Stretch:
    """The parts of a network at both receivers, as if it were stretched from one to the other."""
    one, other = network.stretches.values()
    found = Stretch(receivers, one.remote, other.remote, one.remotes[0])
    found.remotes.append(other.remotes[0])
    return found


def test_receivers_that_are_peers_use_their_own_tunnel(receivers: Receivers, hybrid: Everywhere) -> None:
    _, b, c = hybrid.machines
    with receivers.lab.wan.capture(receivers.b.cloud.gateway) as capture:
        assert b.ping(str(c.address), count=_PINGS, interval_seconds=0.02).all_answered
    assert frames_between(capture, *(side.cloud for side in receivers.both)) >= 2 * _PINGS
    assert b.tcp_exchange(c).intact
    hybrid.wait_for_ping()


def test_the_origin_hands_frames_on_while_the_direct_path_is_cut(
    receivers: Receivers, hybrid: Everywhere, record_property: Callable[[str, object], None]
) -> None:
    """Nothing passes for as long as promised at most; it is cut again if a node was starved meanwhile."""
    with BroadcastRun(hybrid.machines, hybrid.broadcast) as run:
        cut = partial(cut_direct_path, receivers, hybrid)
        result = ping_losing_nothing(between(receivers, hybrid), cut, PROMISED_SECONDS)
        require_nothing_twice(run)
    silence = f"longest silence {result.longest_silence_seconds:.2f} s"
    record_property("direct path cut", f"{result.lost} of {result.transmitted} pings lost, {silence}")
    assert result.arrived_again == 0


def cut_direct_path(receivers: Receivers, network: Everywhere) -> None:
    """Until both receivers send through the origin; returns when both send directly again."""
    wan, (_, b, c) = receivers.lab.wan, network.machines
    wan.drop_between(*(side.cloud.site.gateway_wan_address.ip for side in receivers.both))
    try:
        wait_for_path(receivers, network, THROUGH)
        assert c.ping(str(b.address)).all_answered
    finally:
        wan.pass_between()
    wait_for_path(receivers, network, DIRECT)


def test_the_topology_is_changed_under_traffic(hub: Hub, receivers: Receivers, hybrid: Everywhere) -> None:
    """With each one all machines reach each other, broadcasts are complete, and frames take no other path."""
    with BroadcastRun(hybrid.machines, hybrid.broadcast) as run:
        for topology, wanted in (("Centralized", THROUGH), ("Decentralized", DIRECT), ("Hybrid", DIRECT)):
            hybrid.change_topology(topology)
            wait_for_path(receivers, hybrid, wanted)
            hybrid.wait_for_ping()
            wait_for_member_links(receivers, 0 if topology == "Centralized" else 1)
            require_path(hub, receivers, hybrid, run, wanted)


def wait_for_member_links(receivers: Receivers, number: int) -> None:
    for side in receivers.both:
        listed = partial(objects, side.cloud, "memberlinks")
        wait_until(lambda: len(listed()) == number, CHANGED_SECONDS, "MemberLinks to follow")  # noqa: B023


def require_path(hub: Hub, receivers: Receivers, network: Everywhere, run: BroadcastRun, wanted: str) -> None:
    """Fail if a broadcast is missing or comes twice, or if frames of machines cross the WAN by the other path alone.

    Through the origin, nothing between the receivers is as long as these frames are: there is only the tunnel's BFD.
    """
    _, b, c = network.machines
    with receivers.lab.wan.capture(receivers.b.cloud.gateway) as capture:
        require_complete(run, network.machines, run.heard())
        assert b.ping(str(c.address), size=FRAME_BYTES).all_answered
    ends = [side.cloud for side in receivers.both]
    for receiver in ends:
        assert frames_between(capture, hub.origin.cloud, receiver, long_esp=True) > BROADCASTS
    directly = frames_between(capture, *ends, long_esp=True)
    assert directly > BROADCASTS if wanted == DIRECT else directly == 0
