"""Election of the one active replica of the controller by a Lease, as Kubernetes' own components do it.

All times are seconds of the candidate's monotonic clock. The wall clock of another candidate is written in the Lease,
and never compared with ours: how old a Lease is, a candidate measures from when it saw the Lease change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from math import inf

from isthmus.model.facts.lease import Lease


@dataclass(frozen=True)
class Timing:
    """The defaults are those of kube-controller-manager."""

    lease_seconds: int = 15
    """Other candidates wait for so long after they saw the last renewal."""
    deadline_seconds: float = 10.0
    """The active one acts for so long after it began its last renewal. The difference is for a call that was begun."""
    retry_seconds: float = 2.0
    """Between two attempts to renew the Lease, or to get it."""


@dataclass(frozen=True)
class Candidate:
    """What one candidate knows."""

    identity: str
    """Different for every process."""
    timing: Timing = Timing()
    lease: Lease | None = None
    """As last read or written; None if it does not exist."""
    seen_at: float = -inf
    """When the Lease was last seen to change."""
    active_until: float = -inf
    """Until when this candidate may act."""

    def is_active(self, now: float) -> bool:
        """Whether this candidate may act now."""
        return now < self.active_until

    def may_claim(self, now: float) -> bool:
        """Whether the Lease is ours, or free: nobody has it, or its holder has not renewed it in time."""
        if self.lease is None or self.lease.holder in {"", self.identity}:
            return True
        return now - self.seen_at >= self.lease.duration_seconds

    def after_reading(self, lease: Lease | None, now: float) -> Candidate:
        """The candidate after it has read the Lease."""
        changed = self.lease is None or lease is None or lease.renewal != self.lease.renewal
        held = lease is not None and lease.holder == self.identity
        return replace(
            self,
            lease=lease,
            seen_at=now if changed else self.seen_at,
            active_until=self.active_until if held else -inf,
        )

    def claim(self, name: str, wall_now: datetime) -> Lease:
        """The Lease to write: renewed if it is ours, else taken over."""
        before = self.lease or Lease(name)
        held = before.holder == self.identity
        return Lease(
            name,
            holder=self.identity,
            duration_seconds=self.timing.lease_seconds,
            acquired=before.acquired if held else wall_now,
            renewed=wall_now,
            transitions=before.transitions if held or not before.resource_version else before.transitions + 1,
            resource_version=before.resource_version,
        )

    def after_claim(self, stored: Lease, began_at: float, now: float) -> Candidate:
        """The candidate after its claim was stored; `began_at`: the time before the request."""
        return replace(self, lease=stored, seen_at=now, active_until=began_at + self.timing.deadline_seconds)

    def released(self) -> Lease | None:
        """The Lease to write at the end, so that the next one need not wait; None if it is not ours."""
        if self.lease is None or self.lease.holder != self.identity:
            return None
        return replace(self.lease, holder="", duration_seconds=1)
