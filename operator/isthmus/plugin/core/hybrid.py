"""Why key exchange with a peer is not hybrid, which is no trouble, but what somebody looks for."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.model.reasons import ConditionType
from isthmus.model.text import listed

from .resources import Peer
from .tables import Style
from .width import wrapped


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
    named = listed([f"{name} ({reason})" for name, reason in found], more=" and {} more")
    return wrapped(f"key exchange not hybrid: {named}", style.width, "")
