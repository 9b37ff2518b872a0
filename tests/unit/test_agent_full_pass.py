"""Agents look at what has changed; from time to time at everything, so that nothing that was missed stays wrong."""

from __future__ import annotations

import pytest

from isthmus.model.api.v1alpha1.attachment import Attachment
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.nodeobjects import BLUE, OWN, RED, attachment, link

MISSING = (
    "isthmus.core.node.networks.differing",
    "isthmus.core.node.setcache.differing",
    "isthmus.core.node.numbers.differing",
    "isthmus.core.node.observations.differing",
    "isthmus.core.node.diff.differing_members",
    "isthmus.agent.flows.differing",
    "isthmus.agent.prober.changes",
)


@pytest.fixture
def harness() -> AgentHarness:
    """A node with one network."""
    harness = AgentHarness()
    harness.kubectl.apply(attachment(RED))
    harness.settle()
    return harness


@pytest.mark.parametrize("what", MISSING)
def test_changes_that_were_missed_are_found(harness: AgentHarness, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    expected = AgentHarness()
    expected.kubectl.apply(attachment(RED))
    expected.settle()
    _change(expected)
    with monkeypatch.context() as patch:
        patch.setattr(what, lambda *_: ())
        _change(harness)
    _look(expected)
    _look(harness)
    assert _state(harness) != _state(expected), "nothing was missed"
    for _ in range(6):
        harness.clock.seconds += 60
        _look(harness)
    assert _state(harness) == _state(expected)


def _change(harness: AgentHarness) -> None:
    """One network is added, and one gets another tunnel ID."""
    for changed in (attachment(BLUE, (link(0x100001),)), attachment(RED, (link(0x100002),))):
        harness.kubectl.apply(changed)
    _look(harness)


def _look(harness: AgentHarness) -> None:
    for _ in range(3):
        harness.clock.seconds += 1
        harness.iterate()
        harness.agent.prober.probe_once()


def _state(harness: AgentHarness) -> tuple[object, ...]:
    statuses = [harness.get(Attachment, f"{OWN}.{network}").status for network in (RED, BLUE)]
    return harness.node.flow_text(), harness.node.ports, statuses
