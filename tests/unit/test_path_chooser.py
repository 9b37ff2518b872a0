"""The agent probes both paths to a receiver, and remembers what it has chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from isthmus.agent.pathchooser import PathChooser
from isthmus.model.api.v1alpha1.attachment import Attachment, MemberObservation, NodeObservation
from isthmus.model.errors import Unavailable
from isthmus.model.node.flows import PlannedLink, PlannedNetwork, PlannedNetworks
from isthmus.model.node.host import ProbeResult
from isthmus.telemetry.health import Health
from tests.fakes.agent_harness import ManualClock
from tests.fakes.nodeobjects import NODE, RED, attachment
from tests.unit.test_path_choice import DIRECT, THROUGH

MEMBER = ("red", "cloud-a/3")
DIRECT_PATH = "red/cloud-a/3@cloud-c"


class Paths:
    """A dataplane probe: the paths that work, by the names under which they are probed."""

    def __init__(self) -> None:
        self.broken = False
        self.down: set[str] = set()
        self.meanwhile: Callable[[], object] = lambda: None
        """What happens while the next probes are under way."""
        self.timeouts: list[float] = []
        self.probed: set[str] = set()

    def exchange(
        self,
        macs: Mapping[str, str],
        timeout_seconds: float,
        spread_seconds: float = 0.0,
        mtus: Mapping[str, int] = MappingProxyType({}),
        whole: bool = False,
    ) -> Mapping[str, ProbeResult]:
        self.timeouts.append(timeout_seconds)
        self.probed = {*macs}
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        if self.broken:
            raise Unavailable("no probe port")
        return {name: ProbeResult(1, int(name not in self.down), None) for name in macs}


class Chooser:
    """One agent's, with paths that work or do not."""

    def __init__(self) -> None:
        self.probe, self.clock, self.wakes = Paths(), ManualClock(), list[int]()
        self.round_trip = 0.0
        self.chooser = self.new()

    def new(self) -> PathChooser:
        """Of an agent that starts."""
        health = Health(30)
        return PathChooser(NODE, self.probe, self.longest, lambda: self.wakes.append(1), self.clock, health)

    def longest(self, _paths: Iterable[tuple[str, str]]) -> float:
        return self.round_trip

    def follow(
        self, *links: PlannedLink, reported: Attachment | None = None, placed: bool = True
    ) -> Mapping[tuple[str, str], bool]:
        networks = PlannedNetworks.of([PlannedNetwork("red", "isc-red", False, (), links)])
        direct = self.chooser.follow(networks, {"red": reported} if reported else {})
        if placed:
            self.chooser.placed()
        return direct

    def run(self, seconds: float, *down: str) -> bool:
        """Whether frames are sent directly after so many seconds, in which these paths do not work."""
        self.probe.down = {*down}
        for _ in range(round(seconds * 5)):
            self.clock.seconds += 0.2
            self.chooser.probe_once()
        return MEMBER in self.chooser.direct


def reporting(path: str | None) -> Attachment:
    """An Attachment whose status has what this node has reported before."""
    found = attachment(RED, role="Receiver")
    members = (MemberObservation.model_validate({"number": 3, "up": True, "path": path}),)
    entries = (NodeObservation(node="gw-a2"), NodeObservation(node=NODE, members=members))
    return found.model_copy(update={"status": found.status.model_copy(update={"nodes": entries})})


def test_both_paths_are_probed_whichever_is_chosen() -> None:
    agent = Chooser()
    assert agent.follow(THROUGH, DIRECT) == {}
    assert agent.run(0.2)
    assert agent.probe.probed == {"red/cloud-a/3", DIRECT_PATH}
    assert len(agent.wakes) == 1
    assert not agent.run(0.6, DIRECT_PATH)
    assert agent.probe.probed == {"red/cloud-a/3", DIRECT_PATH}
    assert (len(agent.wakes), agent.chooser.changes()) == (2, {MEMBER: 2})


def test_receivers_with_one_path_are_not_probed_here() -> None:
    agent = Chooser()
    for link in (THROUGH, DIRECT):
        agent.follow(link)
        agent.run(1)
    assert not agent.probe.timeouts
    assert not agent.chooser.direct


def test_long_round_trips_are_waited_for() -> None:
    agent = Chooser()
    agent.follow(THROUGH, DIRECT)
    for agent.round_trip in (0.0, 0.15, 3.0):
        agent.run(0.2)
    assert agent.probe.timeouts == [0.2, 0.5, 1.0]


def test_nothing_changes_while_no_probe_can_be_sent() -> None:
    agent = Chooser()
    agent.follow(THROUGH, DIRECT)
    assert agent.run(1)
    agent.probe.broken = True
    assert agent.run(10)


def test_failure_of_the_tunnel_is_not_waited_for() -> None:
    agent = Chooser()
    agent.follow(THROUGH, DIRECT)
    assert agent.run(1)
    agent.chooser.observe({DIRECT.tunnel_port: False})
    assert agent.chooser.direct == {}
    assert len(agent.wakes) == 2


def test_new_agent_begins_with_what_its_predecessor_has_reported() -> None:
    agent = Chooser()
    for path, direct in (("Direct", True), ("ThroughOrigin", False), (None, False)):
        agent.chooser = agent.new()
        assert (MEMBER in agent.follow(THROUGH, DIRECT, reported=reporting(path))) == direct
    agent.chooser = agent.new()
    agent.follow(THROUGH, DIRECT, reported=reporting("ThroughOrigin"))
    assert not agent.run(9)
    assert agent.run(2)


def test_path_that_is_added_is_taken_with_its_first_answer_whatever_was_reported() -> None:
    agent = Chooser()
    agent.follow(THROUGH)
    assert agent.follow(THROUGH, DIRECT, reported=reporting("ThroughOrigin")) == {}
    assert agent.run(0.2)


def test_path_through_the_origin_that_is_added_changes_nothing() -> None:
    agent = Chooser()
    agent.follow(DIRECT)
    assert agent.follow(THROUGH, DIRECT) == {MEMBER: True}
    assert agent.run(5)
    assert agent.chooser.changes() == {MEMBER: 0}


def test_what_is_not_planned_any_more_is_forgotten() -> None:
    agent = Chooser()
    agent.follow(THROUGH, DIRECT)
    agent.run(1)
    assert agent.follow(THROUGH) == {}
    assert agent.chooser.changes() == {}
    agent.run(1)
    assert agent.chooser.follow(PlannedNetworks(), {}) == {}


SUCCESSOR = replace(DIRECT, tunnel_id=0x180002)
"""Another tunnel to the same member."""


def test_probe_under_way_does_not_count_for_another_path_to_the_member() -> None:
    agent = Chooser()
    agent.follow(THROUGH, DIRECT)
    agent.run(0.2, DIRECT_PATH)
    agent.probe.meanwhile = lambda: agent.follow(THROUGH, SUCCESSOR)
    assert not agent.run(0.2), "the former path has answered"
    assert not agent.run(2, DIRECT_PATH)
    assert agent.run(0.2)


def test_loss_on_a_former_path_does_not_count_either() -> None:
    agent = Chooser()
    agent.follow(THROUGH, DIRECT)
    assert agent.run(1)
    assert agent.run(0.4, DIRECT_PATH)
    agent.probe.meanwhile = lambda: agent.follow(THROUGH, SUCCESSOR)
    assert agent.run(0.6, DIRECT_PATH), "one of three was sent before"
    assert not agent.run(0.2, DIRECT_PATH)


def test_probes_count_once_the_flows_of_a_path_are_in_place() -> None:
    agent = Chooser()
    agent.follow(THROUGH, DIRECT)
    agent.run(0.2, DIRECT_PATH)
    agent.follow(THROUGH, SUCCESSOR, placed=False)
    assert not agent.run(2), "they may take the former path"
    agent.probe.meanwhile = agent.chooser.placed
    assert not agent.run(0.2), "and those that were sent before"
    assert agent.run(0.2)


def test_what_leads_where_it_led_goes_on_being_counted() -> None:
    agent = Chooser()
    agent.follow(THROUGH, DIRECT)
    assert agent.run(1)
    agent.probe.meanwhile = lambda: agent.follow(THROUGH, replace(DIRECT, ipv6=True), placed=False)
    assert not agent.run(0.6, DIRECT_PATH)
