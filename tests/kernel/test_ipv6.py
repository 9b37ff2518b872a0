"""Gateways that reach each other by IPv6 alone: tunnels of each kind in both modes of ESP, exact MTUs, and fences."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from typing import Literal

import pytest

from isthmus.adapters.linux.devices import KernelTunnelDevices
from isthmus.adapters.linux.inner import InnerDevice
from isthmus.adapters.linux.nft import Nft
from isthmus.adapters.linux.probe import PacketProbe
from isthmus.agent.clamping import Clamping, wanted_clamps
from isthmus.core.node.firewall import UNPROTECTED_OUT
from isthmus.core.placement.mtu import inner_mtu
from isthmus.model.node.firewall import DEVICE_FAMILY
from isthmus.model.node.tunnel import ENCAPSULATIONS, EncapsulationName
from tests.kernel import frames
from tests.kernel.handshake import Handshake, connect
from tests.kernel.kinds import IPV6, Federation, federation, join_networks
from tests.kernel.node import wire_at
from tests.kernel.openvswitch import Machine, inside, sh
from tests.testbed.host.process import wait_until
from tests.testbed.wan.wire import Traffic

Mode = Literal["Auto", "Transport"]
KINDS: dict[Mode, dict[str, EncapsulationName]] = {
    "Auto": {"b": "VXLAN", "c": "Geneve", "d": "GRE"},
    "Transport": {"b": "VXLAN", "c": "Geneve"},
}
PAIRS = [(mode, peer) for mode, kinds in KINDS.items() for peer in kinds]
LARGEST = {("Auto", "b"): 1376, ("Auto", "c"): 1376, ("Auto", "d"): 1384} | {("Transport", p): 1396 for p in "bc"}
UNPROTECTED = {"b": (socket.IPPROTO_UDP, 14789), "c": (socket.IPPROTO_UDP, 16081), "d": (socket.IPPROTO_GRE, 0)}
IKE = (socket.IPPROTO_UDP, 500)
HEADER_BYTES = {kind.NAME: kind.HEADER_BYTES for kind in ENCAPSULATIONS.values()}
HEADERS = 20 + 20  # of IPv4 and of TCP
PAYLOAD_BYTES = 200_000
ETHERNET_HEADER = 14
NOT_IP = "88b6"  # for experiments of one site (IEEE 802)


@pytest.fixture(scope="module", params=KINDS)
def connected(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Mode, Federation]]:
    """All peers of one mode."""
    mode: Mode = request.param
    with federation(KINDS[mode], tmp_path_factory.mktemp("ipv6"), mode, IPV6) as made:
        made.fences()
        with wire_at("wan-a", made.nodes) as wire:
            for cloud in reversed([*made.clouds.values()]):
                cloud.connect()
            join_networks(made.clouds.values())
            for connection in made.hub.plan.connections:
                made.hub.node.ike.initiate(connection.name)
            for cloud in made.clouds.values():
                wait_until(cloud.protected, 20, f"SAs of {cloud.node.name}")
                wait_until(cloud.bfd_up, 20, f"BFD of {cloud.node.name}")
            wire.summary().require_protected()
        yield mode, made


def test_largest_packet_crosses_whole_and_one_more_byte_in_fragments_or_not(
    connected: tuple[Mode, Federation],
) -> None:
    """In transport mode Linux does not fragment ESP over IPv6: without an answer the packet is lost."""
    mode, made = connected
    for peer, machine in made.machines.items():
        largest = LARGEST[mode, peer]
        header_bytes = HEADER_BYTES[KINDS[mode][peer]]
        assert largest == inner_mtu(1500, header_bytes, underlay=6, tunnel_mode=mode == "Auto")
        crossing = 3 if mode == "Auto" else 0
        with wire_at("wan-a", made.nodes) as wire:
            assert machine.ping(3) == 3
            assert machine.ping(3, largest) == 3
            summary = wire.summary()
            summary.require_protected()
            assert summary.counts[Traffic.ESP] >= 12
            assert summary.counts[Traffic.ESP_FRAGMENT] == 0
            # With DF first: who has learned the path's MTU fragments by itself.
            assert machine.ping(2, largest, fragment=False) == 2
            assert machine.ping(2, largest + 1, fragment=False) == (2 if peer == "d" else 0)
            summary = wire.summary()
            summary.require_protected()
            assert (summary.counts[Traffic.ESP_FRAGMENT] > 0) == (peer == "d")
            far = Machine(f"vm-{peer}a")
            assert len(_not_ip(Machine(machine.netns), far, largest)) == 3
            assert len(_not_ip(Machine(machine.netns), far, 1500)) == crossing
            summary = wire.summary()
            summary.require_protected()
            assert (summary.counts[Traffic.ESP_FRAGMENT] > 0) == (mode == "Auto")


def _not_ip(machine: Machine, far: Machine, packet_bytes: int) -> list[bytes]:
    """What arrives of three frames that are not IP; `packet_bytes` without the Ethernet header."""
    frame = frames.frame(far.mac, machine.mac, NOT_IP).ljust(ETHERNET_HEADER + packet_bytes, b"\0")
    with far.listening() as heard:
        machine.send(frame, frame, frame)
        return [found for found in heard(1.0) if found == frame]


def test_echoes_that_may_not_be_fragmented_are_lost_from_one_byte_more_on(connected: tuple[Mode, Federation]) -> None:
    """Between IPv6 addresses in transport mode no others cross either."""
    mode, made = connected
    hub = made.hub
    links = {link.cloud_id: link.probe_mac for network in hub.plan.networks for link in network.links}

    def back(peer: str, *, whole: bool) -> dict[str, int]:
        macs = dict.fromkeys(("fits", "larger"), links[f"cloud-{peer}"])
        sizes = {"fits": LARGEST[mode, peer], "larger": LARGEST[mode, peer] + 1}
        found = inside(hub.node.name, lambda: PacketProbe().exchange(macs, 2.0, 0.2, sizes, whole=whole))
        return {name: result.received for name, result in found.items()}

    for peer in KINDS[mode]:
        with wire_at("wan-a", made.nodes) as wire:
            assert back(peer, whole=True) == {"fits": 1, "larger": 0}
            summary = wire.summary()
            summary.require_protected()
            assert summary.counts[Traffic.ESP_FRAGMENT] == 0
            assert back(peer, whole=False) == {"fits": 1, "larger": 1 if mode == "Auto" else 0}
            wire.summary().require_protected()


def test_segments_of_tcp_are_limited_to_what_crosses_whole(connected: tuple[Mode, Federation]) -> None:
    """The machines have an MTU of 1500; the hub limits both directions."""
    mode, made = connected
    hub = made.hub
    clamps = wanted_clamps(hub.plan, hub.database.view())
    inside(hub.node.name, lambda: Clamping(Nft(DEVICE_FAMILY), KernelTunnelDevices()).follow(clamps))
    for peer, machine in made.machines.items():
        limit = LARGEST[mode, peer] - HEADERS
        with wire_at("wan-a", made.nodes) as wire:
            found = connect(Machine(f"vm-a{peer}"), Machine(f"vm-{peer}a"), machine.far, PAYLOAD_BYTES)
            summary = wire.summary()
        assert found == Handshake(limit, limit)
        summary.require_protected()
        assert summary.counts[Traffic.ESP_FRAGMENT] == 0


def test_each_fence_suffices_after_charon_has_ended(connected: tuple[Mode, Federation]) -> None:
    """The last test: it ends with none of them, where everything leaves in clear. That is the control."""
    mode, made = connected
    hub = made.hub
    hub.node.end_charon(signal.SIGTERM)
    assert not hub.node.protect_policies()
    with wire_at("wan-a", made.nodes) as wire:

        def sent() -> set[tuple[int, int]]:
            """What the hub sends, and nobody answers."""
            wire.unprotected()
            assert {machine.ping(2) for machine in made.machines.values()} == {0}
            return set(wire.unprotected()) - {IKE}

        assert sent() == set(), "both fences, and in tunnel mode the inner route"
        if mode == "Auto":
            for connection in hub.plan.connections:
                inner, outer = connection.tunnel_ends, connection.ends.remote_address
                route = f"{inner.remote}/32 via inet6 {outer} dev eth0 src {inner.local}"
                sh(f"ip route replace {route}", hub.node.name)
            assert sent() == set(), "both fences"
        hub.lower_firewall()
        assert sent() == set(), "block policies alone"
        hub.raise_firewall()
        hub.node.remove_blocks(hub.node.blocks())
        assert sent() == set(), "the nftables table alone"
        assert hub.node.dropped()[UNPROTECTED_OUT] >= 4
        hub.lower_firewall()
        assert sent() == {UNPROTECTED[peer] for peer in KINDS[mode]}, "none"
    inside(hub.node.name, lambda: InnerDevice().remove_ends_except(frozenset()))
