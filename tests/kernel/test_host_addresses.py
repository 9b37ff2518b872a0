"""Addresses and tunnel devices of a real kernel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.adapters.linux.rtnl import RtNetlink
from isthmus.model.node.host import NodeView
from tests.contract.host import ADDRESS
from tests.kernel.host import MTU, NODE, IpAndNft, host
from tests.kernel.openvswitch import inside, sh

_MANY_LINKS = 300


@pytest.fixture(autouse=True)
def tools() -> Iterator[IpAndNft]:
    with host() as tools:
        yield tools


def _view() -> NodeView:
    return inside(NODE, RtNetlink().view)


def test_usable_addresses_of_both_families_are_listed() -> None:
    sh("ip addr add 2001:db8::1/64 dev eth0 nodad; ip addr add 2001:db8::2/64 dev eth0 nodad preferred_lft 0", NODE)
    sh("ip link add idle type veth peer name far-idle; ip addr add 198.51.100.1/24 dev idle", NODE)
    sh("ip link add wire type veth peer name far-wire; ip link set wire up", NODE)
    sh("ip addr add 203.0.113.1 peer 203.0.113.2 dev wire", NODE)
    sh("ip addr add 2001:db8::3 peer 2001:db8::4 dev wire nodad", NODE)
    addresses = {a.address: a.mtu for a in _view().addresses if not a.address.startswith(("127.", "::1"))}
    assert addresses == {ADDRESS: MTU, "2001:db8::1": MTU, "203.0.113.1": 1500, "2001:db8::3": 1500}


def test_tunnels_not_created_by_open_vswitch_are_listed() -> None:
    sh("ip link add vx0 type vxlan id 6 dstport 15002; ip link add vx1 type vxlan external dstport 15003", NODE)
    sh("ip link add vxlan_sys_15004 type vxlan external dstport 15004", NODE)
    assert _view().tunnel_udp_ports == {15002, 15003}


def test_view_stays_fast_with_hundreds_of_links(tmp_path: Path) -> None:
    """A compute node's taps are not decoded: a hundred times as many links do not take a hundred times as long."""
    few = _least_seconds()
    lines = (f"link add t{number} type veth peer name u{number}\n" for number in range(_MANY_LINKS // 2))
    (tmp_path / "batch").write_text("".join(lines))
    sh(f"ip -batch {tmp_path}/batch", NODE)
    many = _least_seconds()
    print(f"{few * 1e3:.1f} ms with 3 links, {many * 1e3:.1f} ms with {_MANY_LINKS} more")
    assert many < 30 * few


def _least_seconds() -> float:
    """By the attempt that was disturbed least."""

    def once() -> float:
        begun = time.monotonic()
        RtNetlink().view()
        return time.monotonic() - begun

    return min(inside(NODE, lambda: [once() for _ in range(5)]))
