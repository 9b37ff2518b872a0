"""Who negotiates what after a killed charon, and which IKE SAs are ended then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.core.node import takeover
from isthmus.model.node.ipsec import IkeAssociation, IkeState
from tests.unit.test_ike_messages import CONNECTION

IN, OUT = frozenset({"in"}), frozenset({"out"})
BOTH = IN | OUT


def _association(
    number: int, children: frozenset[str], initiated: bool = False, age_seconds: int = 0
) -> IkeAssociation:
    return IkeAssociation(number, initiated, children, age_seconds=age_seconds)


def _state(*associations: IkeAssociation) -> IkeState:
    return IkeState(True, BOTH, associations=associations)


OLD = _association(1, BOTH, initiated=True, age_seconds=60)
TAKEN_OVER = _association(2, IN, age_seconds=1)
COUNTERPART = _association(3, OUT, initiated=True)


def test_counterpart_is_awaited_until_it_is_initiated() -> None:
    assert takeover.awaits_counterpart(CONNECTION, _state(OLD, TAKEN_OVER))
    assert not takeover.awaits_counterpart(CONNECTION, _state(OLD, TAKEN_OVER, COUNTERPART))
    assert not takeover.awaits_counterpart(CONNECTION, _state(TAKEN_OVER, COUNTERPART))


@pytest.mark.parametrize(
    "associations",
    [
        (),
        (OLD,),
        (_association(2, IN),),  # an ordinary negotiation, of which the second child comes next
        (OLD, replace(TAKEN_OVER, busy=True)),
        (OLD, replace(TAKEN_OVER, initiated=True)),
        (OLD, _association(2, BOTH)),
        (OLD, _association(2, frozenset())),
        (_association(1, OUT, initiated=True), TAKEN_OVER),  # the answer to what this node has taken over
    ],
)
def test_nothing_else_is_mistaken_for_a_takeover(associations: tuple[IkeAssociation, ...]) -> None:
    assert not takeover.awaits_counterpart(CONNECTION, _state(*associations))


def test_second_takeover_is_answered_like_the_first() -> None:
    again = _association(4, IN)
    assert takeover.awaits_counterpart(CONNECTION, _state(TAKEN_OVER, COUNTERPART, again))


def test_old_association_is_redundant_once_both_gateways_have_initiated_theirs() -> None:
    assert takeover.redundant(CONNECTION, _state(OLD, TAKEN_OVER)) == frozenset()
    assert takeover.redundant(CONNECTION, _state(OLD, TAKEN_OVER, COUNTERPART)) == {1}
    again, answer = _association(4, IN), _association(5, OUT, initiated=True)
    assert takeover.redundant(CONNECTION, _state(TAKEN_OVER, COUNTERPART, again, answer)) == {2, 3}


def test_incomplete_or_empty_associations_are_left_alone() -> None:
    assert takeover.redundant(CONNECTION, _state(_association(1, IN), _association(2, IN))) == frozenset()
    assert takeover.redundant(CONNECTION, _state(OLD, _association(2, frozenset()))) == frozenset()


def test_gateways_that_initiate_at_the_same_time_do_not_end_both() -> None:
    """Each may take its own for the newer one."""
    responder = replace(CONNECTION, initiator=False)
    crossing = _state(_association(1, BOTH, age_seconds=1), _association(2, BOTH, initiated=True, age_seconds=0))
    assert takeover.redundant(CONNECTION, crossing) == {1}
    assert takeover.redundant(responder, crossing) == frozenset()
    crossed = _state(_association(1, BOTH, initiated=True, age_seconds=1), _association(2, BOTH, age_seconds=0))
    assert takeover.redundant(responder, crossed) == frozenset()


def test_what_the_initiator_leaves_of_crossing_associations_its_charon_no_longer_has() -> None:
    """It was killed right after it had initiated the older one; its successor has initiated the newer one."""
    responder = replace(CONNECTION, initiator=False)
    before, taken_over = _association(1, BOTH, age_seconds=11), _association(2, IN, age_seconds=11)
    answer = _association(3, OUT, initiated=True, age_seconds=9)
    assert takeover.redundant(responder, _state(before, taken_over, answer)) == frozenset()
    assert takeover.redundant(responder, _state(before, taken_over, replace(answer, age_seconds=10))) == {1}


def test_what_a_gateway_initiates_again_succeeds_what_it_has_initiated_before() -> None:
    """However soon: its charon was killed twice."""
    responder = replace(CONNECTION, initiator=False)
    again = _state(_association(1, BOTH, age_seconds=1), _association(2, BOTH, age_seconds=0))
    assert takeover.redundant(responder, again) == {1}
    former = _association(1, IN, age_seconds=1), _association(2, OUT, initiated=True, age_seconds=1)
    latter = _association(3, IN), _association(4, OUT, initiated=True)
    assert takeover.redundant(responder, _state(*former, *latter)) == {1, 2}


def test_associations_that_crossed_long_ago_do_not_count_as_crossing() -> None:
    responder = replace(CONNECTION, initiator=False)
    assert takeover.redundant(responder, _state(OLD, _association(2, BOTH))) == {1}


def test_one_child_for_both_directions_has_no_counterpart() -> None:
    (child, *_) = CONNECTION.children
    single = replace(CONNECTION)
    object.__setattr__(single, "children", (replace(child, name="gre"),))
    assert takeover.sent_children(single) == {"gre"}
    every = frozenset({"gre"})
    assert not takeover.awaits_counterpart(single, _state(_association(1, every), _association(2, every)))
