"""Whether the peers that a network is stretched to reach each other, for its tenant."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.core.snapshot.conditions import false, true
from isthmus.model.api.objects import Condition
from isthmus.model.reasons import ConditionType, Reason
from isthmus.model.text import listed

from .state import Origin


def members_connected(origin: Origin) -> list[Condition]:
    """The condition; none as long as fewer than two peers have accepted."""
    if len(origin.accepting) < 2:
        return []
    missing = [*_unreached(origin)]
    if missing:
        text = f"no dataplane probe comes back {listed(missing, '; ')}"
        if origin.topology == "Decentralized":
            text += "; with topology Decentralized these clouds need an agreement with each other, with members: Direct"
        return [false(ConditionType.MEMBERS_CONNECTED, Reason.MEMBERS_UNREACHABLE, text)]
    outside = sorted(origin.accepting.keys() - origin.joined.keys())
    if outside:
        text = f"machines at {listed(outside)} reach this cloud's only"
        return [false(ConditionType.MEMBERS_CONNECTED, Reason.PEER_TOO_OLD, text)]
    return [true(ConditionType.MEMBERS_CONNECTED, Reason.ALL_CONNECTED)]


def _unreached(origin: Origin) -> Iterator[str]:
    for cloud_id in origin.joined:
        answer = origin.answer(cloud_id)
        reached = {*answer.reachable} if answer is not None else set()
        for other, number in origin.joined.items():
            if other != cloud_id and number not in reached:
                yield f"from {other} to {cloud_id}"
