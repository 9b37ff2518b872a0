"""Which agreements are drained, by which of the two clouds, and what they still wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from isthmus.model.reasons import ConditionType

from .resources import Peer, StatusCondition
from .tables import Style
from .width import wrapped

_MAX_PEERS: Final = 10


def drain_document(peer: Peer) -> dict[str, str] | None:
    """Condition Drained of a CloudPeer, or PeerDraining, in JSON; None if the agreement goes on."""
    found = _condition(peer)
    if found is None:
        return None
    return {"type": found.type, "status": found.status, "reason": found.reason, "message": found.message}


def drained_lines(peers: Sequence[Peer], style: Style) -> list[str]:
    """A line for each peer whose agreement is drained; nothing if there is none."""
    found = [(peer.name, each) for peer in peers if (each := _condition(peer)) is not None]
    lines = [line for name, each in found[:_MAX_PEERS] for line in wrapped(_text(name, each), style.width, "")]
    return lines if len(found) <= _MAX_PEERS else [*lines, f"drained: {len(found) - _MAX_PEERS} more"]


def _condition(peer: Peer) -> StatusCondition | None:
    return peer.condition(ConditionType.DRAINED) or peer.condition(ConditionType.PEER_DRAINING)


def _text(name: str, condition: StatusCondition) -> str:
    if condition.type == ConditionType.DRAINED and condition.status == "True":
        return f"drained: {name}: nothing is left"
    return f"drained: {name}: {condition.reason}: {condition.message}"
