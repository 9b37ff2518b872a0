"""What must never become of a frame, whatever any gateway has heard of."""

from __future__ import annotations

from collections import Counter

from .clouds import Journey


def violations(journey: Journey) -> list[str]:
    """What is wrong with the journey of a frame that a machine has sent; nothing in any state of a federation.

    Answers of br-cloud itself are frames, too: they must not multiply, or reach another network. Two active gateways
    of one cloud answer a machine once each, and say the same.
    """
    found = ["it loops"] if journey.loops else []
    answering = (one.gateway if one.frame != journey.frame else "" for one in journey.delivered)
    counted = Counter((one.where, one.frame, by) for one, by in zip(journey.delivered, answering, strict=True))
    for (where, frame, _), count in counted.items():
        if count > 1:
            found.append(f"{where} gets {frame.hex()} {count} times")
        if where.name != journey.sender.name:
            found.append(f"{where} gets a frame of {journey.sender}")
        if (where, frame) == (journey.sender, journey.frame):
            found.append(f"it comes back to {where}")
    return found
