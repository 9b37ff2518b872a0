"""Complete agents on real switches, charons and kernels, one per cloud; only the clusters are fakes."""

from __future__ import annotations

import signal
import statistics
import time
from typing import Any

import pytest

from tests.fakes.store import Key
from tests.kernel.openvswitch import sh
from tests.kernel.side import RESYNC_SECONDS, Side, pair_of
from tests.testbed.host.process import wait_until
from tests.testbed.wan.wire import Traffic

# The delay of the IPsecPolicy, and what charon takes to give up on a peer that does not answer.
_DEAD_PEER_SECONDS = 10 + 10

_ACQUIRE_SECONDS = 10  # `xfrm_acq_expires` in deploy/strongswan.conf: how long the kernel remembers an acquire


def test_machines_reach_each_other_and_only_esp_is_on_the_wire(stretched: tuple[Side, Side]) -> None:
    a, b = stretched
    with pair_of(stretched).wire() as wire:
        assert a.machine.ping("10.20.0.12", 5) == 5
        assert b.machine.ping("10.20.0.11", 5) == 5
        summary = wire.summary()
    summary.require_protected()
    assert summary.counts[Traffic.ESP] >= 20


def test_restarted_agent_changes_nothing_and_loses_no_traffic(stretched: tuple[Side, Side]) -> None:
    a, _ = stretched
    a.effects.clear()
    with a.machine.pinging("10.20.0.12") as lost:
        a.stop()
        a.start()
        time.sleep(2 * RESYNC_SECONDS + 1)
        assert lost() == 0
    # Reported BFD states may change with the load of the machine: its interval is some hundred milliseconds.
    assert [effect for effect in a.effects if not effect.startswith("apply_status")] == []


@pytest.mark.parametrize("kind", ["Attachment", "CloudPeer", "IPsecPolicy", "PeerLink"])
def test_restarted_agent_keeps_what_it_does_not_understand(stretched: tuple[Side, Side], kind: str) -> None:
    a, _ = stretched
    (key,) = (key for key in a.store.entries if key.kind == kind)
    understood = a.store.entries[key].manifest["spec"]
    a.effects.clear()
    with a.machine.pinging("10.20.0.12") as lost:
        a.stop()
        _set_spec(a, key, {"unknown": True})
        a.start()
        time.sleep(2 * RESYNC_SECONDS + 1)
        assert a.machine.ping("10.20.0.12", 3) == 3
        _set_spec(a, key, understood)
        a.watch.wake()
        time.sleep(RESYNC_SECONDS + 1)
        assert lost() == 0
    assert [effect for effect in a.effects if not effect.startswith("apply_status")] == []


def _set_spec(side: Side, key: Key, spec: dict[str, Any]) -> None:
    entry = side.store.entries[key].copy()
    entry.manifest["spec"] = spec
    side.store.put(key, entry, spec_changed=True)


def test_key_is_rotated_without_an_outage(stretched: tuple[Side, Side]) -> None:
    a, b = stretched
    before = a.node.associations()
    with a.machine.pinging("10.20.0.12") as lost:
        for side in stretched:
            side.set_key(b"another-key-another-key-another-key")
        wait_until(lambda: not a.node.associations() & before, 30, "only SAs of the new key")
        for side in stretched:
            wait_until(side.connected, 30, f"connection of {side.name}")
        # Packets that are in flight under the old key when one side removes it.
        assert lost() <= 20
    assert b.connected()


@pytest.mark.parametrize("restarted", ["initiator", "responder"])
def test_killed_charon_is_replaced_without_losing_a_packet(stretched: tuple[Side, Side], restarted: str) -> None:
    """Twice: after the first time each side has initiated a child, and dead peer detection would have ended one."""
    sides = dict(zip(("initiator", "responder"), stretched, strict=True))
    node = sides[restarted].node
    with stretched[0].machine.pinging("10.20.0.12") as lost:
        for away_seconds in (0, _DEAD_PEER_SECONDS):
            before = node.associations()
            assert before
            node.end_charon(signal.SIGKILL)
            time.sleep(away_seconds)
            node.start_charon()
            wait_until(lambda gone=before: not node.associations() & gone, 180, "new states alone")  # type: ignore[misc]
            for side in stretched:
                wait_until(side.connected, 40, f"connection of {side.name}")
                wait_until(lambda s=side: len(s.node.associations()) == 4, 40, "nothing beside them")  # type: ignore[misc]
        assert lost() == 0


def test_removed_block_policies_are_restored_within_milliseconds(stretched: tuple[Side, Side]) -> None:
    """As after a flush, but for charon's policies: those have tests of their own."""
    a, _ = stretched
    blocks = a.node.blocks()
    assert blocks
    seconds = []
    for _ in range(5):
        begun = time.monotonic()
        a.node.remove_blocks(blocks)
        wait_until(lambda: a.node.blocks() == blocks, 10, "the block policies", poll_seconds=0.005)
        seconds.append(time.monotonic() - begun)
    print(f"block policies: {', '.join(f'{s * 1e3:.0f}' for s in seconds)} ms")
    # By resyncs alone, each but the first would take as long as from one to the next.
    assert statistics.median(seconds) < RESYNC_SECONDS / 2
    assert a.machine.ping("10.20.0.12", 3) == 3


def test_flows_are_restored_after_ovs_vswitchd_restarts(stretched: tuple[Side, Side]) -> None:
    a, _ = stretched
    a.switch.restart_vswitchd()
    wait_until(lambda: a.machine.ping("10.20.0.12", 3) == 3, 40, "traffic after the restart")


def test_flows_are_restored_while_the_api_hangs(stretched: tuple[Side, Side]) -> None:
    a, _ = stretched
    a.api.clear()
    try:
        time.sleep(RESYNC_SECONDS + 0.5)  # by then the agent waits for an answer
        a.switch.restart_vswitchd()
        wait_until(lambda: "table=7" in a.switch.ofctl("dump-flows br-cloud"), 20, "the flows", poll_seconds=0.02)
    finally:
        a.api.set()
    wait_until(lambda: a.machine.ping("10.20.0.12", 3) == 3, 40, "traffic after the restart")


def test_nothing_is_left(stretched: tuple[Side, Side]) -> None:
    a, b = stretched
    with pair_of(stretched).wire() as wire:
        for side in stretched:
            side.withdraw()
        for side in stretched:
            wait_until(lambda: side.switch.vsctl("list-br") == "br-int", 60, "removal of br-cloud")  # noqa: B023
            wait_until(lambda: not side.node.blocks(), 20, "removal of the block policies")  # noqa: B023
            wait_until(lambda: "isthmus" not in sh("nft list tables", side.name), 20, "removal of the table")  # noqa: B023
            assert side.switch.vsctl("list-ports br-int").split() == [f"t-vm-{side.name}"]
            wait_until(lambda: sh("ip xfrm policy list nosock", side.name) == "", 20, "no policy")  # noqa: B023
            wait_until(lambda: not side.node.associations(), 20, "no SA")  # noqa: B023
            # The side that withdraws last may have triggered its trap once more: the kernel's acquire expires.
            wait_until(lambda: sh("ip xfrm state", side.name) == "", 2 * _ACQUIRE_SECONDS, "no state")  # noqa: B023
            assert side.node.ike.view().loaded == {}
        assert a.machine.ping("10.20.0.12", 2) == 0
        assert b.machine.ping("10.20.0.11", 2) == 0
        summary = wire.summary()
    summary.require_protected()
