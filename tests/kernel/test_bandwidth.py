"""What a peer may use of the bandwidth, on the kernel's data path; the frames that it concerns: tests/unit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from isthmus.model.node.pipeline import Direction
from tests.kernel.bridged import TAGS, Cloud
from tests.kernel.frames import frame, ipv4_udp
from tests.kernel.openvswitch import Machine, arrived
from tests.testbed.host.process import wait_until

LIMIT_MBPS = 2
FRAMES, PAYLOAD = 3000, bytes(1000)
_FULL_SECONDS = 2.5  # after which as much may pass at once as ever


@contextmanager
def _limited(cloud: Cloud) -> Iterator[None]:
    """Its peer has a limit meanwhile."""
    cloud.bandwidth_mbps = {cloud.peer: LIMIT_MBPS}
    cloud.install()
    try:
        yield
    finally:
        cloud.bandwidth_mbps = {}
        cloud.install()


def _arrived(sender: Machine, receiver: Machine, count: int = FRAMES) -> int:
    """How many of so many frames that are sent at once arrive, after one by which the kernel has cached the flows.

    Until then each is an upcall, and the queue of these loses most if Open vSwitch gets no processor for a while.
    """
    sent = frame(receiver.mac, sender.mac, ipv4_udp("10.20.0.99", "10.20.0.98", 9, 9, PAYLOAD))
    with receiver.listening() as received:

        def arrives() -> bool:
            sender.send(sent)
            return sent in received(0.2)

        wait_until(arrives, 20, "the first frame")
    return arrived(sender, receiver, sent, count)[0]


def _passes_at_most(seconds: float) -> float:
    """What may pass in that time, at once before it (see `BandwidthMeter`), and a few other frames."""
    return LIMIT_MBPS * 1e6 / 8 / len(PAYLOAD) * (seconds + 2) + 20


@pytest.fixture
def known(machines: dict[str, Machine]) -> dict[str, Machine]:
    """Machines whose addresses both clouds have learned: nothing is flooded."""
    for network in TAGS:
        wait_until(lambda: machines[f"a-{network}"].ping("10.20.0.12", 1) == 1, 20, "an answer")  # noqa: B023
    return machines


@pytest.mark.parametrize("direction", Direction)
def test_peer_has_what_it_may_use_and_no_more(
    clouds: tuple[Cloud, Cloud], known: dict[str, Machine], direction: Direction
) -> None:
    """Cloud a limits; its peer does not."""
    a, b = clouds
    near, far = known["a-red"], known["b-red"]
    sender, receiver = (near, far) if direction == Direction.SENT else (far, near)
    assert _arrived(sender, receiver) > FRAMES / 2, "nothing else limits it"
    with _limited(a):
        time.sleep(_FULL_SECONDS)
        began = time.monotonic()
        passed = _arrived(sender, receiver)
        assert 100 < passed < _passes_at_most(time.monotonic() - began)
        assert a.probe() == b.probe() == {"red": 1, "blue": 1}, "its paths are up"
        peer = a.database.view().numbers.members[a.peer]
        wait_until(lambda: a.openflow.view().over_bandwidth.get((peer, direction), 0) > FRAMES / 2, 20, "the counter")
        assert a.openflow.view().over_bandwidth.keys() == {(peer, direction)}
        assert _arrived(receiver, sender, 200) > 100, "the other direction is not used"
    assert _arrived(sender, receiver) > FRAMES / 2


def test_limit_is_that_of_all_networks_together(clouds: tuple[Cloud, Cloud], known: dict[str, Machine]) -> None:
    a, _ = clouds
    with _limited(a):
        time.sleep(_FULL_SECONDS)
        began = time.monotonic()
        passed = [_arrived(known[f"a-{network}"], known[f"b-{network}"]) for network in TAGS]
        assert 100 < sum(passed) < _passes_at_most(time.monotonic() - began)


def test_bfd_is_not_limited(clouds: tuple[Cloud, Cloud], known: dict[str, Machine]) -> None:
    a, _ = clouds

    def exceed() -> None:
        for _ in range(5):
            _arrived(known["a-red"], known["b-red"])

    with _limited(a):
        assert a.keeps_bfd_up(exceed)
