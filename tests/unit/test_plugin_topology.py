"""`kubectl isthmus topology` without the page."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from isthmus.model import names
from isthmus.plugin.core import resources
from isthmus.plugin.core.answer import Answer, ExitCode, Unread
from isthmus.plugin.core.diagnosis.subject import Readings
from isthmus.plugin.core.leases import leases
from isthmus.plugin.core.tables import Style
from isthmus.plugin.core.topology import selection, topology
from tests.fakes.anything import HOSTILE_TEXT, MOVES_CURSOR, OF_ANY_SHAPE
from tests.fakes.kubectl import documents, lease, stretched
from tests.fakes.topologies import HOSTILE_NAMES, many, stretched_items, with_members, with_names, with_tunnels_down

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROCESSES = (names.CONTROLLER, names.agent_lease("gw-cloud-a"))
BOTH = ("text", "dot")


def readings(items: list[dict[str, Any]], *old: str) -> Readings:
    """Of a cloud whose processes run, but for these."""
    renewed = "2025-12-31T23:59:58Z"
    found = [lease(name, "2025-01-01T00:00:00Z" if name in old else renewed) for name in PROCESSES]
    return Readings(resources.cloud(items), leases(found, NOW), {})


def of(items: list[dict[str, Any]], *old: str) -> Answer:
    return topology(readings(items, *old), ())


def lines(answer: Answer) -> list[str]:
    return answer.text(Style())


def states(answer: Answer) -> dict[str, tuple[str, str]]:
    """State and reason of the first peer, its first tunnel and its first network."""
    peer = answer.document["peers"][0]
    found = {"peer": peer, "tunnel": peer["tunnels"][0], "network": peer["networks"][0]}
    return {name: (each["state"], each["reason"]) for name, each in found.items()}


def changed(items: list[dict[str, Any]], kind: str, **status: Any) -> list[dict[str, Any]]:
    """With another status of the objects of a kind."""
    return [item | {"status": item["status"] | status} if item["kind"] == kind else item for item in items]


def test_all_is_well() -> None:
    answer = of(stretched_items())
    assert answer.code == ExitCode.FINE
    assert lines(answer) == [
        "cloud-a",
        "|-- node gw-cloud-a (192.0.2.11): up",
        "`-- peer cloud-b: up",
        "    |-- tunnel gw-cloud-a to gw-cloud-b (192.0.3.11): up",
        "    `-- network shop/web to the peer: up",
    ]
    document = answer.to_document()
    assert document["schema"] == "isthmus.cloud/topology/v1"
    assert document["peers"][0]["diagnosis"] == {"firstLine": "cloud-b: all is well", "exitCode": 0}
    assert document["peers"][0]["networks"][0]["direction"] == "toPeer"


def test_the_receiver_shows_the_replica() -> None:
    found = topology(Readings(resources.cloud(documents(stretched().clouds[1])), None, {}), ())
    (network,) = found.document["peers"][0]["networks"]
    assert (network["direction"], network["state"]) == ("fromPeer", "up")
    assert lines(found)[-1] == f"    `-- network {network['networkID']} from the peer: up"


DIRECT = {"number": 3, "up": True, "path": "Direct", "reason": "ProbeAnswered"}
THROUGH_ORIGIN = {"number": 4, "up": True, "path": "ThroughOrigin", "reason": "ProbeAnswered", "message": "why"}
SILENT = {"number": 4, "up": False, "reason": "ProbeUnanswered", "message": "silence"}


def as_receiver(*reported: dict[str, Any], output: str = "text", agent_runs: bool = True) -> Answer:
    items = with_members(documents(stretched().clouds[1]), *reported)
    renewed = "2025-12-31T23:59:58Z" if agent_runs else "2025-01-01T00:00:00Z"
    found = [lease(names.CONTROLLER, "2025-12-31T23:59:58Z"), lease(names.agent_lease("gw-cloud-b"), renewed)]
    return topology(Readings(resources.cloud(items), leases(found, NOW), {}), (), output)


def test_a_receiver_shows_by_which_path_it_reaches_the_others() -> None:
    answer = as_receiver(DIRECT, THROUGH_ORIGIN)
    assert lines(answer)[-2:] == [
        "        |-- member 3 (cloud-c) directly: up",
        "        `-- member 4 through the origin: up",
    ]
    (network,) = answer.document["peers"][0]["networks"]
    assert network["members"] == [
        {"number": 3, "cloudID": "cloud-c", "path": "Direct", "state": "up", "reason": "", "message": ""},
        {"number": 4, "cloudID": "", "path": "ThroughOrigin", "state": "up", "reason": "", "message": "why"},
    ]
    dot = [line for line in lines(as_receiver(DIRECT, SILENT, output="dot")) if "member" in line]
    assert len(dot) == 1
    assert '\\nup\\nmember 3 (cloud-c) directly: up\\nmember 4: down ProbeUnanswered"' in dot[0]


@pytest.mark.parametrize(
    ("reported", "agent_runs", "shown"),
    [
        ((DIRECT, SILENT), True, ["member 3 (cloud-c) directly: up", "member 4: DOWN ProbeUnanswered"]),
        ((DIRECT,), True, ["member 3 (cloud-c) directly: up", "member 4: unknown"]),
        ((DIRECT | {"path": "?"}, {"number": 4}), True, ["member 3 (cloud-c): up", "member 4: unknown"]),
        (
            (DIRECT, THROUGH_ORIGIN),
            False,
            ["member 3 (cloud-c): unknown AgentNotRunning", "member 4: unknown AgentNotRunning"],
        ),
    ],
)
def test_of_other_receivers_what_is_current_is_shown(
    reported: tuple[dict[str, Any], ...], agent_runs: bool, shown: list[str]
) -> None:
    found = lines(as_receiver(*reported, agent_runs=agent_runs))
    assert [line.partition("-- ")[2] for line in found if "-- member " in line] == shown


def test_a_cut_tunnel_is_down_with_reason_and_message() -> None:
    answer = of(with_tunnels_down(many(2, 2), "peer-01"))
    assert answer.code == ExitCode.WRONG
    assert "`-- peer peer-01: DOWN BFDDown" in lines(answer)
    assert "    |-- tunnel gw-cloud-a to gw-peer-01 (198.51.100.2): DOWN BFDDown" in lines(answer)
    assert "    |-- network shop/web-0 (web 0) to the peer: DOWN BFDDown" in lines(answer)
    assert "CloudPeer peer-01: BFDDown (transient)" in lines(answer)
    whole, cut = answer.document["peers"]
    assert whole["diagnosis"]["exitCode"] == 0
    assert cut["diagnosis"]["firstLine"].startswith("peer-01: PeerGatewayUnreachable at underlay")


def test_what_agents_report_counts_before_the_controller_has_seen_it() -> None:
    cut = with_tunnels_down(stretched_items(), "cloud-b")
    by_agents = [item for item in cut if item["kind"] in ("GatewayNode", "Attachment")]
    by_controller = [item for item in stretched_items() if item["kind"] not in ("GatewayNode", "Attachment")]
    assert set(states(of([*by_agents, *by_controller])).values()) == {("down", "BFDDown")}


def test_what_is_in_progress_is_waiting() -> None:
    peers = [{"name": "cloud-b", "ready": False, "reason": "PreparingOffer", "message": "m"}]
    assert states(of(changed(stretched_items(), "NetworkExpansion", peers=peers)))["network"] == (
        "waiting",
        "PreparingOffer",
    )


def test_reports_of_an_agent_that_does_not_run_do_not_count() -> None:
    answer = of(stretched_items(), names.agent_lease("gw-cloud-a"))
    found = states(answer)
    assert found["tunnel"] == found["network"] == ("unknown", "AgentNotRunning")
    assert found["peer"] == ("up", "")
    assert answer.document["nodes"][0]["reason"] == "AgentNotRunning"


def test_conditions_do_not_count_without_a_controller() -> None:
    found = states(of(stretched_items(), names.CONTROLLER))
    assert found == {"peer": ("unknown", "ControllerNotActive"), "tunnel": ("up", ""), "network": ("up", "")}
    cut = states(of(with_tunnels_down(stretched_items(), "cloud-b"), names.CONTROLLER))
    assert set(cut.values()) == {("down", "BFDDown")}


def test_objects_without_status_are_unknown() -> None:
    bare = [{key: value for key, value in item.items() if key != "status"} for item in stretched_items()]
    answer = of(bare)
    (peer,) = answer.document["peers"]
    assert (peer["state"], peer["tunnels"], peer["networks"][0]["state"]) == ("unknown", [], "unknown")
    assert answer.code == ExitCode.WRONG


def test_a_network_that_was_only_requested_is_unknown() -> None:
    answer = of(changed(stretched_items(), "NetworkExpansion", peers=[]))
    assert states(answer)["network"] == ("unknown", "")


def test_peers_are_shown_by_what_can_be_read() -> None:
    items = [item for item in stretched_items() if item["kind"] != "CloudPeer"]
    gap = Unread("cloudpeers", "no right to list them")
    answer = topology(Readings(resources.cloud(items), None, {gap.resource: gap.cause}), (gap,))
    assert answer.code == ExitCode.NOT_READ
    assert states(answer) == {"peer": ("unknown", ""), "tunnel": ("up", ""), "network": ("up", "")}
    assert "not read: cloudpeers: no right to list them" in lines(answer)


def test_a_cloud_without_peers() -> None:
    node = [item for item in stretched_items() if item["kind"] == "GatewayNode"]
    answer = of(changed(node, "GatewayNode", connections=[]))
    assert lines(answer) == ["this cloud", "`-- node gw-cloud-a (192.0.2.11): up", "no peer"]
    assert answer.document["diagnosis"]["exitCode"] == 0


def test_hostile_names_are_one_line_each() -> None:
    answer = of(with_names(many(8, 2), HOSTILE_NAMES))
    assert len(lines(answer)) == 2 + 8 * 4
    dot = topology(readings(with_names(many(8, 2), HOSTILE_NAMES)), (), "dot").text(Style())
    labelled = re.compile(
        r'  (us|peer\d|us -- peer\d) \[label="(?:[^"\\]|\\["\\n])*", [^"\[\]]*(?:"#[0-9a-f]{6}"[^"\[\]]*)?\];'
    )
    assert all(labelled.fullmatch(line) for line in dot[3:-1]), dot
    assert len(dot) == 3 + 1 + 8 * 4 + 1


@given(HOSTILE_TEXT)
@pytest.mark.parametrize("output", BOTH)
def test_text_of_others_moves_no_cursor(output: str, name: str) -> None:
    items = with_names(with_tunnels_down(stretched_items(), "cloud-b", message=name), [name])
    found = [*topology(readings(items), (), output).text(Style()), str(selection(readings(items), name, name))]
    for line in found[:-1]:
        assert not MOVES_CURSOR.search(line)


@given(OF_ANY_SHAPE)
def test_documents_of_any_shape_are_read(shaped: list[dict[str, Any]]) -> None:
    for output in BOTH:
        assert topology(readings(shaped), (), output).text(Style(colour=True, width=40))
