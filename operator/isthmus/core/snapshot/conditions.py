"""Conditions as `metav1.Condition`: lastTransitionTime changes only when the status does."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition, Conditions, condition_of
from isthmus.model.reasons import Category, ConditionType, Reason, category

MAX_MESSAGE: Final = 1024
_AT_WORK = frozenset({Category.PROGRESSING, Category.TRANSIENT})


def true(type_: ConditionType, reason: Reason, message: str = "") -> Condition:
    """A condition with status True; the message is cut to its maximum length."""
    return Condition(type=type_, status="True", reason=reason, message=message[:MAX_MESSAGE])


def false(type_: ConditionType, reason: Reason, message: str = "") -> Condition:
    """A condition with status False."""
    return Condition(type=type_, status="False", reason=reason, message=message[:MAX_MESSAGE])


def unknown(type_: ConditionType, reason: Reason, message: str = "") -> Condition:
    """A condition with status Unknown."""
    return Condition(type=type_, status="Unknown", reason=reason, message=message[:MAX_MESSAGE])


def true_unless(type_: ConditionType, problem: Problem | None, good: Reason = Reason.READY) -> Condition:
    """True with reason `good` if there is no problem, else False with the problem's reason and message."""
    return false(type_, problem.reason, problem.message) if problem else true(type_, good)


def readiness(problem: Problem | None) -> tuple[Condition, ...]:
    """`Ready`, with `Progressing` and `Stalled`."""
    return with_progress(true_unless(ConditionType.READY, problem))


def with_progress(condition: Condition) -> tuple[Condition, ...]:
    """The condition, followed by `Progressing` and `Stalled` according to the category of its reason.

    `Stalled` is present only while it is True, as kstatus expects.
    """
    reason = Reason.parse(condition.reason, Reason.INTERNAL_ERROR)
    if category(reason) in _AT_WORK:
        return condition, true(ConditionType.PROGRESSING, reason, condition.message)
    progressing = false(ConditionType.PROGRESSING, reason, condition.message)
    if category(reason) is Category.SETTLED:
        return condition, progressing
    return condition, progressing, true(ConditionType.STALLED, reason, condition.message)


def with_transition_times(
    old: Conditions, new: Iterable[Condition], generation: int | None, now: datetime
) -> Conditions:
    """The new conditions with lastTransitionTime, kept from the old ones if the status is the same."""
    return tuple(
        condition.model_copy(
            update={
                "observed_generation": generation or 0,
                "last_transition_time": _last_transition(old, condition, now),
            }
        )
        for condition in new
    )


def _last_transition(old: Conditions, condition: Condition, now: datetime) -> str:
    before = condition_of(old, condition.type)
    known = before.last_transition_time if before is not None and before.status == condition.status else None
    return known or timestamp(now)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, as Kubernetes writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
