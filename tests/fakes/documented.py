"""Check that reasons in a status are members of the typed list and match their documentation."""

from __future__ import annotations

from isthmus.model.api.objects import Condition, Conditions, CustomObject
from isthmus.model.api.v1alpha1.attachment import AttachmentStatus
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNodeStatus
from isthmus.model.reasons import EXPLANATIONS, ConditionType, Reason
from isthmus.model.reasons.condition_types import MEANINGS, PROGRESS
from isthmus.model.reasons.explanation import Place

_FOLLOWERS = frozenset({ConditionType.PROGRESSING, ConditionType.STALLED})


def check(obj: CustomObject) -> None:
    """Raises AssertionError if a condition or a reason is not documented for where it stands."""
    status = getattr(obj, "status", None)
    conditions: Conditions = getattr(status, "conditions", ())
    for condition in conditions:
        _check_condition(obj.registration.kind, condition)
    if isinstance(status, AttachmentStatus):
        for link in (link for node in status.nodes for link in node.links):
            _check_place(link.reason, Place.LINK)
    if isinstance(status, GatewayNodeStatus):
        for connection in status.connections:
            _check_place(connection.reason, Place.CONNECTION)


def _check_condition(kind: str, condition: Condition) -> None:
    type_ = ConditionType(condition.type)
    meaning = (PROGRESS if type_ in _FOLLOWERS else MEANINGS[kind])[type_]
    documented = {"True": meaning.true, "False": meaning.false, "Unknown": meaning.unknown}[condition.status]
    assert documented, f"{kind} {condition.type}={condition.status} is not documented"
    if type_ not in _FOLLOWERS:
        _check_place(condition.reason, Place(type_))


def _check_place(reason: str, place: Place) -> None:
    assert place in EXPLANATIONS[Reason(reason)].places, f"{reason} is not documented for {place}"
