"""Which changes of a status are recorded as an Event."""

from __future__ import annotations

from isthmus.model.actions import RecordEvent
from isthmus.model.api.objects import Condition, CustomObject, condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.reasons import ConditionType

BAD_WHEN_TRUE = frozenset(
    {
        ConditionType.ADDRESS_CONFLICT,
        ConditionType.REPLICA_IN_USE,
        ConditionType.ADDRESSES_LOW,
        ConditionType.DISTRIBUTED_ROUTER,
        ConditionType.QOS_POLICY,
        ConditionType.DEGRADED,
        ConditionType.CREDENTIAL_EXPIRING,
    }
)
_REPORTED = frozenset({ConditionType.READY, ConditionType.CREDENTIALS_HANDED_OVER, *BAD_WHEN_TRUE})


def events_for(before: CustomObject, after: CustomObject) -> tuple[RecordEvent, ...]:
    """Events for conditions whose status changed, of the kinds that administrators and tenants read."""
    if not isinstance(before, CloudPeer | NetworkExpansion | Attachment) or not isinstance(after, type(before)):
        return ()
    changed = (
        condition
        for condition in after.status.conditions
        if condition.type in _REPORTED and _changed(before, condition)
    )
    return tuple(_event(after, condition) for condition in changed)


def _changed(before: CloudPeer | NetworkExpansion | Attachment, condition: Condition) -> bool:
    old = condition_of(before.status.conditions, condition.type)
    is_bad = (condition.status == "True") == (condition.type in BAD_WHEN_TRUE)
    was_bad_from_the_start = old is None and is_bad and condition.type != ConditionType.CREDENTIALS_HANDED_OVER
    return was_bad_from_the_start or (old is not None and old.status != condition.status)


def _event(obj: CustomObject, condition: Condition) -> RecordEvent:
    good = (condition.status == "True") != (condition.type in BAD_WHEN_TRUE)
    reason = condition.type if condition.type in BAD_WHEN_TRUE else condition.reason
    return RecordEvent(obj, "Normal" if good else "Warning", reason, condition.message or condition.reason)
