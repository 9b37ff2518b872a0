"""What a firewall between two gateways drops, with whole agents: ESP in one direction, fragments and ICMP.

Nothing leaves in clear meanwhile, no SA is negotiated in vain, and everything heals by itself.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from isthmus.core.placement.mtu import inner_mtu
from isthmus.model.node.tunnel import Vxlan
from tests.kernel.agreements import reason_of
from tests.kernel.handshake import connect
from tests.kernel.losses import FRAGMENTS, dropping
from tests.kernel.openvswitch import sh
from tests.kernel.side import Side, pair_of
from tests.testbed.host.process import wait_until
from tests.testbed.wan.wire import Traffic

ADDRESS = {"a": "10.20.0.11", "b": "10.20.0.12"}
WHOLE = inner_mtu(1500, Vxlan.HEADER_BYTES)
ICMP_ERRORS = "icmp type destination-unreachable"
Sides = tuple[Side, Side]


def _crosses(side: Side, size: int) -> bool:
    """Whether a request of that many bytes, which may be fragmented, is answered."""
    answered = sh(f"ping -nc 1 -W 1 -M dont -s {size - 28} {ADDRESS[side.peer]} || true", side.machine.netns)
    return "1 received" in answered


@pytest.mark.parametrize("towards", ["a", "b"])
def test_esp_that_is_blocked_in_one_direction(stretched: Sides, towards: str) -> None:
    receiver, sender = stretched if towards == "a" else stretched[::-1]
    before = [side.node.associations() for side in stretched]
    with pair_of(stretched).wire() as wire, dropping(receiver, "meta l4proto esp"):
        for side in stretched:
            wait_until(lambda side=side: reason_of(side) == "BFDDown", 20, f"a report of {side.name}")  # type: ignore[misc]
        assert sender.machine.ping(ADDRESS[receiver.name], 2) == 0
        summary = wire.summary()
        summary.require_protected()
        assert summary.esp > 0
    with pair_of(stretched).wire() as wire:
        for side in stretched:
            wait_until(side.connected, 20, f"connection of {side.name}")
        wait_until(lambda: sender.machine.ping(ADDRESS[receiver.name]) == 3, 10, "traffic")
        wire.summary().require_protected()
    assert [side.node.associations() for side in stretched] == before, "the same SAs as ever"


def test_without_fragments_and_icmp_errors_tcp_crosses_and_large_packets_are_lost(stretched: Sides) -> None:
    a, b = stretched
    for side in stretched:
        sh("ip link set eth0 mtu 1500", side.machine.netns)
    assert _crosses(a, 1500)
    with ExitStack() as obstacles, pair_of(stretched).wire() as wire:
        for side in stretched:
            obstacles.enter_context(dropping(side, FRAGMENTS))
            obstacles.enter_context(dropping(side, ICMP_ERRORS))
        assert not _crosses(a, WHOLE + 1)
        assert _crosses(a, WHOLE)
        connect(a.machine, b.machine, ADDRESS["b"], payload_bytes=200_000)
        summary = wire.summary()
        summary.require_protected()
        assert summary.counts[Traffic.ESP_FRAGMENT] > 0, "of the larger packet"
    for side in stretched:
        assert side.connected()
    assert _crosses(a, 1500)
