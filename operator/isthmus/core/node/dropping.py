"""What br-cloud drops of networks at present: whatever has been counted within the last five minutes.

Counters themselves are metrics. A status says only whether they grow, so that it changes when that begins or ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import DropObservation
from isthmus.model.node.drops import Drop

DropPoint = tuple[str, str, Drop]
"""Link name of the network, name of the member that the frames come from (empty: this cloud), and the reason."""

PRESENT_SECONDS: Final = 300.0
_USUAL: Final = frozenset({Drop.LINK_LOCAL, Drop.CLOUD_SERVICE, Drop.IPV6_ROUTER})
"""Of this cloud: machines ask for addresses and routers, and switches in them announce themselves."""


@dataclass(frozen=True)
class Dropping:
    """What has been counted so far."""

    counted: Mapping[DropPoint, int] | None = None
    """None before the first time: what was dropped before that may be long ago."""
    grew_at: Mapping[DropPoint, float] = field(default_factory=dict)
    """Seconds of the monotonic clock."""
    by_network: Mapping[str, tuple[DropObservation, ...]] = field(default_factory=dict)
    """What is dropped at present, by link name; without what is usual."""


def counted(before: Dropping, counters: Mapping[DropPoint, int], now_seconds: float) -> Dropping:
    """After the counters were read again. One that is less than before was reset."""
    grown = {} if before.counted is None else dict.fromkeys(_grown(before.counted, counters), now_seconds)
    grew_at = {point: at for point, at in {**before.grew_at, **grown}.items() if now_seconds - at < PRESENT_SECONDS}
    by_network = _by_network(grew_at)
    kept = before.by_network if by_network == before.by_network else by_network
    return Dropping(counters, grew_at, kept)


def _grown(before: Mapping[DropPoint, int], counters: Mapping[DropPoint, int]) -> Iterator[DropPoint]:
    return (point for point, frames in counters.items() if frames > before.get(point, 0) and not _is_usual(point))


def _is_usual(point: DropPoint) -> bool:
    _, sender, reason = point
    return not sender and reason in _USUAL


def _by_network(points: Mapping[DropPoint, float]) -> dict[str, tuple[DropObservation, ...]]:
    found: dict[str, tuple[DropObservation, ...]] = {}
    for network, sender, reason in sorted(points):
        found[network] = (*found.get(network, ()), _observation(sender, reason))
    return found


def _observation(sender: str, reason: Drop) -> DropObservation:
    cloud_id, number = names.cloud_and_number(sender)
    return DropObservation(cloud_id=cloud_id or None, number=number, reason=reason.label)
