"""Pings from a machine: a few in one call, or many in the background to count losses during an event."""

import re
import signal
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Final, Self

from tests.testbed.host.process import wait_until
from tests.testbed.node.node import Place

# Replies to the last requests may be outstanding when a run is stopped: these, and as many as were sent while one of
# the last replies was on its way.
_IN_FLIGHT: Final = 3
_LAST_REPLIES: Final = 10
# A guest's kernel sleeps in ticks of 10 ms, and up to one tick too long: ping may send this many at once to catch up.
_PRELOAD: Final = 3


class StarvedNode(RuntimeError):
    """A node got too little time of this machine for a verdict."""


@dataclass(frozen=True)
class PingResult:
    """Result of a number of requests."""

    transmitted: int
    received: int
    rtt_milliseconds: float | None
    longest_silence_seconds: float = 0.0
    arrived_again: int = 0
    """Number of further replies to the same requests."""

    @property
    def lost(self) -> int:
        """Number of requests without a reply."""
        return self.transmitted - self.received

    @property
    def all_answered(self) -> bool:
        """Whether there were requests and each was answered."""
        return self.transmitted > 0 and self.lost == 0


def ping(
    place: Place, address: str, count: int, interval_seconds: float, size: int | None = None, df: bool = False
) -> PingResult:
    """Send some requests and wait for their replies; `size` is the size of the IP packet in bytes."""
    argv = ["ping", "-n", "-q", "-c", str(count), "-i", str(interval_seconds), "-W", "1", *_size(size, df), address]
    # Status 1 means no reply, 2 that packets were rejected; both are results here.
    output = place.run(argv, check=False, timeout_seconds=count * (interval_seconds + 1) + 30).stdout
    counts = re.search(r"(\d+) packets transmitted, (\d+) received", output)
    if counts is None:
        raise RuntimeError(f"unexpected output of ping: {output}")
    rtt = re.search(r"= [\d.]+/([\d.]+)/", output)
    return PingResult(int(counts[1]), int(counts[2]), float(rtt[1]) if rtt else None)


class PingRun:
    """Requests in the background until `stop`, or until an error leaves the block."""

    def __init__(self, place: Place, name: str, address: str, interval_seconds: float) -> None:
        self._place = place
        self._name = name
        self._interval_seconds = interval_seconds
        place.log(name).unlink(missing_ok=True)
        options = ["-n", "-D", "-W", "1", "-l", str(_PRELOAD), "-i", str(interval_seconds)]
        place.spawn(["ping", *options, address], name)

    def stop(self) -> PingResult:
        """Stop it and count requests without a reply, ignoring the last few."""
        self._end()
        return count_replies(self._place.log(self._name).read_text(errors="replace"), self._interval_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        self._place.kill(self._name, signal.SIGINT)
        wait_until(lambda: not self._place.alive(self._name), 60, f"end of {self._name}", poll_seconds=0.05)


def count_replies(output: str, interval_seconds: float = 1.0) -> PingResult:
    """Count replies in the output of `ping -D`; raises RuntimeError if the output is incomplete."""
    replies = re.findall(r"^\[([\d.]+)\].*icmp_seq=(\d+) .*time=([\d.]+) ms", output, re.MULTILINE)
    sent = re.search(r"(\d+) packets transmitted", output)
    if sent is None:
        raise RuntimeError(f"unexpected output of ping: {output[-1000:]}")
    transmitted = int(sent[1])
    seen = {int(number) for _, number, _ in replies}
    last = max(seen, default=0)
    slowest_seconds = max((float(took) / 1000 for _, _, took in replies[-_LAST_REPLIES:]), default=0.0)
    if transmitted - last <= _IN_FLIGHT + int(slowest_seconds / interval_seconds):
        transmitted = last
    times = [float(moment) for moment, _, _ in replies]
    silence = max((after - before for before, after in pairwise(times)), default=0.0)
    rtt = sum(float(reply[2]) for reply in replies) / len(replies) if replies else None
    return PingResult(transmitted, len(seen), rtt, silence, len(replies) - len(seen))


def _size(size: int | None, df: bool) -> list[str]:
    headers = 28
    return ["-M", "do" if df else "dont", *(["-s", str(size - headers)] if size is not None else [])]
