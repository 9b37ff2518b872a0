"""What is dropped of networks at present: when that begins, when it ends, and what is not worth mentioning."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from isthmus.core.node.dropping import PRESENT_SECONDS, Dropping, DropPoint, counted
from isthmus.model.api.v1alpha1.attachment import Attachment, DropObservation
from isthmus.model.node.drops import Drop
from isthmus.plugin.core.diagnosis import drops
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.faultyobjects import diagnosis, healthy, of_kind
from tests.fakes.nodeobjects import OWN, PEER, RED, attachment

Reading = tuple[float, dict[DropPoint, int]]

LINK, OTHER = f"{OWN}.{RED}", f"{OWN}.other"
HERE: DropPoint = (LINK, "", Drop.STORM)
THERE: DropPoint = (LINK, PEER, Drop.STORM)


def after(*readings: Reading) -> dict[str, list[tuple[str | None, str]]]:
    """What is reported after the counters were read at these seconds."""
    state = Dropping()
    for seconds, counters in readings:
        state = counted(state, counters, seconds)
    return {name: [(each.cloud_id, each.reason) for each in found] for name, found in state.by_network.items()}


def test_what_was_dropped_before_the_agent_began_is_not_reported() -> None:
    assert after((0, {HERE: 5000})) == after((0, {HERE: 5000}), (30, {HERE: 5000})) == {}


def test_counter_that_grows_is_reported_until_it_has_rested_for_a_while() -> None:
    begun: tuple[Reading, ...] = ((0, {}), (30, {HERE: 3, THERE: 1}))
    assert after(*begun) == {LINK: [(None, "storm"), (PEER, "storm")]}
    still = (30 + PRESENT_SECONDS - 1, {HERE: 3, THERE: 2})
    assert after(*begun, still) == {LINK: [(None, "storm"), (PEER, "storm")]}
    assert after(*begun, still, (30 + PRESENT_SECONDS, {HERE: 3, THERE: 2})) == {LINK: [(PEER, "storm")]}
    assert after(*begun, still, (30 + 2 * PRESENT_SECONDS, {HERE: 3, THERE: 2})) == {}


def test_counter_that_was_reset_has_not_grown() -> None:
    assert after((0, {HERE: 9}), (30, {HERE: 2})) == {}
    assert after((0, {HERE: 9}), (30, {HERE: 2}), (60, {HERE: 3})) == {LINK: [(None, "storm")]}


@pytest.mark.parametrize("reason", Drop)
def test_what_machines_send_at_any_time_is_reported_of_peers_only(reason: Drop) -> None:
    usual = reason in (Drop.LINK_LOCAL, Drop.CLOUD_SERVICE, Drop.IPV6_ROUTER)
    found = after((0, {}), (30, {(LINK, "", reason): 7, (OTHER, PEER, reason): 7}))
    assert found.get(LINK, []) == ([] if usual else [(None, reason.label)])
    assert found[OTHER] == [(PEER, reason.label)], "its guard should have dropped them"


def test_nothing_new_is_the_same_object() -> None:
    """The agent reports when facts change."""
    first = counted(counted(Dropping(), {}, 0), {HERE: 1}, 30)
    assert counted(first, {HERE: 2}, 60).by_network is first.by_network


def _reported(harness: AgentHarness) -> tuple[DropObservation, ...]:
    found = harness.get(Attachment, LINK)
    assert isinstance(found, Attachment)
    (entry,) = found.status.nodes
    return entry.dropping


def test_agent_reports_it_of_each_network() -> None:
    harness = AgentHarness()
    harness.kubectl.apply(attachment())
    harness.agent = harness.new_agent()
    harness.settle()
    assert _reported(harness) == ()
    (network,), (member,) = harness.node.numbers.networks.values(), harness.node.numbers.members.values()

    def count(frames: int) -> None:
        harness.node.dropped = {(network, member, Drop.STORM): frames}
        harness.settle(1)

    count(100)
    assert _reported(harness) == (DropObservation(cloud_id=PEER, reason="storm"),)
    count(200)
    assert _reported(harness) == (DropObservation(cloud_id=PEER, reason="storm"),)
    for _ in range(6):
        count(200)
    assert _reported(harness) == ()


# kubectl isthmus diagnose


@pytest.fixture(scope="module")
def cloud_a() -> list[dict[str, Any]]:
    return healthy()


def _echo(items: list[dict[str, Any]], *dropping: dict[str, str]) -> tuple[str, str]:
    changed = copy.deepcopy(items)
    (entry,) = of_kind(changed, "Attachment")["status"]["nodes"]
    entry["dropping"] = list(dropping)
    (subject,) = diagnosis(changed).to_document()["subjects"]
    (echo,) = (layer for layer in subject["layers"] if layer["layer"] == "echo")
    return echo["state"], echo["text"]


def test_diagnosis_names_it_as_evidence(cloud_a: list[dict[str, Any]]) -> None:
    assert _echo(cloud_a) == ("fine", "1 of 1 links answer")
    state, text = _echo(cloud_a, {"reason": "storm"}, {"reason": "gateway"}, {"cloudID": "cloud-c", "reason": "storm"})
    assert state == "fine"
    assert text.startswith("1 of 1 links answer; network ")
    assert text.endswith(
        ": of this cloud, group frames and frames to unknown addresses beyond 1,000 a second and ARP claims of the "
        "gateway address that are not the origin's are dropped"
    )
    assert ": of cloud-b, frames with VLAN tags are" in _echo(cloud_a, {"cloudID": "cloud-b", "reason": "vlan_tag"})[1]
    assert "frames by reason future are dropped" in _echo(cloud_a, {"reason": "future"})[1]


def test_every_reason_has_words() -> None:
    assert {*drops._WHAT} == {drop.label for drop in Drop}
