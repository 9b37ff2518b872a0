"""Complete agents of gateways that have IPv6 alone, in transport mode: fences and SAs of that version are kept up."""

from __future__ import annotations

import signal

import pytest

from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from tests.kernel.openvswitch import sh
from tests.kernel.side import Side, pair_of
from tests.testbed.host.process import wait_until

RESYNC_SECONDS = 600  # must not be what repairs
ADDRESSES = "2001:db8::1", "2001:db8::2"
FLUSHES = {"policies": "ip xfrm policy flush", "states": "ip xfrm state flush"}
REMOTE_MACHINE = "10.20.0.12"
SAS = 4
Sides = tuple[Side, Side]


def complete(sides: Sides) -> bool:
    return all(side.connected() and len(side.node.associations()) == SAS for side in sides)


def test_gateways_connect_and_say_by_which_address(stretched: Sides) -> None:
    for side, remote in zip(stretched, reversed(ADDRESSES), strict=True):
        node = side.kubectl.get(GatewayNode, f"gw-{side.name}")
        assert node is not None
        assert [address.address for address in node.status.addresses] == [side.node.address]
        (connection,) = node.status.connections
        assert connection.address == remote
        assert connection.in_force is not None
        assert (connection.in_force.esp_mode, connection.in_force.nat) == ("Transport", "None")
        assert {block.selector.source.version for block in side.node.blocks()} == {4, 6}
    with pair_of(stretched).wire() as wire:
        assert stretched[0].machine.ping(REMOTE_MACHINE, 5) == 5
        summary = wire.summary()
    summary.require_protected()
    assert summary.esp >= 10


@pytest.mark.parametrize("fence", ["nftables table", "block policies"])
def test_a_fence_that_is_removed_is_back_and_nothing_leaks(stretched: Sides, fence: str) -> None:
    a, _ = stretched
    before = a.node.table(), a.node.blocks()
    with pair_of(stretched).wire() as wire:
        if fence == "nftables table":
            sh("nft delete table inet isthmus", a.name)
        else:
            a.node.remove_blocks(before[1])
        wait_until(lambda: (a.node.table(), a.node.blocks()) == before, 20, fence, poll_seconds=0.01)
        assert a.machine.ping(REMOTE_MACHINE, 3) == 3
        wire.summary().require_protected()


@pytest.mark.parametrize("what", FLUSHES)
def test_what_is_flushed_is_negotiated_again_and_nothing_leaks(stretched: Sides, what: str) -> None:
    a, _ = stretched
    with pair_of(stretched).wire() as wire:
        sh(FLUSHES[what], a.name)
        wait_until(lambda: a.machine.ping(REMOTE_MACHINE, 3) == 3, 30, "traffic")
        wait_until(lambda: complete(stretched), 30, "all SAs, and no others")
        wire.summary().require_protected()


@pytest.mark.parametrize("killed", ["a", "b"])
def test_killed_charon_is_replaced_without_losing_a_packet(stretched: Sides, killed: str) -> None:
    """What it leaves in the kernel is known by the IPv6 addresses, and removed once it is replaced."""
    (side,) = (side for side in stretched if side.name == killed)
    before = side.node.associations()
    assert len(before) == SAS
    with stretched[0].machine.pinging(REMOTE_MACHINE) as lost:
        side.node.end_charon(signal.SIGKILL)
        side.node.start_charon()
        wait_until(lambda: not side.node.associations() & before, 180, "new states alone")
        wait_until(lambda: complete(stretched), 30, "nothing beside them")
        assert lost() == 0


def test_nothing_in_clear_after_charon_has_ended(stretched: Sides) -> None:
    """The last test. The agent lives on, and its fences."""
    a, _ = stretched
    with pair_of(stretched).wire() as wire:
        a.node.end_charon(signal.SIGTERM)
        wait_until(lambda: not a.node.protect_policies(), 20, "no policy of charon's")
        assert a.machine.ping(REMOTE_MACHINE, 3) == 0
        wire.summary().require_protected()
