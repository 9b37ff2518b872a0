"""A node that forwards IP packets, as each of Kubernetes does: what arrives for inner ends that it lost stays on it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from isthmus.core.node.firewall import UNPROTECTED_OUT
from isthmus.model.node.tunnel import EncapsulationName
from tests.kernel.kinds import Federation, Machine, federation
from tests.kernel.node import wire_at
from tests.kernel.openvswitch import sh
from tests.testbed.host.process import wait_until

KINDS: dict[str, EncapsulationName] = {"b": "VXLAN", "c": "GRE"}
UNPROTECTED = {(socket.IPPROTO_UDP, 14789), (socket.IPPROTO_GRE, 0)}
IKE = (socket.IPPROTO_UDP, 500)


@pytest.fixture(scope="module")
def forwarding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Connected; the hub has a default route and lacks its inner device, and its peers do not know."""
    with federation(KINDS, tmp_path_factory.mktemp("forwarding"), "Tunnel") as made:
        made.fences()
        made.connect()
        hub = made.hub.node.name
        sh("sysctl -qw net.ipv4.ip_forward=1; ip route add default via 192.0.2.98 dev eth0", hub)
        sh("ip neigh add 192.0.2.98 lladdr 02:00:00:00:00:98 dev eth0 nud permanent", hub)
        sh("ip link del isinner", hub)
        yield made


def _sent(made: Federation) -> set[tuple[int, int]]:
    """What the hub forwards in clear of what its peers' machines send."""
    with wire_at("wan-a", made.nodes) as wire:
        for position, peer in enumerate(KINDS, 1):
            assert Machine(f"vm-{peer}a", f"10.30.{position}.1").ping(3) == 0
        return set(wire.unprotected()) - {IKE}


def test_each_fence_suffices(forwarding: Federation) -> None:
    hub = forwarding.hub
    assert _sent(forwarding) == set(), "both"
    hub.lower_firewall()
    assert _sent(forwarding) == set(), "block policies alone"
    hub.raise_firewall()
    hub.node.remove_blocks(hub.node.blocks())
    assert _sent(forwarding) == set(), "the nftables table alone"
    wait_until(lambda: hub.node.dropped()[UNPROTECTED_OUT] >= 6, 20, "the last of six")
    hub.lower_firewall()
    assert _sent(forwarding) == UNPROTECTED, "none, which is the control"
