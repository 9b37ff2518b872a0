"""Monitoring a real kernel: latency, and lost notifications."""

from __future__ import annotations

import errno
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from isthmus.adapters.linux import monitor
from isthmus.adapters.linux.monitor import NetlinkMonitor
from isthmus.adapters.linux.nft import Nft
from isthmus.adapters.linux.xfrm import NetlinkXfrm
from isthmus.agent.protection import Protection
from isthmus.core.node import ipsec
from isthmus.model.names import NFTABLES_TABLE
from isthmus.model.node.host import KernelChange
from isthmus.model.node.ipsec import BlockView
from tests.contract.firewall import TWO_PEERS
from tests.contract.host import BLOCKS
from tests.kernel.host import NODE, IpAndNft, host
from tests.kernel.openvswitch import inside, within
from tests.testbed.host.process import wait_until

_TRIALS = 20
_RESTORED_SECONDS = 10  # nothing but the monitor has anything restored; how long it takes is printed


@pytest.fixture
def tools() -> Iterator[IpAndNft]:
    with host() as tools:
        yield tools


@contextmanager
def _monitored(changed: Callable[[KernelChange], None]) -> Iterator[None]:
    monitored = within(NODE, NetlinkMonitor(NFTABLES_TABLE))
    monitored.start(changed)
    try:
        yield
    finally:
        monitored.stop()


@pytest.mark.usefixtures("tools")
def test_removed_table_is_restored_at_once() -> None:
    nft, protection, restoring = Nft(), Protection(NetlinkXfrm(), Nft()), threading.Lock()

    def seconds_to_restore() -> float:
        # Whoever removes it again and again before it could be read back is given up on until the agent's next step.
        with restoring:
            nft.remove_table()
        begun = time.monotonic()
        wait_until(lambda: nft.view().ruleset == TWO_PEERS, _RESTORED_SECONDS, "the table", poll_seconds=0.001)
        return time.monotonic() - begun

    def changed(change: KernelChange) -> None:
        with restoring:
            protection.restore(change)

    inside(NODE, lambda: protection.extend(frozenset(), TWO_PEERS))
    with _monitored(changed):
        seconds = inside(NODE, lambda: [seconds_to_restore() for _ in range(_TRIALS)])
    print(f"median {statistics.median(seconds) * 1e3:.1f} ms, slowest {max(seconds) * 1e3:.1f} ms")


@pytest.mark.usefixtures("tools")
def test_removed_blocks_are_restored_at_once() -> None:
    xfrm, protection = NetlinkXfrm(), Protection(NetlinkXfrm(), Nft())

    def seconds_to_restore() -> float:
        begun = time.monotonic()
        xfrm.remove_blocks(BLOCKS)  # another process would take longer to start than the blocks to come back
        wait_until(lambda: xfrm.blocks() == BlockView(BLOCKS), _RESTORED_SECONDS, "the blocks", poll_seconds=0.001)
        return time.monotonic() - begun

    def changed(_change: KernelChange) -> None:
        protection.restore()

    inside(NODE, lambda: protection.extend(BLOCKS, TWO_PEERS))
    with _monitored(changed):
        seconds = inside(NODE, lambda: [seconds_to_restore() for _ in range(_TRIALS)])
    print(f"median {statistics.median(seconds) * 1e3:.1f} ms, slowest {max(seconds) * 1e3:.1f} ms")


def _has(calls: list[KernelChange], change: KernelChange) -> bool:
    """Whether it was reported, be it with another: an IPv6 address is complete a second after its device came up."""
    return any(change in call for call in calls)


def test_lost_notifications_are_reported_as_all_changes(tools: IpAndNft) -> None:
    many = ipsec.icmp_unreachable_blocks(f"198.51.{i // 256}.{i % 256}" for i in range(1000))
    xfrm = within(NODE, NetlinkXfrm())
    go_on = threading.Event()
    changes: list[KernelChange] = []

    def changed(change: KernelChange) -> None:
        changes.append(change)
        go_on.wait(30)

    with _monitored(changed):
        tools.add_address("192.0.2.77")
        wait_until(lambda: bool(changes), 20, "the first call")
        xfrm.add_blocks(many)
        xfrm.remove_blocks(many)
        go_on.set()
        wait_until(lambda: KernelChange(~0) in changes, 20, "a call with all changes")
        changes.clear()
        tools.add_nftables_table(NFTABLES_TABLE)
        wait_until(lambda: _has(changes, KernelChange.FIREWALL), 20, "a later change")


def test_monitor_survives_an_error_in_the_callback(tools: IpAndNft) -> None:
    calls: list[KernelChange] = []

    def changed(change: KernelChange) -> None:
        calls.append(change)
        raise ValueError("for the log")

    with _monitored(changed):
        for number in (77, 78):
            seen = len(calls)
            tools.add_address(f"192.0.2.{number}")
            wait_until(lambda: len(calls) > seen, 20, "a call")  # noqa: B023
            time.sleep(0.2)


def test_monitor_subscribes_again_after_a_failure(tools: IpAndNft, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[KernelChange] = []
    received, failures = monitor._received, [OSError(errno.ENETDOWN, "for the test")]

    def fail_once(*arguments: Any) -> KernelChange:
        if failures:
            raise failures.pop()
        return received(*arguments)

    monkeypatch.setattr(monitor, "_received", fail_once)
    monkeypatch.setattr(monitor, "_RETRY_SECONDS", 0.1)
    with _monitored(calls.append):
        tools.add_address("192.0.2.79")
        wait_until(lambda: KernelChange(~0) in calls, 20, "a call with all changes")
        calls.clear()
        tools.add_address("192.0.2.80")
        wait_until(lambda: _has(calls, KernelChange.HOST), 20, "a later change")


def test_own_changes_do_not_cause_a_loop() -> None:
    xfrm, protection = NetlinkXfrm(), Protection(NetlinkXfrm(), Nft())
    calls: list[KernelChange] = []

    def changed(change: KernelChange) -> None:
        calls.append(change)
        protection.restore(change)

    with host() as tools:
        inside(NODE, lambda: protection.extend(BLOCKS, TWO_PEERS))
        with _monitored(changed):
            for remove in (tools.flush_policies, tools.flush_ruleset):
                calls.clear()
                remove()
                wait_until(lambda: inside(NODE, xfrm.blocks) == BlockView(BLOCKS), _RESTORED_SECONDS, "the blocks")
                wait_until(lambda: inside(NODE, Nft().view).ruleset == TWO_PEERS, _RESTORED_SECONDS, "the table")
                time.sleep(0.5)
                ours = [c for c in calls if c & (KernelChange.POLICIES | KernelChange.FIREWALL)]
                assert len(ours) <= 2, "the change, and what restored it"
