"""What `isthmus probe` has printed on a gateway node, which may be of another release."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from isthmus.model.names import PROBE_REPORT_SCHEMA

from ..documents import Document, entries, number, text

_PERCENTILES = (50, 95, 99)


class BadReport(ValueError):
    """It is none; the text is a sentence."""


@dataclass(frozen=True)
class Series:
    """Frames of one size."""

    payload_bytes: int
    sent: int
    rtt_seconds: tuple[float, ...]
    """In ascending order."""

    @property
    def received(self) -> int:
        """How many came back."""
        return len(self.rtt_seconds)

    @property
    def lost(self) -> int:
        """How many did not."""
        return max(0, self.sent - self.received)

    def percentile(self, percent: int) -> float | None:
        """The round-trip time that so many of a hundred do not exceed (nearest rank)."""
        if not self.rtt_seconds:
            return None
        return self.rtt_seconds[max(1, ceil(percent / 100 * self.received)) - 1]

    def to_document(self) -> dict[str, Any]:
        """In JSON."""
        rtts = {f"p{percent}": self.percentile(percent) for percent in _PERCENTILES}
        least, most = self.percentile(0), self.percentile(100)
        return {
            "bytes": self.payload_bytes,
            "sent": self.sent,
            "received": self.received,
            "lost": self.lost,
            "rttSeconds": {"min": least, **rtts, "max": most},
        }


@dataclass(frozen=True)
class Counted:
    """Frames of machines in one direction."""

    packets: int
    octets: int


@dataclass(frozen=True)
class Report:
    """Of one link."""

    link_name: str
    cloud_id: str
    mtu: int
    frames_per_second: int
    series: tuple[Series, ...]
    largest_bytes: int | None
    sent: Counted | None
    received: Counted | None
    counter_seconds: float


def parse(printed: str) -> Report:
    """Raises BadReport."""
    try:
        document = json.loads(printed)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or text(document, "schema") != PROBE_REPORT_SCHEMA:
        raise BadReport("this is not what isthmus probe prints: compare the versions, kubectl isthmus version")
    return Report(
        link_name=text(document, "link"),
        cloud_id=text(document, "peer"),
        mtu=number(document, "mtu") or 0,
        frames_per_second=number(document, "framesPerSecond") or 0,
        series=tuple(map(_series, entries(document, "series"))),
        largest_bytes=number(document, "largestBytes"),
        sent=_counted(document, "sent"),
        received=_counted(document, "received"),
        counter_seconds=(_floats([document.get("counterSeconds")]) or (0.0,))[0],
    )


def _series(item: Document) -> Series:
    listed = item.get("rttSeconds")
    rtts = _floats(listed) if isinstance(listed, list) else ()
    return Series(number(item, "bytes") or 0, number(item, "sent") or 0, tuple(sorted(rtts)))


def _floats(values: Sequence[object]) -> tuple[float, ...]:
    return tuple(float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool))


def _counted(document: Document, direction: str) -> Counted | None:
    packets, octets = (number(document, "counters", direction, what) for what in ("packets", "bytes"))
    return None if packets is None or octets is None else Counted(packets, octets)
