"""Clouds that change the mode of ESP one after the other, on nodes that forward IP packets: nothing leaves in clear.

By GRE, which no fence can tell from another one by its port.
"""

from __future__ import annotations

import socket
from collections import Counter

import pytest

from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from tests.kernel.node import packets_at
from tests.kernel.openvswitch import inside, sh
from tests.kernel.side import Side
from tests.testbed.host.process import wait_until

_ROUTER = "02:00:00:00:00:98"


@pytest.fixture(scope="module")
def forwarding(sides: tuple[Side, Side]) -> tuple[Side, Side]:
    """In tunnel mode, with one network stretched; the default route of both nodes is to a router that nobody is."""
    for side in sides:
        sh("sysctl -qw net.ipv4.ip_forward=1; ip route add default via 192.0.2.98 dev eth0", side.node.name)
        sh(f"ip neigh add 192.0.2.98 lladdr {_ROUTER} dev eth0 nud permanent", side.node.name)
    _agree(sides, "Tunnel")
    for side in sides:
        wait_until(side.connected, 30, f"connection of {side.name}")
    for side, other in (sides, sides[::-1]):
        side.attach(other)
    for side in sides:
        wait_until(side.network_connected, 30, f"link of {side.name}")
    return sides


def _agree(sides: tuple[Side, Side], mode: str) -> None:
    for side, other in (sides, sides[::-1]):
        side.introduce(other, mode, "GRE")


def _modes(sides: tuple[Side, Side]) -> set[str | None]:
    nodes = [side.kubectl.get(GatewayNode, f"gw-{side.name}") for side in sides]
    return {c.in_force.esp_mode for n in nodes if n for c in n.status.connections if c.in_force and c.up}


def _forwarded(packets: socket.socket) -> Counter[int]:
    """What was sent to the router, by protocol."""
    found: Counter[int] = Counter()
    while True:
        try:
            frame = packets.recv(65535, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return found
        if frame[:6] == bytes.fromhex(_ROUTER.replace(":", "")):
            found[frame[23]] += 1


@pytest.mark.parametrize("late", ["a", "b"])
def test_one_cloud_is_in_transport_mode_before_the_other(forwarding: tuple[Side, Side], late: str) -> None:
    """What the other one still sends in tunnel mode arrives, and has nobody to go to any more."""
    a, b = forwarding
    first, second = (b, a) if late == "a" else (a, b)
    with inside(second.node.name, packets_at) as packets:
        first.introduce(second, "Transport", "GRE")
        for _ in range(5):
            second.machine.ping("10.20.0.11" if second is b else "10.20.0.12", 5)
        forwarded = _forwarded(packets)
        second.introduce(first, "Transport", "GRE")
        wait_until(lambda: _modes(forwarding) == {"Transport"}, 60, "transport mode")
        for side in forwarding:
            wait_until(side.network_connected, 30, f"link of {side.name}")
        wait_until(lambda: "isinner" not in sh("ip link show", "a") + sh("ip link show", "b"), 30, "no inner device")
        forwarded += _forwarded(packets)
    assert not forwarded
    _agree(forwarding, "Tunnel")
    wait_until(lambda: _modes(forwarding) == {"Tunnel"}, 60, "tunnel mode")
    for side in forwarding:
        wait_until(side.network_connected, 30, f"link of {side.name}")
