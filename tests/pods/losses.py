"""Lost pings of every replacement: the tests count them, and `make bench` reads them from build/losses.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from images.inputs import REPOSITORY, TARGETS, revision
from tests.testbed.workload.loss import PacketsLost, ping_losing_nothing
from tests.testbed.workload.ping import PingResult
from tests.testbed.workload.tenant import Stretch

FILE: Final = REPOSITORY / "build" / "losses.json"
EVENTS: Final = 12
"""Number of events that the tests count."""


@dataclass(frozen=True)
class Count:
    """What one event has cost; of requests that are 10 ms apart."""

    sent: int
    lost: int
    longest_silence_seconds: float


def require_no_loss(stretch: Stretch, change: Callable[[], object], event: str) -> None:
    """Require that an event loses nothing, and record what it has lost. Raises what `ping_losing_nothing` raises."""
    try:
        result = ping_losing_nothing(stretch, change)
    except PacketsLost as error:
        _record(event, error.result)
        raise
    _record(event, result)


def counted() -> Mapping[str, Count]:
    """What was counted last with these very images, by event."""
    try:
        document = json.loads(FILE.read_text())
    except FileNotFoundError:
        return {}
    if document["images"] != _images():
        return {}
    return {event: Count(**count) for event, count in document["events"].items()}


def _record(event: str, result: PingResult) -> None:
    """Add an event to what was counted before."""
    count = Count(result.transmitted, result.lost, round(result.longest_silence_seconds, 3))
    events = {**counted(), event: count}
    FILE.parent.mkdir(exist_ok=True)
    document = {"images": _images(), "events": {name: asdict(each) for name, each in events.items()}}
    FILE.write_text(json.dumps(document, indent=1) + "\n")


def _images() -> dict[str, str]:
    """The sources of the images."""
    return {target: revision(target).commit for target in TARGETS}
