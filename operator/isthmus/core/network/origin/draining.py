"""Condition `PeerDraining` of a NetworkExpansion, for tenants: which peers the network leaves, and when."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.core.federation.drain import draining
from isthmus.core.snapshot.conditions import true
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.api.objects import Condition
from isthmus.model.reasons import ConditionType, Reason

from .admission import PeerRequest


def peers_draining(snapshot: Snapshot, requests: Iterable[PeerRequest]) -> list[Condition]:
    """One condition for all peers, with the reason of the first; none if no agreement is drained."""
    found = [c for r in requests if r.cloud_id is not None for c in draining(snapshot, r.cloud_id, r.name)]
    if not found:
        return []
    text = "; ".join(condition.message for condition in found)
    return [true(ConditionType.PEER_DRAINING, Reason.parse(found[0].reason, Reason.DRAINING), text)]
