"""Whether a gateway node can carry networks, from what one process has seen of it over time.

All times are seconds of that process's monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from isthmus.model.facts.gateway import NodeHealth
from isthmus.model.facts.lease import Lease


@dataclass(frozen=True)
class NodeReading:
    """What the API has about one gateway node at one moment."""

    ready: bool
    """Whether condition Ready of its GatewayNode is True."""
    transition: str = ""
    """`lastTransitionTime` of that condition: between two readings it may have changed there and back."""
    transition_age_seconds: float = 0.0
    """How long ago that was, by two wall clocks; negative if they differ."""
    lease: Lease | None = None
    """Its agent's Lease; None if there is none."""


@dataclass(frozen=True)
class NodeHistory:
    """What was seen of one gateway node so far."""

    last: NodeReading
    """With the last Lease that there was. If there never was one (an older agent), nothing follows from that."""
    changed_at: float
    """When `last.ready` became what it is."""
    renewed_at: float
    """When the Lease was last seen to change."""
    vouched_since: float
    """Since when the Lease has been renewed in time."""

    def is_expired(self, now: float) -> bool:
        """Whether the agent has not renewed its Lease for as long as that lasts."""
        return self.last.lease is not None and now - self.renewed_at >= self.last.lease.duration_seconds


def first_seen(reading: NodeReading, now: float) -> NodeHistory:
    """The history of a node that this process has not seen before: only the API says since when its state lasts."""
    since = now - max(0.0, reading.transition_age_seconds)
    return NodeHistory(reading, changed_at=since, renewed_at=now, vouched_since=since)


def seen_again(history: NodeHistory, reading: NodeReading, now: float) -> NodeHistory:
    """The history with one more reading.

    A Lease that is gone counts as one that is not renewed. The garbage collector deletes it some time after its
    GatewayNode was deleted, even if that exists again by then, and the agent may not be there to create another one.
    """
    last = history.last
    reading = replace(reading, lease=reading.lease or last.lease)
    changed = (reading.ready, reading.transition) != (last.ready, last.transition)
    renewed = _renewal(reading) != _renewal(last)
    return NodeHistory(
        reading,
        changed_at=now if changed else history.changed_at,
        renewed_at=now if renewed else history.renewed_at,
        vouched_since=now if renewed and history.is_expired(now) else history.vouched_since,
    )


def not_counting(history: NodeHistory, seconds: float) -> NodeHistory:
    """The history without a time in which the API could not be read: the agent may have been unable to write, too."""
    changed_at = history.changed_at if history.last.ready else history.changed_at + seconds
    return replace(history, changed_at=changed_at, renewed_at=history.renewed_at + seconds)


def health_of(history: NodeHistory, now: float, failover_seconds: float, *, machine_is_ready: bool) -> NodeHealth:
    """The state of the node now; `machine_is_ready`: condition Ready of its Kubernetes Node is True."""
    ready, expired = history.last.ready, history.is_expired(now)
    if (expired and not machine_is_ready) or (not ready and now - history.changed_at >= failover_seconds):
        return NodeHealth("Failed")
    if expired or not ready:
        return NodeHealth("Waiting")
    return NodeHealth("Usable", now - max(history.changed_at, history.vouched_since))


def _renewal(reading: NodeReading) -> object:
    return reading.lease.renewal if reading.lease else None
