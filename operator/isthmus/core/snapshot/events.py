"""Which changes of a status are recorded as an Event."""

from __future__ import annotations

from isthmus.model.actions import RecordEvent
from isthmus.model.api.objects import Condition, CustomObject, condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.reasons import ConditionType, Reason

from .facets import peers_offer

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
    """Events for conditions whose status changed, of the kinds that administrators and tenants read.

    And one for each network of a peer that waits for an administrator's approval.
    """
    if isinstance(before, ExpansionLink) and isinstance(after, ExpansionLink):
        return (_awaits_approval(after),) if _begins_to_wait(before, after) else ()
    if not isinstance(before, CloudPeer | NetworkExpansion | Attachment) or not isinstance(after, type(before)):
        return ()
    changed = (
        condition
        for condition in after.status.conditions
        if condition.type in _REPORTED and _changed(before, condition)
    )
    return tuple(_event(after, condition) for condition in changed)


def _begins_to_wait(before: ExpansionLink, after: ExpansionLink) -> bool:
    """Whether the network is received, and waits for an approval as it did not before."""
    old, new = (condition_of(link.status.conditions, ConditionType.READY) for link in (before, after))
    waits = new is not None and new.reason == Reason.AWAITING_APPROVAL and after.spec.answer is not None
    return waits and (old is None or old.reason != Reason.AWAITING_APPROVAL)


def _awaits_approval(link: ExpansionLink) -> RecordEvent:
    offer = peers_offer(link)
    network = f"network {offer.network_name} of project {offer.project.name}" if offer is not None else "a network"
    text = (
        f"{link.spec.peer_cloud_id} offers {network}: decide with kubectl isthmus approve or refuse, or by an "
        "ExpansionApproval of the same name and namespace"
    )
    return RecordEvent(link, "Normal", Reason.AWAITING_APPROVAL, text)


def _changed(before: CloudPeer | NetworkExpansion | Attachment, condition: Condition) -> bool:
    old = condition_of(before.status.conditions, condition.type)
    is_bad = (condition.status == "True") == (condition.type in BAD_WHEN_TRUE)
    was_bad_from_the_start = old is None and is_bad and condition.type != ConditionType.CREDENTIALS_HANDED_OVER
    return was_bad_from_the_start or (old is not None and old.status != condition.status)


def _event(obj: CustomObject, condition: Condition) -> RecordEvent:
    good = (condition.status == "True") != (condition.type in BAD_WHEN_TRUE)
    reason = condition.type if condition.type in BAD_WHEN_TRUE else condition.reason
    return RecordEvent(obj, "Normal" if good else "Warning", reason, condition.message or condition.reason)
