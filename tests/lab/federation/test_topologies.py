"""Two receivers that are peers: frames between them go directly, and through the origin while that fails.

Last of this directory: from then on there is traffic between the two on the WAN.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.lab.federation.hub import Everywhere, Hub, frames_between
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import objects, patch_spec
from tests.testbed.install.spoke import CHANGED_SECONDS, DIRECT, THROUGH, Receivers, wait_connected
from tests.testbed.workload.broadcast import BroadcastRun

pytestmark = pytest.mark.stage("third")

_PINGS = 100
_SOME_SECONDS = 2.0


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


def change(hub: Hub, network: Everywhere, topology: str) -> None:
    name = network.tenant.name
    patch_spec(hub.origin.cloud, "networkexpansion", name, {"topology": topology}, "-n", name)


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
    machines, wan = hybrid.machines, receivers.lab.wan
    _, b, c = machines
    with BroadcastRun(machines, hybrid.broadcast) as run, b.start_ping(str(c.address)) as ping:
        time.sleep(_SOME_SECONDS)
        wan.drop_between(*(side.cloud.site.gateway_wan_address.ip for side in receivers.both))
        try:
            wait_for_path(receivers, hybrid, THROUGH)
            assert c.ping(str(b.address)).all_answered
        finally:
            wan.pass_between()
        wait_for_path(receivers, hybrid, DIRECT)
        time.sleep(_SOME_SECONDS)
        heard, result = run.heard(), ping.stop()
    silence = f"longest silence {result.longest_silence_seconds:.2f} s"
    record_property("direct path cut", f"{result.lost} of {result.transmitted} pings lost, {silence}")
    assert {name: of.more_than_once for name, of in heard.items() if of.more_than_once} == {}


def test_the_topology_is_changed_under_traffic(hub: Hub, receivers: Receivers, hybrid: Everywhere) -> None:
    machines, name = hybrid.machines, hybrid.tenant.name
    with BroadcastRun(machines, hybrid.broadcast) as run:
        for topology, wanted in (("Centralized", THROUGH), ("Decentralized", DIRECT), ("Hybrid", DIRECT)):
            change(hub, hybrid, topology)
            wait_for_path(receivers, hybrid, wanted)
            hybrid.wait_for_ping()
            wanted_links = 0 if topology == "Centralized" else 1
            for side in receivers.both:
                listed = partial(objects, side.cloud, "memberlinks")
                wait_until(lambda: len(listed()) == wanted_links, CHANGED_SECONDS, "MemberLinks to follow")  # noqa: B023
        heard = run.heard()
    assert {name: of.more_than_once for name, of in heard.items() if of.more_than_once} == {}
    wait_connected(hub.origin.cloud, name, name)
