"""Conditions from problems: which are in progress, and which require a user's action."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from isthmus.core.snapshot.conditions import readiness, unknown, with_progress, with_transition_times
from isthmus.model.actions import Problem
from isthmus.model.reasons import EXPLANATIONS, Category, ConditionType, Reason

AT_WORK = {Category.PROGRESSING, Category.TRANSIENT}


def _statuses(problem: Problem | None) -> dict[str, str]:
    return {condition.type: condition.status for condition in readiness(problem)}


def test_what_is_ready_is_neither_at_work_nor_stalled() -> None:
    assert _statuses(None) == {"Ready": "True", "Progressing": "False"}


@pytest.mark.parametrize("reason", [r for r, found in EXPLANATIONS.items() if found.category in AT_WORK])
def test_work_is_progressing(reason: Reason) -> None:
    assert _statuses(Problem(reason, "at work")) == {"Ready": "False", "Progressing": "True"}


@pytest.mark.parametrize(
    "reason", [r for r, found in EXPLANATIONS.items() if found.category not in {*AT_WORK, Category.SETTLED}]
)
def test_trouble_is_stalled(reason: Reason) -> None:
    assert _statuses(Problem(reason, "act")) == {"Ready": "False", "Progressing": "False", "Stalled": "True"}


def test_reason_and_message_are_those_of_ready() -> None:
    found = readiness(Problem(Reason.NO_SUBNET, "network red has no subnet"))
    assert {(c.reason, c.message) for c in found} == {("NoSubnet", "network red has no subnet")}


def test_waiting_without_knowing_is_progressing() -> None:
    agreed = unknown(ConditionType.AGREED, Reason.WAITING_FOR_PEER)
    assert [(c.type, c.status) for c in with_progress(agreed)] == [("Agreed", "Unknown"), ("Progressing", "True")]


def test_the_time_of_each_moves_with_its_own_status() -> None:
    first, later = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    working = with_transition_times((), readiness(Problem(Reason.ATTACHING, "")), 1, first)
    stalled = with_transition_times(working, readiness(Problem(Reason.NO_SUBNET, "")), 1, later)
    assert {c.type: (c.last_transition_time or "")[:10] for c in stalled} == {
        "Ready": "2026-01-01",
        "Progressing": "2026-01-02",
        "Stalled": "2026-01-02",
    }
