"""Three peers of one gateway node by VXLAN, Geneve and GRE, in ESP tunnel mode: exact MTUs, and fences."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

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
from tests.kernel.handshake import Handshake, connect
from tests.kernel.kinds import Federation, federation, join_networks
from tests.kernel.node import wire_at
from tests.kernel.openvswitch import Machine, inside, sh
from tests.testbed.host.process import wait_until
from tests.testbed.wan.wire import Traffic

KINDS: dict[str, EncapsulationName] = {"b": "VXLAN", "c": "Geneve", "d": "GRE"}
UNPROTECTED = {(socket.IPPROTO_UDP, 14789), (socket.IPPROTO_UDP, 16081), (socket.IPPROTO_GRE, 0)}
IKE = (socket.IPPROTO_UDP, 500)
HEADER_BYTES = {kind.NAME: kind.HEADER_BYTES for kind in ENCAPSULATIONS.values()}
LARGEST = {"VXLAN": 1396, "Geneve": 1396, "GRE": 1404}
HEADERS = 20 + 20  # of IPv4 and of TCP
PAYLOAD_BYTES = 200_000


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Connected."""
    with federation(KINDS, tmp_path_factory.mktemp("modes"), "Tunnel") as made:
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
        yield made


@pytest.mark.parametrize("peer", KINDS)
def test_largest_packet_crosses_whole_and_one_more_byte_in_fragments(three: Federation, peer: str) -> None:
    machine, largest = three.machines[peer], inner_mtu(1500, HEADER_BYTES[KINDS[peer]], tunnel_mode=True)
    assert largest == LARGEST[KINDS[peer]]
    with wire_at("wan-a", three.nodes) as wire:
        assert machine.ping(3) == 3
        assert machine.ping(3, largest) == 3
        summary = wire.summary()
        summary.require_protected()
        assert summary.counts[Traffic.ESP] >= 12
        assert summary.counts[Traffic.ESP_FRAGMENT] == 0
        assert machine.ping(3, largest + 1) == 3
        summary = wire.summary()
        summary.require_protected()
        assert summary.counts[Traffic.ESP_FRAGMENT] >= 12
        assert machine.ping(3, 1500) == 3
        assert machine.ping(2, largest, fragment=False) == 2
        assert machine.ping(2, largest + 1, fragment=False) == (2 if KINDS[peer] == "GRE" else 0)
        wire.summary().require_protected()


@pytest.mark.parametrize("peer", KINDS)
def test_echoes_that_may_not_be_fragmented_are_lost_from_one_byte_more_on(three: Federation, peer: str) -> None:
    """Between the inner ends, which the flows of the echo port set."""
    hub, largest = three.hub, LARGEST[KINDS[peer]]
    links = [link for network in hub.plan.networks for link in network.links if link.cloud_id == f"cloud-{peer}"]
    macs = dict.fromkeys(("fits", "larger"), links[0].probe_mac)

    def back(*, whole: bool) -> dict[str, int]:
        sizes = {"fits": largest, "larger": largest + 1}
        found = inside(hub.node.name, lambda: PacketProbe().exchange(macs, 2.0, 0.2, sizes, whole=whole))
        return {name: result.received for name, result in found.items()}

    with wire_at("wan-a", three.nodes) as wire:
        assert back(whole=True) == {"fits": 1, "larger": 0}
        summary = wire.summary()
        summary.require_protected()
        assert summary.counts[Traffic.ESP_FRAGMENT] == 0
        assert back(whole=False) == {"fits": 1, "larger": 1}
        wire.summary().require_protected()


@pytest.mark.parametrize("peer", KINDS)
def test_segments_of_tcp_are_limited_to_what_crosses_whole(three: Federation, peer: str) -> None:
    """The machines have an MTU of 1500; the hub limits both directions."""
    hub = three.hub
    clamps = wanted_clamps(hub.plan, hub.database.view())
    inside(hub.node.name, lambda: Clamping(Nft(DEVICE_FAMILY), KernelTunnelDevices()).follow(clamps))
    limit = LARGEST[KINDS[peer]] - HEADERS
    with wire_at("wan-a", three.nodes) as wire:
        found = connect(Machine(f"vm-a{peer}"), Machine(f"vm-{peer}a"), three.machines[peer].far, PAYLOAD_BYTES)
        summary = wire.summary()
    assert found == Handshake(limit, limit)
    summary.require_protected()
    assert summary.counts[Traffic.ESP] > 2 * PAYLOAD_BYTES // limit
    assert summary.counts[Traffic.ESP_FRAGMENT] == 0


def test_fences_and_the_inner_route_suffice_each(three: Federation) -> None:
    """The last test: it ends with none of them, where everything leaves in clear. That is the control."""
    hub = three.hub
    hub.node.end_charon(signal.SIGTERM)
    assert not hub.node.protect_policies()
    with wire_at("wan-a", three.nodes) as wire:

        def sent() -> set[tuple[int, int]]:
            """What the hub sends, and nobody answers."""
            wire.unprotected()
            assert [machine.ping(2) for machine in three.machines.values()] == [0, 0, 0]
            return set(wire.unprotected()) - {IKE}

        assert sent() == set(), "all three"
        hub.lower_firewall()
        hub.node.remove_blocks(hub.node.blocks())
        assert sent() == set(), "the inner route alone"

        for ends, peer in zip(sorted(hub.plan.inner_ends, key=str), ("b", "c", "d"), strict=True):
            via = three.clouds[peer].node.address
            sh(f"ip route replace {ends.remote}/32 via {via} dev eth0 src {ends.local}", hub.node.name)
        assert sent() == UNPROTECTED, "none"
        hub.block()
        assert sent() == set(), "block policies alone"
        hub.raise_firewall()
        hub.node.remove_blocks(hub.node.blocks())
        assert sent() == set(), "the nftables table alone"
        assert hub.node.dropped()[UNPROTECTED_OUT] >= 6
    inside(hub.node.name, lambda: InnerDevice().remove_ends_except(frozenset()))
