"""Fences, policies and SAs of a gateway node are flushed under traffic: nothing leaks, everything is restored.

The kernel tier has every case on either side; those that `make test` leaves out here are in `make test-long`.
"""

from collections.abc import Callable

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation
from tests.testbed.node.gateway import Gateway
from tests.testbed.wan.wire import Summary, Traffic
from tests.testbed.workload.ping import PingResult, StarvedNode
from tests.testbed.workload.tenant import Stretch

_FLUSH = "ip xfrm policy flush; ip xfrm state flush"
_REMOVE_TABLE = "nft delete table inet isthmus"
# How to remove a fence, and how it is listed.
_FENCES = {
    "nftables table": (_REMOVE_TABLE, "nft --stateless list table inet isthmus 2>&1"),
    "block policies": ("ip xfrm policy deleteall action block", "ip xfrm policy list nosock action block | sort"),
}
_BACK_SECONDS = 3.0  # the agents' resync, and dead peer detection, take much longer
_SAS = 4
_ATTEMPTS = 3
Record = Callable[[str, object], None]


@pytest.mark.parametrize("where", [*(pytest.param(one, marks=pytest.mark.long) for one in "ab"), "ab"])
def test_flush_leaks_nothing_and_is_recovered_by_the_agent(
    peers: Federation, stretched: Stretch, where: str, record_property: Record
) -> None:
    gateways = _gateways(peers, where)
    before = [gateway.spis() for gateway in gateways]
    ping, wire = _disturbed(peers, stretched, lambda: [gateway.run(_FLUSH) for gateway in gateways])
    record_property(
        f"flush of policies and SAs on {where}",
        f"{wire.counts[Traffic.OTHER]} packets in clear, longest silence {ping.longest_silence_seconds:.2f} s, "
        f"{ping.lost} of {ping.transmitted} pings lost",
    )
    wire.require_protected()
    assert wire.esp > 0
    assert ping.longest_silence_seconds < _BACK_SECONDS
    for gateway, old in zip(gateways, before, strict=True):
        _wait_for_one_set(gateway)
        assert not gateway.spis() & old
    peers.wait_for_peers(60)


@pytest.mark.parametrize(
    ("where", "fence"),
    [
        ("a", "nftables table"),
        ("b", "block policies"),
        pytest.param("b", "nftables table", marks=pytest.mark.long),
        pytest.param("a", "block policies", marks=pytest.mark.long),
    ],
)
def test_one_fence_is_restored_by_the_agent_and_nothing_leaks(
    peers: Federation, stretched: Stretch, where: str, fence: str, record_property: Record
) -> None:
    (gateway,) = _gateways(peers, where)
    milliseconds: list[int] = []
    ping, wire = _disturbed(peers, stretched, lambda: milliseconds.append(_removed_for(gateway, *_FENCES[fence])))
    record_property(
        f"{fence} removed on {where}",
        f"back after {milliseconds[-1]} ms, {wire.counts[Traffic.OTHER]} packets in clear, "
        f"{ping.lost} of {ping.transmitted} pings lost",
    )
    wire.require_protected()
    assert milliseconds[-1] < 1000 * _BACK_SECONDS
    assert ping.longest_silence_seconds < _BACK_SECONDS


def test_without_agents_and_fences_it_leaks_and_is_seen(
    peers: Federation, stretched: Stretch, record_property: Record
) -> None:
    """The oracle of the tests above can fail."""
    gateways = _gateways(peers, "ab")
    for side in peers.both:
        side.stop_process("agent")
    try:
        with peers.lab.wan.capture() as capture:
            stretched.ping_beside(lambda: [gateway.run(f"{_FLUSH}; {_REMOVE_TABLE}") for gateway in gateways])
    finally:
        for side in peers.both:
            side.start_agent()
    wire = capture.summary()
    record_property("both fences removed, agents stopped", f"{wire.counts[Traffic.OTHER]} packets in clear")
    assert wire.counts[Traffic.OTHER] > 0
    # Both agents have lost SAs negotiated again, one after the other: a ping may be lost between the two.
    wait_until(lambda: stretched.wait_for_ping(60).all_answered, 60, "all pings to be answered again")
    for gateway in gateways:
        _wait_for_one_set(gateway)
    peers.wait_for_peers(60)


def _wait_for_one_set(gateway: Gateway) -> None:
    """charon keeps what comes in under a child that was rekeyed for a few seconds."""
    wait_until(lambda: len(gateway.spis()) == _SAS, 60, f"one set of SAs on {gateway.name}")


def _gateways(peers: Federation, where: str) -> list[Gateway]:
    return [side.cloud.gateway for name, side in (("a", peers.a), ("b", peers.b)) if name in where]


def _disturbed(peers: Federation, stretch: Stretch, event: Callable[[], object]) -> tuple[PingResult, Summary]:
    """Repeated if this machine was too busy for a verdict on the pings, as in `ping_losing_nothing`."""
    starved = ""
    for _ in range(_ATTEMPTS):
        try:
            with peers.lab.wan.capture() as capture:
                ping = stretch.ping_during(event)
        except StarvedNode as error:
            capture.summary().require_protected()
            starved = str(error)
        else:
            return ping, capture.summary()
    raise StarvedNode(starved)


def _removed_for(gateway: Gateway, remove: str, listing: str) -> int:
    """Remove a fence on its node; how many milliseconds it took to be as before."""
    script = f"""
        before=$({listing}); {remove}; begun=$(date +%s%N)
        for _ in $(seq 200); do [ "$({listing})" != "$before" ] || break; done
        echo $((($(date +%s%N) - begun) / 1000000)); [ "$({listing})" = "$before" ]
    """
    return int(gateway.run(script).stdout)
