"""TCP of machines that do not know the MTU of their network: its maximum segment size is limited on our devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from isthmus.adapters.linux.devices import KernelTunnelDevices
from isthmus.adapters.linux.nft import Nft
from isthmus.adapters.linux.rtnl import RtNetlink
from isthmus.agent.clamping import Clamping, wanted_clamps
from isthmus.model.node.firewall import DEVICE_FAMILY, Ruleset
from isthmus.model.node.tunnel import EncapsulationName
from tests.kernel.handshake import Handshake, connect
from tests.kernel.kinds import Federation, federation
from tests.kernel.node import wire_of
from tests.kernel.openvswitch import Machine, inside, sh
from tests.testbed.host.process import wait_until
from tests.testbed.wan.wire import Traffic

KINDS: dict[str, EncapsulationName] = {"b": "VXLAN", "c": "Geneve", "d": "GRE"}
LARGEST = {"b": 1376, "c": 1376, "d": 1384}
DEVICES = {"b": "vxlan_sys_14789", "c": "genev_sys_16081", "d": "gre_sys"}
ANNOUNCED = 1460  # by machines with an MTU of 1500
PAYLOAD_BYTES = 200_000
TABLE = "list table netdev isthmus"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Connected, without limits yet. All machines have an MTU of 1500."""
    with federation(KINDS, tmp_path_factory.mktemp("mss")) as made:
        made.fences()
        made.connect()
        yield made


def _apply(federation: Federation, *peers: str) -> None:
    """What the agents of the hub and of these peers do; the others do nothing."""
    for cloud in (federation.hub, *map(federation.clouds.__getitem__, peers)):
        addresses = inside(cloud.node.name, RtNetlink().view).addresses
        wanted = wanted_clamps(replace(cloud.plan, addresses=addresses), cloud.database.view())
        inside(cloud.node.name, lambda: Clamping(Nft(DEVICE_FAMILY), KernelTunnelDevices()).follow(wanted))  # noqa: B023


def _handshakes(federation: Federation, peer: str, payload_bytes: int = 0) -> list[Handshake]:
    """One connection from each side."""
    ours, theirs = Machine(f"vm-a{peer}"), Machine(f"vm-{peer}a")
    far = federation.machines[peer].far
    near = far[:-1] + "1"
    return [connect(ours, theirs, far, payload_bytes), connect(theirs, ours, near, payload_bytes)]


@pytest.mark.parametrize("peer", KINDS)
def test_both_directions_are_limited_to_what_crosses_whole(three: Federation, peer: str) -> None:
    inside("a", Nft(DEVICE_FAMILY).remove_table)
    assert _handshakes(three, peer) == [Handshake(ANNOUNCED, ANNOUNCED)] * 2, "the control"
    _apply(three)
    largest = LARGEST[peer]
    with wire_of(three.nodes) as wire:
        ours, theirs = _handshakes(three, peer, PAYLOAD_BYTES)
        summary = wire.summary()
    assert ours == theirs == Handshake(largest, largest)
    summary.require_protected()
    assert summary.counts[Traffic.ESP] > 2 * PAYLOAD_BYTES // ANNOUNCED
    assert summary.counts[Traffic.ESP_FRAGMENT] == 0


def test_without_the_limit_segments_cross_by_gre_in_fragments(three: Federation) -> None:
    """The check above can fail: the kernel tells no machine behind a GRE tunnel what the MTU is."""
    inside("a", Nft(DEVICE_FAMILY).remove_table)
    with wire_of(three.nodes) as wire:
        _handshakes(three, "d", PAYLOAD_BYTES)
        assert wire.summary().counts[Traffic.ESP_FRAGMENT] > PAYLOAD_BYTES // ANNOUNCED


def test_ipv6_has_a_larger_header(three: Federation) -> None:
    _apply(three)
    for netns, address in (("vm-ab", "fd00::1"), ("vm-ba", "fd00::2")):
        sh(f"echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6; ip addr add {address}/64 dev eth0 nodad", netns)
    assert connect(Machine("vm-ab"), Machine("vm-ba"), "fd00::2") == Handshake(1356, 1356)


def test_each_link_gets_what_its_smaller_end_carries(three: Federation) -> None:
    """Each gateway limits by its own underlay, and a SYN crosses both."""
    sh("ip link set eth0 mtu 1400", "b")
    try:
        _apply(three, "b", "c")
        assert _handshakes(three, "b") == [Handshake(1276, 1276)] * 2
        assert _handshakes(three, "c") == [Handshake(1376, 1376)] * 2
    finally:
        sh("ip link set eth0 mtu 1500", "b")
        for peer in ("b", "c"):
            inside(peer, Nft(DEVICE_FAMILY).remove_table)


def test_smaller_segments_stay_as_they_are(three: Federation) -> None:
    _apply(three)
    for netns in ("vm-ab", "vm-ba"):
        sh("ip link set eth0 mtu 1300", netns)
    try:
        assert _handshakes(three, "b") == [Handshake(1260, 1260)] * 2
    finally:
        for netns in ("vm-ab", "vm-ba"):
            sh("ip link set eth0 mtu 1500", netns)


def test_only_our_devices_are_limited_and_gre_only_while_no_one_shares_it(three: Federation) -> None:
    hub = three.hub
    hub.switch.vsctl("add-port br-int theirs -- set Interface theirs type=vxlan options:remote_ip=192.0.2.9")
    _apply(three)
    table = sh(f"nft {TABLE}", "a")
    assert all(f'device "{device}"' in table for device in DEVICES.values())
    assert "vxlan_sys_4789" in sh("ls /sys/class/net; ip -o link", "a")
    assert "vxlan_sys_4789" not in table
    hub.switch.vsctl("add-port br-int gre-theirs -- set Interface gre-theirs type=gre options:remote_ip=192.0.2.9")
    wait_until(lambda: hub.database.view().gre_is_shared, 20, "their GRE port")
    _apply(three)
    assert "gre_sys" not in sh(f"nft {TABLE}", "a")
    assert _handshakes(three, "d") == [Handshake(ANNOUNCED, ANNOUNCED)] * 2
    assert _handshakes(three, "b") == [Handshake(1376, 1376)] * 2
    for port in ("theirs", "gre-theirs"):
        hub.switch.vsctl(f"del-port {port}")
    wait_until(lambda: not hub.database.view().gre_is_shared, 20, "their GRE port to go")
    _apply(three)
    assert _handshakes(three, "d") == [Handshake(1384, 1384)] * 2


def test_the_table_goes_with_the_last_tunnel(three: Federation) -> None:
    _apply(three)
    inside("a", lambda: Clamping(Nft(DEVICE_FAMILY), KernelTunnelDevices()).follow(frozenset()))
    assert inside("a", Nft(DEVICE_FAMILY).view).ruleset == Ruleset()
    assert "table inet isthmus" in sh("nft list tables", "a"), "the fence stays"


def test_segmentation_moves_in_front_of_our_devices_alone(three: Federation) -> None:
    """As where the kernel has ESP offload; this one has not, so what that drops is not seen here."""
    devices = KernelTunnelDevices()
    assert not devices.has_esp_offload()
    ours, others = frozenset(DEVICES.values()), frozenset({"eth0", "br-int", "t-vm-ab"})
    before = inside("a", lambda: devices.taking_large_packets(ours | others))
    assert ours < before
    inside("a", lambda: devices.set_segmentation_before(ours | {"absent"}))
    assert inside("a", lambda: devices.taking_large_packets(ours | others)) == before - ours
    _apply(three)
    for peer in KINDS:
        with wire_of(three.nodes) as wire:
            assert _handshakes(three, peer, PAYLOAD_BYTES) == [Handshake(LARGEST[peer], LARGEST[peer])] * 2
            summary = wire.summary()
        summary.require_protected()
        assert summary.counts[Traffic.ESP_FRAGMENT] == 0
