"""Says in an object's own status that the object is not understood."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from isthmus.model.actions import Plan, SetConditions
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.reasons import ConditionType, Reason

from .conditions import MAX_MESSAGE, timestamp
from .index import Snapshot
from .not_understood import NotUnderstood

_WRITTEN_BY_OTHERS: Final = (CloudPeer, NetworkExpansion, ExpansionApproval)


def plan_not_understood(snapshot: Snapshot) -> Plan:
    """Set `Ready` of what administrators and tenants have written; of other objects, metric and log are enough."""
    return Plan(tuple(_actions(snapshot)))


def _actions(snapshot: Snapshot) -> Iterator[SetConditions]:
    for found in snapshot.cache.not_understood.unreported():
        if found.kind in _WRITTEN_BY_OTHERS and (wanted := _wanted(snapshot, found)) is not None:
            conditions = (*(c for c in found.conditions if c.get("type") != wanted["type"]), wanted)
            yield SetConditions(found.kind, found.namespace, found.name, found.resource_version, conditions)


def _wanted(snapshot: Snapshot, found: NotUnderstood) -> dict[str, Any] | None:
    """The condition; None if it is there."""
    now = next((c for c in found.conditions if c.get("type") == ConditionType.READY), {})
    wanted = {
        "type": str(ConditionType.READY),
        "status": "False",
        "reason": str(Reason.NOT_UNDERSTOOD),
        "message": f"this release does not understand {found.problem}"[:MAX_MESSAGE],
    }
    if wanted.items() <= now.items():
        return None
    is_new = now.get("status") != "False" or not isinstance(now.get("lastTransitionTime"), str)
    since = timestamp(snapshot.now) if is_new else now["lastTransitionTime"]
    return wanted | {"observedGeneration": found.generation, "lastTransitionTime": since}
