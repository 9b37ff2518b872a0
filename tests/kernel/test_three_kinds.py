"""Three peers of one gateway node at once, by VXLAN, Geneve and GRE: one pipeline, exact MTUs, two fences for each."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest

from isthmus.adapters.linux.probe import PacketProbe
from isthmus.core.node.firewall import UNPROTECTED_IN, UNPROTECTED_OUT
from isthmus.core.placement.mtu import inner_mtu
from isthmus.model.node.tunnel import ENCAPSULATIONS, EncapsulationName
from tests.kernel.kinds import Federation, federation
from tests.kernel.node import wire_of
from tests.kernel.openvswitch import inside, sh
from tests.testbed.wan.wire import Traffic

KINDS: dict[str, EncapsulationName] = {"b": "VXLAN", "c": "Geneve", "d": "GRE"}
UNPROTECTED = {
    "b": (socket.IPPROTO_UDP, 14789),
    "c": (socket.IPPROTO_UDP, 16081),
    "d": (socket.IPPROTO_GRE, 0),
}
IKE = (socket.IPPROTO_UDP, 500)
HEADER_BYTES = {kind.NAME: kind.HEADER_BYTES for kind in ENCAPSULATIONS.values()}
LARGEST = {"VXLAN": 1416, "Geneve": 1416, "GRE": 1424}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Connected."""
    with federation(KINDS, tmp_path_factory.mktemp("kinds")) as made:
        made.fences()
        with wire_of(made.nodes) as wire:
            made.connect()
            wire.summary().require_protected()
        yield made


def test_the_node_has_what_was_planned(three: Federation) -> None:
    for cloud in three.clouds.values():
        assert cloud.database.view().ports == cloud.plan.ports
        assert cloud.node.blocks() == cloud.plan.blocks
        assert cloud.node.table() == cloud.plan.firewall
    assert {tunnel.encapsulation.NAME for tunnel in three.hub.plan.ports.tunnels} == set(KINDS.values())


@pytest.mark.parametrize("peer", KINDS)
def test_largest_packet_crosses_whole_and_one_more_byte_in_fragments(three: Federation, peer: str) -> None:
    machine, largest = three.machines[peer], inner_mtu(1500, HEADER_BYTES[KINDS[peer]])
    assert largest == LARGEST[KINDS[peer]]
    with wire_of(three.nodes) as wire:
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
        assert machine.ping(2, largest, fragment=False) == 2
        # Where the kernel reports the path MTU, the machine obeys; by GRE what may not be fragmented is all the same.
        assert machine.ping(2, largest + 1, fragment=False) == (2 if KINDS[peer] == "GRE" else 0)
        wire.summary().require_protected()


@pytest.mark.parametrize("peer", KINDS)
def test_echoes_that_may_not_be_fragmented_are_lost_from_one_byte_more_on(three: Federation, peer: str) -> None:
    hub, largest = three.hub, LARGEST[KINDS[peer]]
    links = [link for network in hub.plan.networks for link in network.links if link.cloud_id == f"cloud-{peer}"]
    macs = dict.fromkeys(("fits", "larger"), links[0].probe_mac)

    def back(*, whole: bool) -> dict[str, int]:
        sizes = {"fits": largest, "larger": largest + 1}
        found = inside(hub.node.name, lambda: PacketProbe().exchange(macs, 2.0, 0.2, sizes, whole=whole))
        return {name: result.received for name, result in found.items()}

    with wire_of(three.nodes) as wire:
        assert back(whole=True) == {"fits": 1, "larger": 0}
        summary = wire.summary()
        summary.require_protected()
        assert summary.counts[Traffic.ESP_FRAGMENT] == 0
        assert back(whole=False) == {"fits": 1, "larger": 1}
        summary = wire.summary()
        summary.require_protected()
        assert summary.counts[Traffic.ESP_FRAGMENT] >= 4, "the request and the reply"


def test_either_fence_suffices_for_each_kind(three: Federation) -> None:
    """The last test: it ends with neither fence, where everything leaves and enters in clear. That is the control."""
    hub, others = three.hub, [cloud for name, cloud in three.clouds.items() if cloud is not three.hub]
    hub.node.end_charon(signal.SIGTERM)
    assert not hub.node.protect_policies()
    with wire_of(three.nodes) as wire:

        def sent() -> set[tuple[int, int]]:
            """What the hub sends, and nobody answers."""
            wire.unprotected()
            assert [machine.ping(2) for machine in three.machines.values()] == [0, 0, 0]
            return set(wire.unprotected()) - {IKE}

        assert sent() == set(), "both"
        hub.lower_firewall()
        assert sent() == set(), "block policies alone"
        hub.raise_firewall()
        hub.node.remove_blocks(hub.node.blocks())
        assert sent() == set(), "the nftables table alone"
        assert hub.node.dropped()[UNPROTECTED_OUT] >= 6

        hub.lower_firewall()
        for cloud in others:
            cloud.node.end_charon(signal.SIGTERM)
        assert sent() == set(UNPROTECTED.values()), "neither: received by none, for the peers have both"
        assert all(cloud.node.dropped()[UNPROTECTED_IN] >= 2 for cloud in others)
        for cloud in others:
            cloud.lower_firewall()
        assert sent() == set(UNPROTECTED.values()), "received by none for their block policies"
        for cloud in others:
            cloud.node.remove_blocks(cloud.node.blocks())
        assert [machine.ping(3) for machine in three.machines.values()] == [3, 3, 3], "no fence anywhere"
    assert sh("ip xfrm policy", "d") == ""
