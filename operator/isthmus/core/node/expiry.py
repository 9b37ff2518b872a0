"""When certificates, CAs and CRLs expire, and from when on to warn: one rule for the condition and the alert."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.reasons import Reason

_LONGEST_WARNING: Final = timedelta(days=14)
_WARNING_PART: Final = 3  # of a lifetime, if that is shorter


@dataclass(frozen=True)
class Lifetime:
    """From when until when a certificate or a CRL is valid, both in UTC."""

    begins: datetime
    ends: datetime

    @property
    def warns(self) -> datetime:
        """When to warn: 14 days before the end, or in the last third of a shorter lifetime."""
        third = max(self.ends - self.begins, timedelta()) / _WARNING_PART
        return self.ends - min(_LONGEST_WARNING, third)


@dataclass(frozen=True)
class Expiry:
    """One thing that expires. `kind` is certificate, CA or CRL."""

    cloud_id: str
    kind: str
    lifetime: Lifetime
    secret: str


def expiring(expiries: Iterable[Expiry], now: datetime) -> Problem | None:
    """What expires soon or has expired: the first of it; None if nothing does."""
    due = [each for each in expiries if now >= each.lifetime.warns]
    if not due:
        return None
    first = min(due, key=lambda each: (each.lifetime.ends, each.cloud_id, each.kind))
    what = f"the {first.kind} in Secret {names.IPSEC_NAMESPACE}/{first.secret} for {first.cloud_id}"
    others = f"; {len(due) - 1} more" if len(due) > 1 else ""
    end = f"{first.lifetime.ends:%Y-%m-%d %H:%M} UTC{others}"
    if now >= first.lifetime.ends:
        return Problem(Reason.CERTIFICATE_EXPIRED, f"{what} expired at {end}")
    return Problem(Reason.CERTIFICATE_EXPIRING, f"{what} expires at {end}")
