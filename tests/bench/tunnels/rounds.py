"""What was measured inside, and what follows from it: each round has every path once, so that their ratios compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

PathName = Literal["stretched", "hosts", "routed", "direct", "relayed"]


@dataclass(frozen=True)
class Run:
    """What arrived, in bits without headers, and in how many seconds.

    `case` is what is equal for all paths of a round, such as the cipher or the size of packets.
    """

    round: int
    case: str
    path: PathName
    bits: float
    seconds: float
    number: int
    """Of the time that the guest's kernel needed for it, of all that is metered."""
    processor_seconds: float | None = None
    """This time; None if it is not known: not in a guest."""

    @property
    def rate(self) -> float:
        """Bits per second: of processor time where it is known, so that what else the machine does has no part in it.

        One processor does all of the work: it is what limits the throughput.
        """
        return self.bits / (self.seconds if self.processor_seconds is None else self.processor_seconds)


@dataclass(frozen=True)
class Crossing:
    """What arrived by a path in one round, and the median of round-trip times there, in milliseconds."""

    run: Run
    round_trip: float


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum."""

    median: float
    lowest: float
    highest: float


def ratios(runs: Iterable[Run], case: str, path: PathName, reference: PathName) -> Spread:
    """What arrived by a path, divided by what arrived by another one in the same round.

    Raises ValueError if a round has one of them only, or if there is no round, or nothing arrived by the reference.
    """
    rates = {(run.path, run.round): run.rate for run in runs if run.case == case}
    rounds = {number for name, number in rates if name == path}
    if not rounds or rounds != {number for name, number in rates if name == reference}:
        raise ValueError(f"{case}: {path} and {reference} were not measured in the same rounds")
    if any(rates[reference, number] == 0 for number in rounds):
        raise ValueError(f"{case}: nothing arrived by {reference}")
    return spread([rates[path, number] / rates[reference, number] for number in sorted(rounds)])


def median_megabits(runs: Iterable[Run], case: str, path: PathName) -> float:
    """Median of the rates in Mbit/s; raises StatisticsError without a run."""
    return median(run.rate / 1e6 for run in runs if (run.case, run.path) == (case, path))


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(median(values), min(values), max(values))
