"""How many networks of which peer await a decision of this cloud's administrators."""

from __future__ import annotations

from collections.abc import Sequence

from .resources import Peer


def awaiting_lines(peers: Sequence[Peer]) -> list[str]:
    """One line with the number for each peer, and the command that lists them; nothing if none waits."""
    waiting = [f"{peer.networks_awaiting} of {peer.name}" for peer in peers if peer.networks_awaiting]
    return [f"networks awaiting a decision: {', '.join(waiting)} (kubectl isthmus approve)"] if waiting else []
