"""Many dataplane probes of one link, for `isthmus probe`: beside a running agent, and without disturbing it.

Frames have the link's own source address, since br-cloud's flows know no other; whoever sends them recognises its
replies by their nonces, so neither counts those of the other. The pace keeps the peer's meter from dropping any: it
lets at least 200 packets a second pass, of which agents use at most 100 (core/node/flows.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from isthmus.ports import DataplaneProbe

SHORTEST_BYTES: Final = 46
"""Payload of the shortest frame of Ethernet."""
FRAMES_PER_SECOND: Final = 20
BENCH_FRAMES_PER_SECOND: Final = 50
_TIMEOUT_SECONDS: Final = 1.0
_TRIES: Final = 3


@dataclass(frozen=True)
class Series:
    """Frames of one size; sizes are without the Ethernet header, as an MTU is."""

    payload_bytes: int
    sent: int
    """Fewer than wanted if the probe port could not send some: its MTU is less, or its queue was full."""
    rtt_seconds: tuple[float, ...]
    """Of each frame that came back, in the order in which they were sent."""


class LinkProbe:
    """Sends on one link, one frame after the other."""

    def __init__(self, probe: DataplaneProbe, mac: str) -> None:
        """`mac` is the source address by which the flows know the link."""
        self._probe, self._mac = probe, mac

    def series(self, payload_bytes: int, count: int, frames_per_second: float = FRAMES_PER_SECOND) -> Series:
        """Send so many frames of that size at an even pace. Raises ExternalError."""
        names = [str(number) for number in range(count)]
        macs, mtus = dict.fromkeys(names, self._mac), dict.fromkeys(names, payload_bytes)
        results = self._probe.exchange(macs, _TIMEOUT_SECONDS, count / frames_per_second, mtus)
        found = [results[name] for name in names]
        back = tuple(result.rtt_seconds for result in found if result.rtt_seconds is not None)
        return Series(payload_bytes, sum(result.sent for result in found), back)

    def largest(self, at_most_bytes: int) -> int | None:
        """The largest size of which one of three frames comes back; None if none does. Raises ExternalError."""
        return largest(lambda size: bool(self.series(size, _TRIES).rtt_seconds), SHORTEST_BYTES, at_most_bytes)


def largest(passes: Callable[[int], bool], least: int, most: int) -> int | None:
    """The largest number from `least` to `most` that passes, if all that are less than one that passes do, too."""
    if passes(most):
        return most
    if not passes(least):
        return None
    known, failing = least, most
    while failing - known > 1:
        middle = (known + failing) // 2
        known, failing = (middle, failing) if passes(middle) else (known, middle)
    return known
