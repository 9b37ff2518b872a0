"""What `kubectl isthmus` answers about whole clouds."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from isthmus.model import names
from isthmus.model.api.kinds import KINDS
from isthmus.model.names import API_VERSION
from isthmus.model.protocol import PROTOCOL_VERSIONS, agreed_version
from isthmus.model.reasons import ConditionType, Reason
from isthmus.model.reasons.condition_types import MEANINGS
from isthmus.plugin import readings
from isthmus.plugin.core import leases, resources
from isthmus.plugin.core.answer import Answer, ExitCode, Unread
from isthmus.plugin.core.explain import UnknownReason, anchor, explain
from isthmus.plugin.core.findings import NO_TROUBLE, WRONG_STATUS
from isthmus.plugin.core.networks import networks
from isthmus.plugin.core.peers import peers
from isthmus.plugin.core.resources import Cloud
from isthmus.plugin.core.status import status
from isthmus.plugin.core.tables import Style, table
from isthmus.plugin.core.versions import versions
from isthmus.plugin.core.width import columns, shortened, wrapped
from tests.fakes.anything import HOSTILE_TEXT, MOVES_CURSOR, OF_ANY_SHAPE
from tests.fakes.kubectl import documents, lease, stretched

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RENEWED = "2025-12-31T23:59:58.000000Z"
SHOWN = ("CloudPeer", "NetworkExpansion", "Attachment", "GatewayNode")
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "conditions.md"


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    return documents(stretched().clouds[0])


def processes(*old: str) -> dict[str, leases.Lease]:
    """Leases of controller and agent of cloud-a."""
    both = ("isthmus-controller", "isthmus-agent-gw-cloud-a")
    return leases.leases([lease(name, "2025-12-31T00:00:00Z" if name in old else RENEWED) for name in both], NOW)


def text(answer: Answer, style: Style | None = None) -> str:
    return "\n".join(answer.text(style or Style()))


def of(cloud: Cloud) -> Answer:
    return status(cloud, processes(), ())


def test_all_is_well(items: list[dict[str, Any]]) -> None:
    answer = of(resources.cloud(items))
    assert answer.code == ExitCode.FINE
    assert text(answer).splitlines() == [
        "cloud-a: controller active 2 s ago, OpenStack ok",
        "NODE        READY  ADDRESS     NEUTRON       OPENVSWITCH  CHARON  AGENT",
        "gw-cloud-a  yes    192.0.2.11  host-cloud-a  -            -       -",
        "PEER     READY  API  AGREED  IKE  ESP  BFD  OUT  IN",
        "cloud-b  yes    yes  yes     1/1  1/1  1/1  1    0",
        "key exchange not hybrid: cloud-b (HybridNotSupported)",
        "networks: 1 of 1 ready; replicas of peers' networks: none",
    ]
    assert answer.to_document()["schema"] == "isthmus.cloud/status/v1"
    assert answer.to_document()["problems"] == []


def test_receiver_shows_the_replica() -> None:
    cloud = resources.cloud(documents(stretched().clouds[1]))
    answer = networks(cloud, "", ())
    assert answer.code == ExitCode.FINE
    assert text(answer).splitlines()[0] == "no NetworkExpansion"
    assert [replica["originCloudID"] for replica in answer.to_document()["replicas"]] == ["cloud-a"]


def test_peer_that_cannot_be_read_is_named_with_reason_message_and_command() -> None:
    federation = stretched()
    federation.clouds[0].peers.unreachable = True
    federation.settle()
    cloud = resources.cloud(documents(federation.clouds[0]))
    for answer in (of(cloud), peers(cloud, ())):
        assert answer.code == ExitCode.WRONG
        lines = text(answer).splitlines()
        first = lines.index("CloudPeer cloud-b: PeerUnreachable (transient)")
        assert "no answer" in lines[first + 1]
        assert "  kubectl isthmus explain PeerUnreachable" in lines
        assert "NO" in next(line for line in lines if line.startswith("cloud-b "))
    problem = of(cloud).to_document()["problems"][0]
    assert (problem["kind"], problem["name"], problem["reason"]) == ("CloudPeer", "cloud-b", "PeerUnreachable")
    assert problem["remedy"]


def test_network_that_is_not_stretched_is_explained() -> None:
    federation = stretched()
    federation.clouds[0].expand("6c1b3b1e-0f51-4a3c-9c0a-5d6f0a6f6a11", "cloud-b", name="other")
    federation.settle()
    answer = networks(resources.cloud(documents(federation.clouds[0])), "", ())
    assert answer.code == ExitCode.WRONG
    assert "NetworkExpansion shop/other: NetworkNotFound (needs the tenant)" in text(answer)


def test_each_peer_of_a_network_that_is_not_ready_is_named(items: list[dict[str, Any]]) -> None:
    changed = copy.deepcopy(items)
    expansion = next(item for item in changed if item["kind"] == "NetworkExpansion")
    expansion["status"]["conditions"] = [_condition("Ready", "False", "TunnelDown", "cloud-b: its tunnel")]
    expansion["status"]["peers"] = [
        {"name": "cloud-b", "ready": False, "reason": "TunnelDown", "message": "its tunnel"},
        {"name": "cloud-c", "ready": False, "reason": "PeerCordoned", "message": "its agreement"},
    ]
    found = networks(resources.cloud(changed), "", ()).to_document()["problems"]
    assert [(each["reason"], each["message"]) for each in found] == [
        ("TunnelDown", "cloud-b: its tunnel"),
        ("PeerCordoned", "cloud-c: its agreement"),
    ]


@pytest.mark.parametrize(("type_", "wrong"), WRONG_STATUS.items())
def test_every_condition_beside_ready_is_reported_when_it_is_wrong(
    items: list[dict[str, Any]], type_: str, wrong: str
) -> None:
    kind = next(kind for kind in SHOWN if type_ in MEANINGS[kind])
    for condition_status in ("True", "False", "Unknown"):
        changed = [item for item in copy.deepcopy(items) if item["kind"] != kind]
        conditions = [_condition("Ready", "True", "Ready", ""), _condition(type_, condition_status, "Conflict", "x")]
        changed.append({"kind": kind, "metadata": {"name": "gw-cloud-a"}, "status": {"conditions": conditions}})
        found = of(resources.cloud(changed)).to_document()["problems"]
        assert [each["condition"] for each in found] == ([type_] if condition_status == wrong else [])


def test_every_condition_of_the_shown_kinds_is_judged() -> None:
    assert {type_ for kind in SHOWN for type_ in MEANINGS[kind]} == {*WRONG_STATUS, *NO_TROUBLE, ConditionType.READY}


def test_resource_without_a_status_is_reported() -> None:
    cloud = resources.cloud([{"kind": "GatewayNode", "metadata": {"name": "gw-cloud-a"}}])
    answer = of(cloud)
    assert answer.code == ExitCode.WRONG
    assert "nobody has reported on it yet" in text(answer)


def test_processes_that_do_not_run_are_reported(items: list[dict[str, Any]]) -> None:
    cloud = resources.cloud(items)
    answer = status(cloud, processes("isthmus-controller", "isthmus-agent-gw-cloud-a"), ())
    assert answer.code == ExitCode.WRONG
    assert text(answer).startswith("cloud-a: controller NOT ACTIVE,")
    assert "No controller is active: its Lease was renewed 24 h ago" in text(answer)
    assert "The agent of gw-cloud-a does not run" in text(answer)
    assert status(cloud, {}, ()).code == ExitCode.WRONG
    released = leases.leases([lease("isthmus-controller", RENEWED, holder="")], NOW)
    assert "nobody holds its Lease" in text(status(cloud, released, ()))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_799, "47 h"), (172_800, "2 d")],
)
def test_durations(seconds: int, shown: str) -> None:
    assert leases.duration(seconds) == shown


def test_what_was_not_read_is_named_and_is_not_well(items: list[dict[str, Any]]) -> None:
    answer = status(resources.cloud(items), None, (Unread("leases", "no right to list them"),))
    assert answer.code == ExitCode.NOT_READ
    assert "controller unknown" in text(answer)
    assert "not read: leases: no right to list them" in text(answer)
    assert answer.to_document()["unread"] == [{"resource": "leases", "cause": "no right to list them"}]


def test_many_problems_fit_on_a_screen(items: list[dict[str, Any]]) -> None:
    many = [copy.deepcopy(item) for item in items if item["kind"] != "Attachment"]
    original = next(item for item in many if item["kind"] == "NetworkExpansion")
    for number in range(1000):
        other = copy.deepcopy(original)
        other["metadata"]["name"] = f"web-{number}"
        other["status"]["conditions"] = [_condition("Ready", "False", list(Reason)[number % 50], "why")]
        many.append(other)
    answer = of(resources.cloud(many))
    assert len(answer.to_document()["problems"]) == 1000
    lines = text(answer).splitlines()
    assert len(lines) < 30
    assert "networks: 1 of 1001 ready; replicas of peers' networks: none" in lines
    assert "NetworkExpansion shop/web-0 and 19 more: Ready (nothing to do)" in lines
    assert lines[-1] == "and 880 more: kubectl isthmus peers, kubectl isthmus networks"


def test_reason_of_another_release_is_text_and_no_command(items: list[dict[str, Any]]) -> None:
    changed = copy.deepcopy(items)
    peer = next(item for item in changed if item["kind"] == "CloudPeer")
    peer["status"]["conditions"] = [_condition("Ready", "False", "$(reboot)", "later")]
    problem = of(resources.cloud(changed)).to_document()["problems"][0]
    assert (problem["reason"], problem["category"], problem["next"]) == ("$(reboot)", "", "kubectl isthmus version")


@given(name=HOSTILE_TEXT, message=HOSTILE_TEXT)
def test_text_of_others_moves_no_cursor(items: list[dict[str, Any]], name: str, message: str) -> None:
    changed = copy.deepcopy(items)
    for item in changed:
        item["metadata"]["name"] = f"x{name}"
        item["status"]["networkName"] = item["status"]["neutronHost"] = name
        item["status"]["conditions"] = [_condition("Ready", "False", f"R{name}", message)]
    cloud = resources.cloud(changed)
    for answer in (of(cloud), peers(cloud, ()), networks(cloud, "", ()), versions("1", "v1", cloud)):
        for line in answer.text(Style()):
            assert not MOVES_CURSOR.search(line)


@given(OF_ANY_SHAPE)
def test_documents_of_any_shape_are_read(shaped: list[dict[str, Any]]) -> None:
    cloud = resources.cloud(shaped)
    for answer in (of(cloud), peers(cloud, ()), networks(cloud, "", ()), versions("1", "v1", cloud)):
        assert answer.text(Style(colour=True, width=40))


def test_wide_characters_take_two_columns() -> None:
    assert [columns(each) for each in ("web", "网络", "e\u0301", "한", "a\u200db")] == [3, 4, 1, 2, 2]
    lines = table(("NAME", "X"), [("网络", "1"), ("web", "2")], Style())
    assert lines == ["NAME  X", "网络  1", "web   2"]
    assert shortened("网络网络网络", 8) == "网络..."
    assert [columns(line) for line in wrapped("网络" * 10 + " web", 20, "  ")] == [20, 20, 10]


def test_colour_does_not_change_the_alignment() -> None:
    coloured = table(("A", "B"), [("x", "yes")], Style(colour=True))
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in coloured] == table(("A", "B"), [("x", "yes")], Style())
    assert "\x1b" in coloured[0]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_and_documented(reason: Reason) -> None:
    answer = explain(reason.upper())
    assert answer.code == ExitCode.FINE
    assert f"### {reason}\n" in DOCUMENTATION.read_text()
    assert answer.to_document()["anchor"] == anchor(reason) == f"docs/conditions.md#{reason.lower()}"
    assert text(answer).startswith(f"{reason}: ")


def test_unknown_reason_is_a_sentence() -> None:
    with pytest.raises(UnknownReason, match=r"^there is no reason 'BFDDwn'; did you mean BFDDown\?$"):
        explain("BFDDwn")
    with pytest.raises(UnknownReason, match=r"^there is no reason 'x\[31m'$"):
        explain("x\x1b[31m")


def test_versions_show_the_protocol_as_the_controllers_agree_on_it(items: list[dict[str, Any]]) -> None:
    answer = versions("0.1.0", API_VERSION, resources.cloud(items))
    expected = agreed_version(PROTOCOL_VERSIONS, PROTOCOL_VERSIONS)
    spoken, shown = [*PROTOCOL_VERSIONS], ", ".join(map(str, PROTOCOL_VERSIONS))
    assert answer.to_document()["peers"] == [
        {"cloudID": "cloud-b", "agreed": expected, "ours": spoken, "theirs": spoken}
    ]
    assert f"cloud-b  {expected}         {shown}  {shown}" in text(answer)


def test_constants_are_those_of_the_operator() -> None:
    assert API_VERSION == "isthmus.cloud/v1alpha1"
    assert (names.SYSTEM_NAMESPACE, names.CONTROLLER) == ("isthmus-system", "isthmus-controller")
    assert names.agent_lease("gw-a1") == "isthmus-agent-gw-a1"
    assert set(readings.KINDS) < {kind.registration.plural for kind in KINDS}


def _condition(type_: str, condition_status: str, reason: str, message: str) -> dict[str, Any]:
    return {"type": type_, "status": condition_status, "reason": reason, "message": message}
