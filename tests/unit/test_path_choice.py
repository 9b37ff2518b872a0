"""By which of two paths a receiver is sent to: directly as soon and as long as that works."""

from __future__ import annotations

from isthmus.core.node.pathchoice import Choice, TwoPaths, first_choice, paths_taken, rechosen
from isthmus.model.node.flows import PlannedLink, PlannedNetwork

THROUGH = PlannedLink("cloud-a", "ist-a", 0x100001, "02:00:00:00:00:01", number=3)
DIRECT = PlannedLink("cloud-a", "ist-c", 0x180001, "02:00:00:00:00:02", number=3, direct="cloud-c")
MEMBER = ("red", "cloud-a/3")


class Member:
    """A member whose paths are probed every 200 ms."""

    def __init__(self, choice: Choice | None = None) -> None:
        self.choice = choice or Choice()
        self.now = 100.0
        self.changes = 0

    def probe(self, *, direct: bool, through: bool, times: int = 1, bfd_up: bool = True) -> bool:
        """Whether frames are sent directly then."""
        for _ in range(times):
            self.now += 0.2
            before = self.choice.is_direct
            self.choice = self.choice.probed(direct, through, self.now).decided(bfd_up, self.now)
            self.changes += self.choice.is_direct != before
        return self.choice.is_direct


def working() -> Member:
    made = Member()
    assert made.probe(direct=True, through=True)
    made.changes = 0
    return made


def test_the_direct_path_is_taken_with_its_first_answer() -> None:
    member = Member()
    assert not member.probe(direct=False, through=True, times=50)
    assert member.probe(direct=True, through=True)


def test_it_is_left_after_three_probes_without_an_answer() -> None:
    member = working()
    assert member.probe(direct=False, through=True, times=2)
    assert not member.probe(direct=False, through=True)


def test_single_losses_change_nothing() -> None:
    member = working()
    for _ in range(100):
        member.probe(direct=False, through=True, times=2)
        member.probe(direct=True, through=True)
    assert member.changes == 0


def test_it_is_left_at_once_if_bfd_of_its_tunnel_is_down() -> None:
    member = working()
    assert not member.probe(direct=True, through=True, bfd_up=False)
    assert not member.probe(direct=True, through=True, bfd_up=False, times=200), "whatever its probes say"


def test_it_is_taken_again_after_ten_seconds_of_unbroken_answers() -> None:
    member = working()
    member.probe(direct=False, through=True, times=3)
    assert not member.probe(direct=True, through=True, times=40)
    member.probe(direct=False, through=True)
    assert not member.probe(direct=True, through=True, times=50), "they count from the loss on"
    assert member.probe(direct=True, through=True, times=2)


def test_it_is_taken_at_once_if_the_origin_is_gone_too() -> None:
    member = working()
    member.probe(direct=False, through=True, times=3)
    assert member.probe(direct=True, through=False, times=3)


def test_the_last_choice_stays_while_neither_works() -> None:
    member = working()
    assert member.probe(direct=False, through=False, times=100)
    member.probe(direct=False, through=True)
    assert not member.choice.is_direct
    assert not member.probe(direct=False, through=False, times=100)
    assert member.changes == 1


def test_a_path_that_comes_and_goes_is_not_followed() -> None:
    """Every five seconds: one change, and no more."""
    member = working()
    for _ in range(20):
        member.probe(direct=False, through=True, times=25)
        member.probe(direct=True, through=True, times=25)
    assert member.changes == 1


def test_a_restarted_agent_continues_where_its_predecessor_was() -> None:
    assert first_choice("Direct").is_direct
    returning = Member(first_choice("ThroughOrigin"))
    assert not returning.probe(direct=True, through=True, times=50)
    assert returning.probe(direct=True, through=True, times=2)
    assert Member(first_choice(None)).probe(direct=True, through=True)


def test_what_was_heard_of_another_tunnel_means_nothing() -> None:
    member = working()
    before = TwoPaths(DIRECT, THROUGH)
    moved = TwoPaths(PlannedLink("cloud-a", "ist-c2", 0x180001, "02:00:00:00:00:02", number=3, direct="c"), THROUGH)
    assert rechosen(member.choice, before, before) == member.choice
    changed = rechosen(member.choice, before, moved)
    assert (changed.direct.since, changed.is_direct) == (None, True)
    assert changed.through_origin == member.choice.through_origin


def test_only_path_to_a_receiver_is_taken_whatever_is_chosen() -> None:
    def network(*links: PlannedLink) -> PlannedNetwork:
        return PlannedNetwork("red", "red", False, (), links)

    for direct in ({}, {MEMBER: True}):
        assert paths_taken(network(THROUGH), direct) == {"cloud-a/3": "ThroughOrigin"}
        assert paths_taken(network(DIRECT), direct) == {"cloud-a/3": "Direct"}
    assert paths_taken(network(DIRECT, THROUGH), {}) == {"cloud-a/3": "ThroughOrigin"}
    assert paths_taken(network(THROUGH, DIRECT), {MEMBER: True}) == {"cloud-a/3": "Direct"}
