"""Which side initiates SAs, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from isthmus.agent.associations import Associations
from isthmus.core.node.facts import NodeFacts
from isthmus.core.node.plan import NodePlan, plan_node
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.ipsec import (
    IkeAssociation,
    IkeConnection,
    IkeState,
    IkeView,
    NarrowedChild,
    SecurityAssociation,
)
from isthmus.model.node.switch import BridgeView, Ports
from tests.contract.charon import with_key
from tests.fakes.charon import FakeIke
from tests.fakes.node import FakeNode, FakeXfrm
from tests.fakes.nodeobjects import ADDRESS, inputs


@dataclass
class Clock:
    """A monotonic clock that only tests advance."""

    seconds: float = 100.0

    def monotonic_seconds(self) -> float:
        return self.seconds

    def now(self) -> None:
        raise NotImplementedError


class Asked(FakeIke):
    """Counts initiations; no SA ever comes up."""

    def __init__(self, node: FakeNode) -> None:
        super().__init__(node)
        self.times = 0
        self.recoveries: list[str] = []

    def initiate(self, name: str) -> None:
        self.times += 1

    def rekey(self, name: str, spis: frozenset[int]) -> None:
        self.recoveries.append("rekey")

    def terminate(self, name: str) -> None:
        self.recoveries.append("terminate")


def _facts(plan: NodePlan, **found: Any) -> NodeFacts:
    return NodeFacts(plan, BridgeView(True, Ports()), **found)


def _planned(initiator: bool) -> NodePlan:
    """One connection, with the role of an initiator or of a responder."""
    plan = plan_node(inputs(), (NodeAddress(ADDRESS, 1500),), frozenset())
    return replace(plan, connections=tuple(replace(c, initiator=initiator) for c in plan.connections))


def _fenced(plan: NodePlan) -> FakeNode:
    node = FakeNode()
    node.blocks, node.firewall = plan.blocks, plan.firewall
    return node


def _times_within(seconds: int, initiator: bool) -> int:
    plan = _planned(initiator)
    node, clock = _fenced(plan), Clock()
    ike = Asked(node)
    ike.load(plan.connections[0], b"")
    associations = Associations(ike, FakeXfrm(node), clock)  # type: ignore[arg-type]
    for _ in range(seconds):
        associations.advance(_facts(plan), ike.view())
        clock.seconds += 1
    return ike.times


def test_initiator_retries_every_five_seconds() -> None:
    assert _times_within(1, initiator=True) == 1
    assert _times_within(11, initiator=True) == 3


def test_responder_initiates_only_after_a_long_time() -> None:
    assert _times_within(30, initiator=False) == 0
    assert _times_within(31, initiator=False) == 1


def test_responder_initiates_a_changed_connection_that_the_initiator_has_negotiated_too_early() -> None:
    """With the new key, and before this side's charon had the connection whose children are named after it."""
    plan = _planned(initiator=False)
    node, clock = _fenced(plan), Clock()
    ike = Asked(node)
    ike.load(plan.connections[0], b"")
    changed = {plan.connections[0].name: IkeState(True, superseded=True, spis=frozenset({1, 2}))}
    associations = Associations(ike, FakeXfrm(node), clock)  # type: ignore[arg-type]
    asked = []
    for second in range(40):
        associations.advance(_facts(plan), replace(ike.view(), states=changed))
        asked += [second] * ike.times
        ike.times = 0
        clock.seconds += 1
    assert asked == [5, 35]


def test_only_the_peer_opens_a_passive_connection() -> None:
    plan = _planned(initiator=False)
    passive = replace(plan.connections[0], passive=True)
    plan = replace(plan, connections=(passive,))
    node, clock = _fenced(plan), Clock()
    ike = Asked(node)
    ike.load(passive, b"")
    associations = Associations(ike, FakeXfrm(node), clock)  # type: ignore[arg-type]
    for _ in range(100):
        associations.advance(_facts(plan, orphaned=frozenset({passive.name})), ike.view())
        clock.seconds += 1
    assert (ike.times, ike.recoveries) == (0, [])


def test_what_stands_of_a_passive_connection_is_ended_if_its_settings_have_changed() -> None:
    """Half a minute later: by then a peer that has changed, too, has negotiated again."""
    plan = _planned(initiator=False)
    passive = replace(plan.connections[0], passive=True)
    node, clock = _fenced(plan), Clock()
    ike = Asked(node)
    ike.load(passive, b"")
    ike.establish(passive.name)
    changed = replace(passive, dpd_delay_seconds=7)
    ike.load(changed, b"")
    plan = replace(plan, connections=(changed,))
    associations = Associations(ike, FakeXfrm(node), clock)  # type: ignore[arg-type]
    for _ in range(30):
        associations.advance(_facts(plan), ike.view())
        clock.seconds += 1
    assert ike.recoveries == []
    associations.advance(_facts(plan), ike.view())
    assert ike.recoveries == ["terminate"]


def test_established_or_unloaded_connections_are_not_initiated() -> None:
    node, clock = FakeNode(), Clock()
    plan: NodePlan = plan_node(inputs(), (NodeAddress(ADDRESS, 1500),), frozenset())
    ike = Asked(node)
    associations = Associations(ike, FakeXfrm(node), clock)  # type: ignore[arg-type]
    associations.advance(_facts(plan), ike.view())
    node.blocks, node.firewall = plan.blocks, plan.firewall
    ike.load(plan.connections[0], b"")
    ike.establish(plan.connections[0].name)
    associations.advance(_facts(plan), ike.view())
    assert ike.times == 0


def test_old_associations_are_removed_once_the_new_ones_are_up() -> None:
    node, clock = FakeNode(), Clock()
    plan: NodePlan = plan_node(inputs(), (NodeAddress(ADDRESS, 1500),), frozenset())
    (connection,) = plan.connections
    node.blocks, node.firewall = plan.blocks, plan.firewall
    ike = Asked(node)
    before = with_key(connection, "0")
    ike.load(before, b"")
    ike.establish(connection.name)
    ike.load(connection, b"")
    associations = Associations(ike, FakeXfrm(node), clock)  # type: ignore[arg-type]
    associations.advance(_facts(plan), ike.view())
    assert node.negotiated == {connection.name: {before.digest}}, "the new SAs are not up yet"
    ike.establish(connection.name)
    associations.advance(_facts(plan), ike.view())
    assert node.negotiated == {connection.name: {connection.digest}}


class Reestablishing(FakeIke):
    """An initiator's charon without an agent establishes again, as the newest IKE SA, whatever the responder ends."""

    def __init__(self, node: FakeNode, name: str) -> None:
        super().__init__(node)
        self._name = name
        self.associations = [1, 2]
        self.retired: list[frozenset[int]] = []

    def view(self) -> IkeView:
        view = super().view()
        found = tuple(IkeAssociation(number, False, frozenset({"in", "out"})) for number in self.associations)
        return replace(view, states={self._name: replace(view.states[self._name], associations=found)})

    def retire(self, name: str, numbers: frozenset[int] = frozenset(), children: frozenset[int] = frozenset()) -> None:
        self.retired.append(numbers)
        newest = max(self.associations) + 1
        self.associations = [*(number for number in self.associations if number not in numbers), newest]


def _with_surplus(initiator: bool) -> tuple[Reestablishing, Callable[[], object], Clock]:
    """A connection with two complete IKE SAs; call the second to have the agent advance."""
    plan = _planned(initiator)
    (connection,) = plan.connections
    node, clock = _fenced(plan), Clock()
    ike = Reestablishing(node, connection.name)
    ike.load(connection, b"")
    ike.establish(connection.name)
    associations = Associations(ike, FakeXfrm(node), clock)  # type: ignore[arg-type]
    return ike, lambda: associations.advance(_facts(plan), ike.view()), clock


def _seconds_of_ends(ike: Reestablishing, advance: Callable[[], object], clock: Clock, seconds: int) -> list[int]:
    times = []
    for second in range(seconds):
        advance()
        times += [second] * len(ike.retired)
        ike.retired.clear()
        clock.seconds += 1
    return times


def test_what_the_initiator_leaves_the_responder_ends_ever_less_often() -> None:
    """For the initiator's charon establishes it again."""
    ike, advance, clock = _with_surplus(initiator=False)
    times = _seconds_of_ends(ike, advance, clock, 3600)
    pauses = [later - earlier for earlier, later in zip([0, *times], times, strict=False)]
    assert pauses[:4] == [3, 7, 13, 25], "each begins when the IKE SA has been established again"
    assert set(pauses[8:]) == {301}


def test_responder_begins_again_once_nothing_has_been_left_for_a_while() -> None:
    ike, advance, clock = _with_surplus(initiator=False)
    assert _seconds_of_ends(ike, advance, clock, 4) == [3]
    ike.associations = [3]
    assert _seconds_of_ends(ike, advance, clock, 6) == []
    ike.associations = [3, 4]
    assert _seconds_of_ends(ike, advance, clock, 4) == [3]


def test_responder_waits_again_when_its_associations_have_changed() -> None:
    ike, advance, clock = _with_surplus(initiator=False)
    assert _seconds_of_ends(ike, advance, clock, 3) == []
    ike.associations = [2, 3]
    assert _seconds_of_ends(ike, advance, clock, 4) == [3]


def test_initiator_ends_redundant_associations_at_once() -> None:
    ike, advance, clock = _with_surplus(initiator=True)
    assert _seconds_of_ends(ike, advance, clock, 1) == [0]


def _recovering(initiator: bool = True) -> tuple[Asked, Clock, Callable[[set[int]], list[str]]]:
    """A connection that is up; call the last with the SPIs that are lost to learn what is done about it."""
    plan = _planned(initiator)
    (connection,) = plan.connections
    node, clock = _fenced(plan), Clock()
    ike = Asked(node)
    ike.load(connection, b"")
    ike.establish(connection.name)
    associations = Associations(ike, FakeXfrm(node), clock)  # type: ignore[arg-type]

    def lost(spis: set[int]) -> list[str]:
        before = len(ike.recoveries)
        known = {connection.name: frozenset(spis)} if spis else {}
        associations.advance(_facts(plan, lost=known), ike.view())
        return ike.recoveries[before:]

    return ike, clock, lost


@pytest.mark.parametrize(("initiator", "ended_at"), [(True, [32, 96, 224, 480, 780]), (False, [])])
def test_connection_with_narrowed_selectors_is_ended_from_time_to_time(initiator: bool, ended_at: list[int]) -> None:
    ike, clock, _ = _recovering(initiator)
    plan = _planned(initiator)
    view = ike.view()
    (name,) = view.states
    narrowed = replace(view.states[name], narrowed=frozenset({NarrowedChild("out", "all", "some")}))
    associations, times = Associations(ike, FakeXfrm(FakeNode()), clock), []  # type: ignore[arg-type]
    for second in range(900):
        associations.advance(_facts(plan), replace(view, states={name: narrowed}))
        times += [second] * len(ike.recoveries)
        ike.recoveries.clear()
        clock.seconds += 1
    assert times == ended_at


@pytest.mark.parametrize("initiator", [True, False])
def test_lost_associations_are_rekeyed_at_once_and_once(initiator: bool) -> None:
    _, clock, lost = _recovering(initiator)
    assert lost({1, 2}) == ["rekey"]
    for _ in range(9):
        clock.seconds += 1
        assert lost({1, 2}) == []
    assert lost(set()) == []


def test_whoever_loses_them_again_rekeys_again() -> None:
    _, clock, lost = _recovering()
    assert lost({1}) == ["rekey"]
    assert lost(set()) == []
    assert lost({2}) == ["rekey"], "the first ones were recovered"
    clock.seconds += 0.5
    assert lost({3}) == []
    clock.seconds += 0.5
    assert lost({3}) == ["rekey"], "the second ones were lost before they were seen"


def test_connection_that_rekeying_does_not_recover_is_ended() -> None:
    _, clock, lost = _recovering()
    assert lost({1}) == ["rekey"]
    clock.seconds += 10
    assert lost({1}) == ["terminate"]


def test_recovery_that_never_succeeds_is_tried_ever_less_often() -> None:
    """A kernel that charon and agent see differently, say: no endless renegotiation."""
    _, clock, lost = _recovering()
    done = []
    for second in range(3600):
        done += lost({second})
        clock.seconds += 1
    assert len(done) <= 20
    for second in range(3600, 2000 * 300, 300):
        clock.seconds += 300
        done += lost({second})
    assert len(done) > 1500
    assert done[:3] == ["rekey"] * 3


class TakenOver(Asked):
    """Records what is asked for around the charon that was killed."""

    def __init__(self, node: FakeNode) -> None:
        super().__init__(node)
        self.asked: list[tuple[str, frozenset[str]]] = []

    def initiate(self, name: str) -> None:
        self.asked.append(("initiate", frozenset()))

    def take_over(self, name: str, children: frozenset[str]) -> None:
        self.asked.append(("take over", children))

    def initiate_in_newest(self, connection: IkeConnection, children: frozenset[str]) -> None:
        self.asked.append(("initiate in newest", children))

    def retire(self, name: str, numbers: frozenset[int] = frozenset(), children: frozenset[int] = frozenset()) -> None:
        self.asked.append((f"retire {[*sorted(numbers), *sorted(children)]}", frozenset()))


def _taken_over(initiator: bool) -> tuple[NodePlan, TakenOver, Clock, Associations, FakeNode]:
    plan = _planned(initiator)
    node, clock = _fenced(plan), Clock()
    ike = TakenOver(node)
    ike.load(plan.connections[0], b"")
    return plan, ike, clock, Associations(ike, FakeXfrm(node), clock), node  # type: ignore[arg-type]


@pytest.mark.parametrize("initiator", [True, False])
def test_connection_of_a_killed_charon_is_taken_over_by_what_this_node_sends(initiator: bool) -> None:
    """The rest follows if the peer does not initiate it; then everything goes on as if nothing had been there."""
    plan, ike, clock, associations, _ = _taken_over(initiator)
    facts = _facts(plan, orphaned=frozenset({plan.connections[0].name}))
    for _ in range(12):
        associations.advance(facts, ike.view())
        clock.seconds += 1
    expected = [("take over", frozenset({"out"})), ("take over", frozenset({"in", "out"})), ("initiate", frozenset())]
    assert ike.asked == expected


def test_takeover_by_the_peer_is_answered_after_a_moment_and_once() -> None:
    plan, ike, clock, associations, _ = _taken_over(initiator=False)
    (connection,) = plan.connections
    ike.establish(connection.name)
    view = ike.view()
    complete = IkeAssociation(1, True, frozenset({"in", "out"}))
    newer = IkeAssociation(2, False, frozenset({"in"}))
    taken_over = replace(view.states[connection.name], associations=(complete, newer))
    view = replace(view, states={connection.name: taken_over})
    for _ in range(2):
        associations.advance(_facts(plan), view)
        assert (ike.asked, associations.waits) == ([], True), "the rest may be on its way"
        clock.seconds += 0.5
    for _ in range(3):
        clock.seconds += 0.5
        associations.advance(_facts(plan), view)
    assert ike.asked == [("initiate in newest", frozenset({"out"}))]
    ours = IkeAssociation(3, True, frozenset({"out"}))
    answered = replace(taken_over, associations=(*taken_over.associations, ours))
    associations.advance(_facts(plan), replace(view, states={connection.name: answered}))
    assert not associations.waits
    assert ike.asked[1:] == [], "the initiator may end it"
    clock.seconds += 3
    associations.advance(_facts(plan), replace(view, states={connection.name: answered}))
    assert ike.asked[1:] == [("retire [1]", frozenset())]


@pytest.mark.parametrize("initiator", [True, False])
def test_child_that_both_gateways_have_initiated_is_ended_by_the_initiator(initiator: bool) -> None:
    """The last step of a takeover has crossed a late answer. What the responder ends would be negotiated again."""
    plan, ike, clock, associations, _ = _taken_over(initiator)
    (connection,) = plan.connections
    ike.establish(connection.name)
    view = ike.view()
    only = IkeAssociation(4, False, frozenset({"in", "out"}), duplicates=frozenset({7}))
    view = replace(view, states={connection.name: replace(view.states[connection.name], associations=(only,))})
    for _ in range(5):
        associations.advance(_facts(plan), view)
        clock.seconds += 1
    assert ike.asked == ([("retire [7]", frozenset())] * 5 if initiator else [])


def test_states_of_a_killed_charon_are_removed_after_the_peer_has_ceased_to_use_them() -> None:
    plan, ike, clock, associations, node = _taken_over(initiator=True)
    ike.establish(plan.connections[0].name)
    left = SecurityAssociation(ADDRESS, "198.51.100.1", 7, "esp", 1)
    node.associations |= {left}
    for remains in (True, True, False):
        associations.advance(_facts(plan, stale=frozenset({left})), ike.view())
        assert (left in node.associations) == remains
        clock.seconds += 1
    associations.advance(_facts(plan), ike.view())
    assert not associations.waits


def test_nothing_is_retired_while_a_takeover_is_unanswered() -> None:
    """Otherwise it would look like an ordinary negotiation that is not complete yet."""
    plan, ike, clock, associations, _ = _taken_over(initiator=True)
    (connection,) = plan.connections
    ike.establish(connection.name)
    view = ike.view()
    former = IkeAssociation(1, False, frozenset({"in"})), IkeAssociation(2, True, frozenset({"out"}))
    again = replace(view.states[connection.name], associations=(*former, IkeAssociation(3, False, frozenset({"in"}))))
    view = replace(view, states={connection.name: again})
    for _ in range(2):
        associations.advance(_facts(plan), view)
        clock.seconds += 1
    assert ike.asked == [("initiate in newest", frozenset({"out"}))]


def test_connection_is_loaded_apart_from_each_new_association_once_that_is_complete() -> None:
    """Also from one that was not established yet by then, of which the number is greater: 5."""
    plan, ike, _, associations, node = _taken_over(initiator=False)
    (connection,) = plan.connections
    ike.establish(connection.name)
    view = ike.view()
    only = IkeAssociation(4, False, frozenset({"in", "out"}))
    view = replace(view, states={connection.name: replace(view.states[connection.name], associations=(only,))})
    for apart_from, loaded in (
        ({}, 1),
        ({connection.name: 3}, 2),
        ({connection.name: 4}, 2),
        ({connection.name: 5}, 2),
    ):
        associations.advance(_facts(plan), replace(view, apart_from=apart_from))
        assert node.effects.count(f"load apart {connection.name}") == loaded


class Replacing(Asked):
    """Records attempts and ends in their order; no SA ever comes up."""

    def initiate(self, name: str) -> None:
        self.recoveries.append("initiate")


@pytest.mark.parametrize(
    ("initiator", "attempts"), [(True, [*range(0, 61, 5)]), (False, [5, 35])], ids=["initiator", "responder"]
)
def test_what_is_not_hybrid_ends_long_after_an_attempt_to_replace_it(initiator: bool, attempts: list[int]) -> None:
    """Whose end by name would end that attempt, too. One that is due then follows at once, and not before the end."""
    required = ("aes256gcm16-prfsha384-ecp384-ke1_mlkem768",)
    plan = _planned(initiator)
    plan = replace(plan, connections=tuple(replace(c, ike_proposals=required) for c in plan.connections))
    (connection,) = plan.connections
    node, clock = _fenced(plan), Clock()
    node.key_exchanges |= {"mlkem768"}
    ike = Replacing(node)
    ike.load(connection, b"")
    fallback = IkeState(True, superseded=True, spis=frozenset({1, 2}), key_exchange="ecp384")
    view = replace(ike.view(), states={connection.name: fallback})
    associations = Associations(ike, FakeXfrm(node), clock)  # type: ignore[arg-type]
    done = []
    for second in range(61):
        associations.advance(_facts(plan), view)
        done += [(second, what) for what in ike.recoveries]
        ike.recoveries.clear()
        clock.seconds += 1
    before, after = (tuple(s for s in attempts if (s >= 60) == late) for late in (False, True))
    assert done == [*((s, "initiate") for s in before), (60, "terminate"), *((s, "initiate") for s in after)]
