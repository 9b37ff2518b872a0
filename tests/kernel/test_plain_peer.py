"""A whole agent and a gateway that nobody configured through us: a kernel VXLAN device and swanctl, without BFD.

By the pre-shared key, then by certificates. That BFD is missing is reported; traffic crosses all the same.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from isthmus.core.placement.mtu import inner_mtu
from isthmus.model.node.tunnel import Vxlan
from tests.authority import Authority, secret_data
from tests.kernel.agreements import connection_of, publish_to, reason_of
from tests.kernel.node import Node, wire_of
from tests.kernel.openvswitch import Switch, sh
from tests.kernel.plain import PlainGateway
from tests.kernel.side import PSK, TUNNEL_ID, Side
from tests.testbed.host.process import wait_until
from tests.testbed.wan.wire import Traffic

NEAR, FAR = "10.20.0.11", "10.20.0.12"
LARGEST = inner_mtu(1500, Vxlan.HEADER_BYTES)
CA = Authority("one")
Peers = tuple[Side, PlainGateway]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    """With one network; the plain gateway's charon has no configuration yet."""
    directory = tmp_path_factory.mktemp("plain")
    node, plain = Node("a", "192.0.2.1", directory), PlainGateway("192.0.2.2", "192.0.2.1", directory)
    sh("ip netns add a\nip netns add b\nip link add eth0 netns a type veth peer name eth0 netns b")
    for each in (node, plain):
        sh(f"ip link set lo up\nip addr add {each.address}/24 dev eth0\nip link set eth0 up", each.name)
        each.start_charon()
    switch = Switch("a", directory / "a")
    side = Side("a", node, switch, switch.attach_port("vm-a", NEAR, 0))
    sh("ip link set eth0 mtu 1500", "vm-a")
    plain.silence()
    side.start()
    side.introduce(plain)
    side.attach(plain)
    yield side, plain
    side.stop()
    for each in (node, plain):
        each.end_charon(signal.SIGKILL)
    switch.stop()
    sh("ip netns del vm-a; ip netns del a; ip netns del b")


def _ping(plain: PlainGateway, size: int = 84, fragment: bool = True) -> int:
    return plain.ping(NEAR, 3, size, fragment).received


def _protected(side: Side, plain: PlainGateway) -> bool:
    found = connection_of(side)
    return found is not None and found.esp == "Installed" and plain.is_protected()


@pytest.fixture(scope="module", params=["PSK", "Certificate"])
def connected(peers: Peers, request: pytest.FixtureRequest) -> Peers:
    """Both ends authenticate themselves that way; the tunnel is opened once the first SAs are there."""
    side, plain = peers
    with wire_of((side.node, plain)) as wire:
        if request.param == "PSK":
            plain.by_key(PSK)
        else:
            before = side.node.associations()
            plain.by_certificate(CA.issue("gw-b.cloud-b"), CA.certificate)
            side.store_secret(secret_data(CA.issue("gw-a.cloud-a"), ca_crt=CA.certificate))
            by_certificate = {"ipsec.authentication": "Certificate"}
            publish_to(side, plain, by_certificate, by_certificate)
            wait_until(lambda: side.node.associations() and not side.node.associations() & before, 30, "new SAs alone")
        wait_until(lambda: _protected(side, plain), 30, "SAs of both")
        if request.param == "PSK":
            plain.open_tunnel(TUNNEL_ID, FAR)
        wait_until(lambda: side.machine.ping(FAR, 1) == 1, 20, "traffic")
        wire.summary().require_protected()
    return peers


def test_traffic_crosses_and_what_is_missing_is_reported(connected: Peers) -> None:
    side, plain = connected
    with wire_of((side.node, plain)) as wire:
        assert side.machine.ping(FAR, 5) == 5
        assert _ping(plain) == 3
        assert _ping(plain, LARGEST, fragment=False) == 3
        summary = wire.summary()
        summary.require_protected()
        assert summary.counts[Traffic.ESP] >= 22
        assert summary.counts[Traffic.ESP_FRAGMENT] == 0
        assert _ping(plain, LARGEST + 1) == 3
        summary = wire.summary()
        summary.require_protected()
        assert summary.counts[Traffic.ESP_FRAGMENT] >= 6, "of the replies: its own kernel has learned what fits"
    wait_until(lambda: reason_of(side) == "BFDDown", 30, "the reason")
    found = connection_of(side)
    assert found is not None
    assert (found.up, found.ike, found.esp, found.bfd) == (False, "Established", "Installed", "Down")
    assert "does not answer BFD" in found.message


def test_its_charon_is_restarted_by_hand_and_nothing_unprotected_comes_in(connected: Peers) -> None:
    """It has no fences, and sends in clear meanwhile: that is seen on the wire, and not let in."""
    side, plain = connected
    plain.end_charon(signal.SIGTERM)
    wait_until(lambda: not side.node.associations(), 20, "the end of the SAs")
    with wire_of((side.node, plain)) as wire, side.machine.listening() as received:
        assert _ping(plain) == 0
        assert side.machine.ping(FAR, 2) == 0
        assert not [frame for frame in received(0.2) if frame[12:14] == b"\x08\x00"]
        sent = wire.summary()
    assert not sent.clean
    assert all(example.split(" > ")[0].endswith(plain.address) for example in sent.examples), sent.table()
    plain.start_charon()
    plain.load()
    wait_until(lambda: _protected(side, plain), 40, "SAs of the next charon")
    with wire_of((side.node, plain)) as wire:
        wait_until(lambda: side.machine.ping(FAR, 1) == 1, 20, "traffic")
        assert _ping(plain) == 3
        wire.summary().require_protected()
