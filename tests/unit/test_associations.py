"""Which side initiates SAs, and when."""

from __future__ import annotations

from dataclasses import dataclass, replace

from isthmus.agent.associations import Associations
from isthmus.core.node.plan import NodePlan, plan_node
from isthmus.model.node.host import NodeAddress
from tests.fakes.charon import FakeIke
from tests.fakes.node import FakeNode
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

    def initiate(self, name: str) -> None:
        self.times += 1


def _times_within(seconds: int, initiator: bool) -> int:
    plan = plan_node(inputs(), (NodeAddress(ADDRESS, 1500),), frozenset())
    plan = replace(plan, connections=tuple(replace(c, initiator=initiator) for c in plan.connections))
    node, clock = FakeNode(), Clock()
    node.blocks = plan.blocks
    ike = Asked(node)
    ike.load(plan.connections[0], b"")
    associations = Associations(ike, clock)  # type: ignore[arg-type]
    for _ in range(seconds):
        associations.advance(plan, ike.view())
        clock.seconds += 1
    return ike.times


def test_initiator_retries_every_five_seconds() -> None:
    assert _times_within(1, initiator=True) == 1
    assert _times_within(11, initiator=True) == 3


def test_responder_initiates_only_after_a_long_time() -> None:
    assert _times_within(30, initiator=False) == 0
    assert _times_within(31, initiator=False) == 1


def test_established_or_unloaded_connections_are_not_initiated() -> None:
    node, clock = FakeNode(), Clock()
    plan: NodePlan = plan_node(inputs(), (NodeAddress(ADDRESS, 1500),), frozenset())
    ike = Asked(node)
    associations = Associations(ike, clock)  # type: ignore[arg-type]
    associations.advance(plan, ike.view())
    node.blocks = plan.blocks
    ike.load(plan.connections[0], b"")
    ike.establish(plan.connections[0].name)
    associations.advance(plan, ike.view())
    assert ike.times == 0


def test_old_associations_are_removed_once_the_new_ones_are_up() -> None:
    node, clock = FakeNode(), Clock()
    plan: NodePlan = plan_node(inputs(), (NodeAddress(ADDRESS, 1500),), frozenset())
    (connection,) = plan.connections
    node.blocks = plan.blocks
    ike = Asked(node)
    before = replace(connection, secret_version="0")
    ike.load(before, b"")
    ike.establish(connection.name)
    ike.load(connection, b"")
    associations = Associations(ike, clock)  # type: ignore[arg-type]
    associations.advance(plan, ike.view())
    assert node.negotiated == {connection.name: {before.digest}}, "the new SAs are not up yet"
    ike.establish(connection.name)
    associations.advance(plan, ike.view())
    assert node.negotiated == {connection.name: {connection.digest}}
