"""Whole agents limit TCP's segments on their tunnel devices, also when others make these again."""

from __future__ import annotations

import pytest

from tests.kernel.handshake import Handshake, connect
from tests.kernel.openvswitch import sh
from tests.kernel.side import Side
from tests.testbed.host.process import wait_until

DEVICE = "vxlan_sys_14789"


@pytest.fixture(autouse=True)
def large(stretched: tuple[Side, Side]) -> None:
    """The machines do not know the network's MTU."""
    for side in stretched:
        sh("ip link set eth0 mtu 1500", side.machine.netns)


def test_a_device_that_is_made_again_is_limited_again(stretched: tuple[Side, Side]) -> None:
    a, _ = stretched
    _require_limited(stretched)
    before = _index(a)
    ports = [name for name in a.switch.vsctl("list-ports br-cloud").split() if name.startswith(("ist", "ise"))]
    assert len(ports) == 2, "the tunnel and its echoes share the device"
    a.switch.vsctl(" -- ".join(f"del-port {name}" for name in ports))
    wait_until(lambda: _index(a) not in (before, ""), 30, "another device")
    _require_limited(stretched)


def test_a_restarted_ovs_vswitchd_changes_nothing(stretched: tuple[Side, Side]) -> None:
    a, b = stretched
    for side in (a, b):
        side.switch.restart_vswitchd()
    _require_limited(stretched)


def test_a_table_that_was_flushed_comes_back(stretched: tuple[Side, Side]) -> None:
    for side in stretched:
        sh("nft flush ruleset", side.name)
    _require_limited(stretched)


def test_a_restarted_agent_writes_nothing(stretched: tuple[Side, Side]) -> None:
    a, _ = stretched
    before = _table(a)
    a.stop()
    a.effects.clear()
    a.start()
    wait_until(lambda: a.network_connected() and a.connected(), 30, "the agent")
    _require_limited(stretched)
    assert not [effect for effect in a.effects if "table" in effect]
    assert _chains(_table(a)) == _chains(before)


def test_the_table_goes_with_the_last_peer(stretched: tuple[Side, Side]) -> None:
    for side in stretched:
        side.withdraw()
    for side in stretched:
        wait_until(lambda: not _table(side) and not _index(side), 30, f"removal from {side.name}")  # noqa: B023


def _require_limited(sides: tuple[Side, Side]) -> None:
    """The table names the device that exists now, and what it says is done."""
    a, b = sides
    for side in sides:
        wait_until(lambda: f"{DEVICE}_{_index(side)}_out" in _table(side), 30, f"limits of {side.name}")  # noqa: B023
        assert f'hook egress device "{DEVICE}"' in _table(side)
    for side, other, address in ((a, b, "10.20.0.12"), (b, a, "10.20.0.11")):
        wait_until(lambda: side.machine.ping(address, 1) == 1, 20, f"traffic of {side.name}")  # noqa: B023
        assert connect(side.machine, other.machine, address) == Handshake(1376, 1376)


def _index(side: Side) -> str:
    return sh(f"cat /sys/class/net/{DEVICE}/ifindex 2>/dev/null || true", side.name).strip()


def _table(side: Side) -> str:
    return sh("nft list table netdev isthmus 2>/dev/null || true", side.name)


def _chains(table: str) -> list[str]:
    return [line for line in table.splitlines() if "chain" in line]
