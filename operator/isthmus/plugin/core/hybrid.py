"""Why key exchange with a peer is not hybrid, which is no trouble, but what somebody looks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from isthmus.model.reasons import ConditionType

from .resources import Peer
from .tables import Style
from .width import wrapped

_MAX_PEERS: Final = 10


def hybrid_document(peer: Peer) -> dict[str, str] | None:
    """Condition HybridKeyExchange of a CloudPeer in JSON; None if nobody has reported it."""
    found = peer.condition(ConditionType.HYBRID_KEY_EXCHANGE)
    return None if found is None else {"status": found.status, "reason": found.reason, "message": found.message}


def not_hybrid(peers: Sequence[Peer], style: Style) -> list[str]:
    """The peers with which it is not hybrid, each with the reason; nothing if there is none."""
    conditions = [(peer.name, peer.condition(ConditionType.HYBRID_KEY_EXCHANGE)) for peer in peers]
    found = [(name, each.reason) for name, each in conditions if each is not None and each.status == "False"]
    if not found:
        return []
    named = ", ".join(f"{name} ({reason})" for name, reason in found[:_MAX_PEERS])
    more = f" and {len(found) - _MAX_PEERS} more" if len(found) > _MAX_PEERS else ""
    return wrapped(f"key exchange not hybrid: {named}{more}", style.width, "")
