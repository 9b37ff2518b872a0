"""What is reported to tenants about peers that have few addresses left and get no more."""

from __future__ import annotations

from isthmus.core.snapshot.conditions import true
from isthmus.model.api.objects import Condition
from isthmus.model.reasons import ConditionType, Reason
from isthmus.model.text import listed

from .state import Origin

_MAX_MESSAGE_CHARACTERS = 1024


def shortages(origin: Origin) -> list[Condition]:
    """The condition while it is true; none is present otherwise."""
    if origin.facts is None:
        return []
    problems = origin.growth.problems
    stuck = [f"{cloud_id}: {problem.message}" for (cloud_id, _), problem in sorted(problems.items())]
    if stuck:
        return [_low(Reason.NO_ADDRESSES_LEFT, listed(stuck, "; "))]
    cidrs = {subnet.id: subnet.cidr for subnet in origin.facts.subnets}
    fixed = [f"{cidrs[s]} at {c}" for c, s in sorted(origin.short - origin.growing) if s in cidrs]
    if fixed:
        text = (
            f"few addresses are left of {listed(fixed)}, and the slice does not grow: set "
            "addressing.growth to Auto, or if its slice is one of addressing.slices delete ports there"
        )
        return [_low(Reason.SLICE_DOES_NOT_GROW, text)]
    return []


def _low(reason: Reason, text: str) -> Condition:
    return true(ConditionType.ADDRESSES_LOW, reason, text[:_MAX_MESSAGE_CHARACTERS])
