"""Fences, policies and SAs are flushed under traffic: nothing leaks, and everything is restored.

The agents run as ever, but for their resync, which must not be what repairs.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from isthmus.core.node import ipsec
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection, GatewayNode
from tests.kernel.openvswitch import sh
from tests.kernel.side import Side, pair_of
from tests.testbed.host.process import wait_until
from tests.testbed.wan.wire import Summary, Traffic
from tests.testbed.workload.ping import PingResult, count_replies

RESYNC_SECONDS = 600
FLUSHES = {
    "policies and states": "ip xfrm policy flush; ip xfrm state flush",
    "policies": "ip xfrm policy flush",
    "states": "ip xfrm state flush",
}
_CHILDREN = 2
_SAS = 2 * _CHILDREN
_REKEYS = 10
_REMOTE_MACHINE = "10.20.0.12"
_OBSERVED_SECONDS = 4
_OTHERWISE_SECONDS = 15  # before dead peer detection ends an SA, and long before the resync: neither has repaired it
_REKEYED_SECONDS = 7  # how long charon keeps the incoming SA of a child that was rekeyed, and some more
Sides = tuple[Side, Side]


@pytest.mark.parametrize("what", FLUSHES)
@pytest.mark.parametrize("where", ["a", "b", "ab"])
def test_flush_leaks_nothing_and_is_recovered_by_the_agent(stretched: Sides, where: str, what: str) -> None:
    flushed = [side for side in stretched if side.name in where]
    for side in stretched:
        side.effects.clear()
    ping, wire = _disturbed(stretched, lambda: [sh(FLUSHES[what], side.name) for side in flushed])
    print(
        f"\nflush of {what} on {where}: {ping.lost} of {ping.transmitted} pings lost, longest silence "
        f"{ping.longest_silence_seconds:.2f} s, {wire.counts[Traffic.OTHER]} packets in clear, {wire.esp} of ESP"
    )
    wire.require_protected()
    assert wire.esp > 100
    assert ping.longest_silence_seconds < _OTHERWISE_SECONDS
    time.sleep(_REKEYED_SECONDS)
    for side in stretched:
        wait_until(lambda: _is_complete(side), 30, f"the SAs of {side.name} and no others")  # noqa: B023
        wait_until(side.connected, 30, f"connection of {side.name}")
    # What is restored after the policies are gone, the flush of the states may still remove. If both sides lost them,
    # each begins, and what one has restored the other side's flush may still remove, child by child. For what the
    # kernel then asks for, charon opens another IKE SA, and the peer adds to it what it sends.
    steps = FLUSHES[what].count("flush")
    most = steps if len(flushed) == 1 else steps * len(flushed) + _CHILDREN
    answers = 1 if what == "states" else 0
    effects = {side.name: [effect[:60] for effect in side.effects] for side in stretched}
    counts = {side.name: _negotiations(side) for side in stretched}
    of_flushed = sum(counts[side.name] for side in flushed)
    if len(flushed) == 1:
        assert of_flushed <= most, effects
    assert of_flushed >= 1, effects
    assert sum(counts.values()) <= most + answers, effects


@pytest.mark.parametrize("fence", ["nftables table", "block policies"])
@pytest.mark.parametrize("where", ["a", "b"])
def test_one_fence_is_restored_by_the_agent_and_nothing_leaks(stretched: Sides, where: str, fence: str) -> None:
    (side,) = (side for side in stretched if side.name == where)
    table, blocks = side.node.table(), side.node.blocks()
    seconds = []

    def remove() -> None:
        if fence == "nftables table":
            sh("nft delete table inet isthmus", side.name)
        else:
            side.node.remove_blocks(blocks)
        begun = time.monotonic()
        wait_until(lambda: (side.node.table(), side.node.blocks()) == (table, blocks), _OTHERWISE_SECONDS, fence, 0.001)
        seconds.append(time.monotonic() - begun)

    ping, wire = _disturbed(stretched, remove)
    print(
        f"\n{fence} removed on {where}: back after {seconds[0]:.3f} s, {ping.lost} of {ping.transmitted} pings lost, "
        f"{wire.counts[Traffic.OTHER]} packets in clear"
    )
    wire.require_protected()
    assert ping.longest_silence_seconds < _OTHERWISE_SECONDS


@pytest.mark.parametrize("rekeyed_by", ["a", "b"])
def test_rekeying_is_not_mistaken_for_a_loss(stretched: Sides, rekeyed_by: str) -> None:
    """Every state that is removed wakes the agents, while a rekeying may still be in progress."""
    (side,) = (side for side in stretched if side.name == rekeyed_by)
    for each in stretched:
        each.effects.clear()
    for _ in range(_REKEYS):
        for name, state in side.node.ike.view().states.items():
            side.node.ike.rekey(name, state.spis)
        time.sleep(1)
    time.sleep(_REKEYED_SECONDS)
    for each in stretched:
        assert _negotiations(each) == 0, each.effects
        wait_until(lambda: _is_complete(each), 30, f"the SAs of {each.name} and no others")  # noqa: B023


def test_status_says_what_the_kernel_has_lost(stretched: Sides) -> None:
    a, b = stretched
    b.node.signal_charon(signal.SIGSTOP)  # does not answer, so that a cannot negotiate
    try:
        sh(FLUSHES["states"], "a")
        wait_until(lambda: _connection(a).reason == "SAsMissingInKernel", 20, "the reason")
        connection = _connection(a)
        assert (connection.up, connection.ike, connection.esp) == (False, "Established", "Missing")
    finally:
        b.node.signal_charon(signal.SIGCONT)
    wait_until(lambda: all(_is_complete(side) and side.connected() for side in stretched), 60, "new SAs")


def test_without_agents_and_fences_it_leaks_and_is_seen(stretched: Sides) -> None:
    """The oracle of the tests above can fail."""
    for side in stretched:
        side.stop()
    try:
        everything = f"{FLUSHES['policies and states']}; nft delete table inet isthmus"
        _, wire = _disturbed(stretched, lambda: [sh(everything, side.name) for side in stretched])
        print(f"\nwithout agents: {wire.counts[Traffic.OTHER]} packets in clear")
        assert wire.counts[Traffic.OTHER] > 100
        assert not wire.clean
    finally:
        for side in stretched:
            side.start()
    for side in stretched:
        wait_until(lambda: _is_complete(side) and side.connected(), 60, f"SAs of {side.name}")  # noqa: B023


def _disturbed(sides: Sides, event: Callable[[], object]) -> tuple[PingResult, Summary]:
    """Ping from machine to machine every 10 ms, before, during and after the event; all that was on the wire."""
    words = ["ip", "netns", "exec", sides[0].machine.netns, "ping", "-nDi", "0.01", "-W", "1", _REMOTE_MACHINE]
    with pair_of(sides).wire() as wire:
        ping = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        event()
        time.sleep(_OBSERVED_SECONDS)
        wait_until(lambda: sides[0].machine.ping(_REMOTE_MACHINE, 1), _OTHERWISE_SECONDS, "a reply")
        ping.send_signal(signal.SIGINT)
        output, _ = ping.communicate(timeout=30)
        return count_replies(output), wire.summary()


def _negotiations(side: Side) -> int:
    """How often the agent has had charon negotiate anything."""
    return sum(effect.startswith(("rekey", "terminate", "initiate")) for effect in side.effects)


def _is_complete(side: Side) -> bool:
    """Kernel and charon have the same SAs, and no more than there must be."""
    associations, ike = side.node.views()
    spis = {spi for state in ike.states.values() for spi in state.spis}
    complete = len(associations) == len(spis) == _SAS and {a.spi for a in associations} == spis
    return complete and not ipsec.lost_spis(ike, associations, side.node.protect_policies())


def _connection(side: Side) -> GatewayConnection:
    node = side.kubectl.get(GatewayNode, f"gw-{side.name}")
    assert node is not None
    (connection,) = node.status.connections
    return connection
