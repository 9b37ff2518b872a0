"""A network's plan in stages: the first stage with any actions but contested ones is the plan of this round."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from isthmus.model.actions import Action, Plan
from isthmus.model.facts.openstack import NetworkFacts

from .drift import Repairs, Target, contested_problem
from .remote_ports import fills_round

S = TypeVar("S")


def plan_in_stages(
    state: S, stages: Iterable[Callable[[S], tuple[Action, ...]]], repairs: Repairs, facts: NetworkFacts | None
) -> Plan:
    """Empty if everything is as it should be.

    Where more is left than fits into this round, statuses are written before the next one: so all stages are asked for
    what is contested.
    """
    contested: list[Target] = []
    plan = Plan()
    for stage in stages:
        actions, found = repairs.permitted(stage(state), facts)
        contested += found
        if actions and not plan.actions:
            plan = Plan(actions, leaves_more=fills_round(actions))
            if not plan.leaves_more:
                return plan
    return replace(plan, left_alone=contested_problem(contested))
