"""Who negotiates what after a killed charon, and which IKE SAs are ended then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.core.node import takeover
from isthmus.model.node.ipsec import IkeAssociation, IkeState
from tests.unit.test_ike_messages import CONNECTION

IN, OUT = frozenset({"in"}), frozenset({"out"})
BOTH = IN | OUT


def _association(number: int, children: frozenset[str], initiated: bool = False) -> IkeAssociation:
    return IkeAssociation(number, initiated, children)


def _state(*associations: IkeAssociation) -> IkeState:
    return IkeState(True, BOTH, associations=associations)


OLD = _association(1, BOTH, initiated=True)
TAKEN_OVER = _association(2, IN)
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


@pytest.mark.parametrize("initiator", [True, False])
def test_it_does_not_matter_who_has_initiated_which_nor_how_soon(initiator: bool) -> None:
    """A charon was killed and replaced, and right after that the peer's: the first answer was to a dead charon, too."""
    connection = replace(CONNECTION, initiator=initiator)
    own = _association(1, OUT, initiated=True), _association(2, IN)
    again, answer = _association(3, IN), _association(4, OUT, initiated=True)
    assert takeover.redundant(connection, _state(*own, again, answer)) == {1, 2}
    joined = replace(own[0], children=BOTH)
    assert takeover.redundant(connection, _state(joined, replace(again, children=BOTH))) == {1}


def test_one_child_for_both_directions_has_no_counterpart() -> None:
    (child, *_) = CONNECTION.children
    single = replace(CONNECTION)
    object.__setattr__(single, "children", (replace(child, name="gre"),))
    assert takeover.sent_children(single) == {"gre"}
    every = frozenset({"gre"})
    assert not takeover.awaits_counterpart(single, _state(_association(1, every), _association(2, every)))
