"""Changes of state, one log line each: what changed, from which state to which, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from isthmus.model.api.objects import Condition, Conditions, CustomObject, condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.reasons import ConditionType

from .events import BAD_WHEN_TRUE

ABSENT: Final = "absent"
# They only repeat Ready's reason in other words, or a failure that was logged when it happened.
_NOT_LOGGED: Final = frozenset(
    {ConditionType.READY, ConditionType.PROGRESSING, ConditionType.STALLED, ConditionType.DEGRADED}
)


@dataclass(frozen=True)
class State:
    """State of one thing. A change of `detail` alone is no change."""

    name: str
    detail: str = field(default="", compare=False)


@dataclass(frozen=True)
class Transition:
    """A thing has changed from one state to another; `detail` explains the new one and may be empty."""

    subject: str
    before: str
    after: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.before} -> {self.after}" + (f": {self.detail}" if self.detail else "")


def state_transitions(before: Mapping[str, State], after: Mapping[str, State]) -> Iterator[Transition]:
    """The differences between the states of all things of a process, by their names."""
    absent = State(ABSENT)
    for subject in sorted(before.keys() | after.keys()):
        old, new = before.get(subject, absent), after.get(subject, absent)
        if old != new:
            yield Transition(subject, old.name, new.name, new.detail)


def object_transitions(before: CustomObject, after: CustomObject | None) -> Iterator[Transition]:
    """Changes of an object's conditions; `after` is None if the object is gone.

    A network of this cloud is logged by its NetworkExpansion and ExpansionLinks, a peer's network by its Attachment.
    """
    subject = _subject(before)
    old, new = _conditions(before), () if after is None else _conditions(after)
    old_ready, new_ready = condition_of(old, ConditionType.READY), condition_of(new, ConditionType.READY)
    if _is_logged_by_ready(before) and _reason(old_ready) != _reason(new_ready):
        yield Transition(subject, _reason(old_ready), _reason(new_ready), new_ready.message if new_ready else "")
    for condition in new:
        previous = condition_of(old, condition.type)
        explained = condition.reason == _reason(new_ready) or (previous and previous.reason == _reason(old_ready))
        if condition.type not in _NOT_LOGGED and not explained and _has_changed(previous, condition):
            yield Transition(f"{subject} {condition.type}", _reason(previous), condition.reason, condition.message)


def _subject(obj: CustomObject) -> str:
    name = f"{obj.metadata.namespace}/{obj.metadata.name}" if obj.metadata.namespace else obj.metadata.name
    return f"{obj.registration.kind} {name}"


def _conditions(obj: CustomObject) -> Conditions:
    logged = CloudPeer | NetworkExpansion | ExpansionLink | ExpansionApproval | Attachment
    return obj.status.conditions if isinstance(obj, logged) else ()


def _is_logged_by_ready(obj: CustomObject) -> bool:
    match obj:
        case ExpansionLink():
            return obj.spec.offer is not None
        case Attachment():
            return obj.spec.role == "Receiver"
        case _:
            return True


def _reason(condition: Condition | None) -> str:
    return condition.reason if condition else ABSENT


def _has_changed(before: Condition | None, after: Condition) -> bool:
    """A condition that is new counts if it is bad."""
    if before is not None:
        return before.status != after.status
    return after.status == ("True" if after.type in BAD_WHEN_TRUE else "False")
