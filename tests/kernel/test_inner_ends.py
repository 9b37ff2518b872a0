"""The ends of tunnels inside ESP tunnel mode on a real kernel. (Its device is a dummy, which not every host has.)"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from isthmus.adapters.linux.inner import InnerDevice
from isthmus.adapters.linux.rtnl import RtNetlink
from isthmus.ports import InnerNetwork, Netlink
from tests.contract.inner import ONE, OTHER, InnerNetworkContract, InnerTools
from tests.kernel.host import NODE, host
from tests.kernel.node import packets_at
from tests.kernel.openvswitch import inside, sh, within
from tests.testbed.host.process import wait_until


@pytest.fixture
def tools() -> Iterator[InnerTools]:
    with host() as tools:
        yield tools


@pytest.fixture
def inner() -> InnerNetwork:
    return within(NODE, InnerDevice())


@pytest.mark.usefixtures("tools")
class TestInnerDevice(InnerNetworkContract):
    @pytest.fixture
    def netlink(self) -> Netlink:
        return within(NODE, RtNetlink())


def _send() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(3):
            sender.sendto(b"in the clear", (ONE.remote, 14789))


def _sent(packets: socket.socket) -> int:
    """How many of these packets have left; what the node sends on its own account, as for IPv6, does not count."""
    found = 0
    while True:
        try:
            frame = packets.recv(65535, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return found
        found += frame[12:14] == b"\x08\x00" and frame[30:34] == socket.inet_aton(ONE.remote)


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("has_route", [True, False])
def test_what_is_not_protected_ends_in_our_device(inner: InnerNetwork, has_route: bool) -> None:
    """The control is a node whose default route takes it."""
    sh("ip addr add 192.0.2.99/24 dev far; sysctl -qw net.ipv4.ip_forward=0", NODE)
    sh("ip route add default via 192.0.2.98 dev eth0; ip neigh add 192.0.2.98 lladdr 02:00:00:00:00:98 dev eth0", NODE)
    inner.ensure_ends([ONE, OTHER] if has_route else [OTHER])
    wait_until(lambda: "state UP" in sh("ip -o link show dev eth0", NODE), 20, "the link")
    with inside(NODE, packets_at) as packets:
        inside(NODE, _send)
        assert _sent(packets) == (0 if has_route else 3)
    if has_route:
        route = sh(f"ip route get {ONE.remote}", NODE)
        assert f"dev isinner src {ONE.local}" in route
