"""An agent at a receiver that another receiver has two paths to: what it writes, reports and counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from isthmus.core.node.facts import NodeFacts
from isthmus.core.node.observations import observations
from isthmus.core.node.plan import plan_node
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment, MemberObservation
from isthmus.model.node.flows import FlowChanges
from isthmus.model.node.host import NodeAddress, ProbeResult
from isthmus.model.node.switch import BridgeView
from isthmus.telemetry.metrics import MEMBER_PATH, MEMBER_PATH_CHANGES
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.node import FakeProbe
from tests.fakes.nodeobjects import (
    ADDRESS,
    BLUE,
    NODE,
    OTHER_GATEWAY,
    OWN,
    PEER,
    RED,
    inputs,
    peer,
    peerlink,
    replica,
)
from tests.fakes.switch import FakeOpenFlow

NAME = f"{OWN}.{RED}"
MEMBER, DIRECT = f"{PEER}/3", f"{PEER}/3@cloud-c"


class Receiver(AgentHarness):
    """With two networks, of which cloud-c is a member by two paths. Paths work, but for those that are down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.down: set[str] = set()
        self.changes: list[FlowChanges] = []
        super().__init__()
        other = peer("cloud-c", "203.0.113.0/24")
        namespace = {"name": names.peer_namespace("cloud-c")}
        self.kubectl.apply_manifest({"apiVersion": "v1", "kind": "Namespace", "metadata": namespace})
        self.kubectl.apply(other)
        self.kubectl.apply(peerlink("cloud-c", OTHER_GATEWAY))
        self.kubectl.apply_status(peerlink("cloud-c", OTHER_GATEWAY))
        exchange, write = FakeProbe.exchange, FakeOpenFlow.replace

        def answer(probe: FakeProbe, macs: Mapping[str, str], *arguments: Any) -> Mapping[str, ProbeResult]:
            found = exchange(probe, macs, *arguments)
            return {n: ProbeResult(1, 0, None) if n.split("/", 1)[1] in self.down else r for n, r in found.items()}

        def record(openflow: FakeOpenFlow, changes: FlowChanges) -> None:
            self.changes.append(changes)
            write(openflow, changes)

        monkeypatch.setattr(FakeProbe, "exchange", answer)
        monkeypatch.setattr(FakeOpenFlow, "replace", record)
        self.kubectl.apply(replica(RED))
        self.kubectl.apply(replica(BLUE, 0x180002))
        self.settle()
        self.probe()

    def probe(self, rounds: int = 1) -> None:
        """The chooser's rounds, and the agent wakes."""
        for _ in range(rounds):
            self.clock.seconds += 0.2
            self.agent.path_chooser.probe_once()
        self.changes.clear()
        self.iterate()

    def member(self, network: str = RED) -> MemberObservation:
        """As it is reported after all other probes."""
        for _ in range(3):
            self.agent.prober.probe_once()
        self.iterate()
        ((found,),) = (entry.members for entry in self.get(Attachment, f"{OWN}.{network}").status.nodes)
        assert isinstance(found, MemberObservation)
        return found

    def exposed(self, metric: str) -> dict[tuple[str, ...], float]:
        """The values of a metric by the values of its labels."""
        families = [found for found in self.metrics.registry.collect() if found.name == metric]
        samples = [sample for found in families for sample in found.samples]
        return {(*sample.labels.values(),): sample.value for sample in samples}

    def sent_by(self) -> str:
        """The path that frames of the first network are sent by, as metrics have it."""
        (path,) = (labels[2] for labels in self.exposed(MEMBER_PATH.name) if labels[0] == NAME)
        return path


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Receiver:
    return Receiver(monkeypatch)


def test_direct_path_is_taken(receiver: Receiver) -> None:
    found = receiver.member()
    assert (found.up, found.path, found.message) == (True, "Direct", "")
    assert receiver.exposed(MEMBER_PATH.name) == {(f"{OWN}.{network}", MEMBER, "Direct"): 1 for network in (RED, BLUE)}


def test_change_of_the_path_is_one_flow_of_each_network_in_one_bundle(receiver: Receiver) -> None:
    receiver.down = {DIRECT}
    receiver.probe(2)
    assert receiver.changes == []
    receiver.probe()
    (written,) = receiver.changes
    assert [(change.delete, change.delete_tables, change.forget, len(change.add)) for change in written.sets] == [
        ((), (), (), 1)
    ] * 2
    assert all(change.add[0].startswith("table=7,") for change in written.sets)
    assert (written.meters, written.delete_meters) == ((), ())


def test_failed_direct_path_is_named_although_the_member_is_reached(receiver: Receiver) -> None:
    receiver.down = {DIRECT}
    receiver.probe(3)
    found = receiver.member()
    assert (found.up, found.path, found.reason) == (True, "ThroughOrigin", "ProbeAnswered")
    assert found.message.startswith(
        "frames are sent through the origin: dataplane probes are not answered by member 3 at gateway gw-c1 of cloud-c"
    )
    receiver.down = set()
    receiver.probe()
    assert "has failed before" in receiver.member().message


def test_member_that_no_path_leads_to_is_down(receiver: Receiver) -> None:
    receiver.down = {DIRECT, MEMBER}
    receiver.probe(3)
    found = receiver.member()
    assert (found.up, found.path, found.reason) == (False, None, "ProbeUnanswered")
    assert receiver.sent_by() == "Direct", "the last choice stays"


def test_new_agent_writes_no_flow_and_changes_no_path(receiver: Receiver) -> None:
    receiver.down = {DIRECT}
    receiver.probe(3)
    assert receiver.member().path == "ThroughOrigin"
    receiver.down, flows = set(), dict(receiver.node.flows)
    receiver.new_agent()
    receiver.settle()
    assert receiver.node.flows == flows
    receiver.probe(45)
    assert receiver.node.flows == flows, "it waits like its predecessor"
    receiver.probe(10)
    assert receiver.member().path == "Direct"
    flows = dict(receiver.node.flows)
    receiver.new_agent()
    receiver.settle()
    receiver.probe(2)
    assert receiver.node.flows == flows


def test_path_and_its_changes_are_counted(receiver: Receiver) -> None:
    assert receiver.sent_by() == "Direct"
    receiver.down = {DIRECT}
    receiver.probe(3)
    assert receiver.sent_by() == "ThroughOrigin"
    assert receiver.exposed(MEMBER_PATH_CHANGES.name)[f"{OWN}.{BLUE}", MEMBER] == 2, "to the direct path, and away"


def test_direct_path_alone_is_taken_and_reported(receiver: Receiver) -> None:
    receiver.kubectl.apply(replica(RED, through_origin=False))
    receiver.settle()
    found = receiver.member()
    assert (found.up, found.path) == (True, "Direct")
    receiver.down = {DIRECT}
    found = receiver.member()
    assert (found.up, found.path, found.reason) == (False, None, "ProbeUnanswered")


def test_path_that_cannot_be_planned_is_named_and_the_other_one_taken() -> None:
    stray = {"name": "gw-c1", "address": "203.0.113.99"}
    held = replica(RED, gateway=stray)
    peers = peer(), peer("cloud-c", "203.0.113.0/24")
    wanted = inputs(held, peers=peers, peerlinks=(peerlink(), peerlink("cloud-c", OTHER_GATEWAY)))
    plan = plan_node(wanted, (NodeAddress(ADDRESS, 1500),), frozenset())
    probes = {(NAME, PEER): True, (NAME, MEMBER): True}
    facts = NodeFacts(plan, BridgeView(True, plan.ports), probes=probes, flows_installed=True)
    (found,) = observations(NODE, wanted.attachments, facts)[NAME].members
    assert (found.up, found.path) == (True, "ThroughOrigin")
    assert found.message == "frames are sent through the origin: no tunnel to gateway gw-c1 of cloud-c yet"
