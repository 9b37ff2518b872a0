"""Contract of ports.KernelMonitor."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from isthmus.model.names import NFTABLES_TABLE
from isthmus.model.node.host import KernelChange
from isthmus.ports import KernelMonitor, Xfrm
from tests.contract.host import BLOCKS, HostTools

_NOTICED_SECONDS = 20.0  # milliseconds on an idle machine; tests/kernel/test_host_monitor.py measures
_SILENCE_SECONDS = 0.3
_ENDED_SECONDS = 20.0


class Calls:
    """Records the callbacks of a monitor."""

    def __init__(self) -> None:
        self._reported = KernelChange(0)
        self._condition = threading.Condition()

    def changed(self, change: KernelChange) -> None:
        with self._condition:
            self._reported |= change
            self._condition.notify_all()

    def taken(self, change: KernelChange) -> bool:
        """Whether this change was reported since the last call, or is within the time allowed; forgets all of them."""
        with self._condition:
            noticed = self._condition.wait_for(lambda: change in self._reported, _NOTICED_SECONDS)
            self._reported = KernelChange(0)
            return noticed

    def forget(self) -> None:
        """All that was reported."""
        with self._condition:
            self._reported = KernelChange(0)

    def ends(self, change: KernelChange) -> bool:
        """Whether this change, which had many parts, is reported no more in the end; forgets all of them."""
        deadline = time.monotonic() + _ENDED_SECONDS
        while not self.silence(change):
            self.taken(change)
            if time.monotonic() > deadline:
                return False
        return True

    def silence(self, change: KernelChange) -> bool:
        """Whether this change is not reported for a while.

        Others may be: an IPv6 address is complete a second or two after its device came up (RFC 4862 section 5.4).
        """
        time.sleep(_SILENCE_SECONDS)
        with self._condition:
            return not change & self._reported


class MonitorContract:
    """Fixtures: `monitor`, `xfrm`, `tools`."""

    @pytest.fixture
    def calls(self, monitor: KernelMonitor) -> Iterator[Calls]:
        calls = Calls()
        monitor.start(calls.changed)
        yield calls
        monitor.stop()

    def test_removed_policies_are_reported(self, calls: Calls, xfrm: Xfrm, tools: HostTools) -> None:
        xfrm.add_blocks(BLOCKS)
        assert calls.silence(KernelChange.POLICIES), "an added policy removes nothing of ours"
        tools.flush_policies()
        assert calls.taken(KernelChange.POLICIES)
        xfrm.add_blocks(BLOCKS)
        tools.change_policy(next(iter(BLOCKS)))
        assert calls.taken(KernelChange.POLICIES)
        xfrm.remove_blocks(BLOCKS)
        assert calls.taken(KernelChange.POLICIES)
        assert calls.ends(KernelChange.POLICIES)

    def test_links_and_addresses_are_reported(self, calls: Calls, tools: HostTools) -> None:
        tools.add_tunnel_device(15001)
        assert calls.taken(KernelChange.HOST)
        assert calls.ends(KernelChange.HOST)
        tools.add_address("192.0.2.77")
        assert calls.taken(KernelChange.HOST)
        assert calls.ends(KernelChange.HOST)
        tools.add_address("2001:db8::77")
        assert calls.taken(KernelChange.HOST)

    def test_only_our_nftables_table_is_reported(self, calls: Calls, tools: HostTools) -> None:
        tools.add_nftables_table("another")
        assert calls.silence(KernelChange.FIREWALL)
        tools.add_nftables_table(NFTABLES_TABLE)
        assert calls.taken(KernelChange.FIREWALL)
        tools.flush_ruleset()
        assert calls.taken(KernelChange.FIREWALL)

    def test_stopped_monitor_is_silent_and_can_be_started_again(self, monitor: KernelMonitor, tools: HostTools) -> None:
        calls = Calls()
        for _ in range(2):
            monitor.start(calls.changed)
            tools.add_nftables_table(NFTABLES_TABLE)
            assert calls.taken(KernelChange.FIREWALL)
            monitor.stop()
            calls.forget()  # a table is reported in parts, of which the first one was taken
            tools.flush_ruleset()
            assert calls.silence(KernelChange.FIREWALL)
        monitor.stop()
