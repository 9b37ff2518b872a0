"""`kubectl isthmus diagnose` on clouds that are not finished, on objects of another release, and on hostile text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from isthmus.model.reasons import Reason
from isthmus.plugin.core.answer import ExitCode
from isthmus.plugin.core.diagnosis import UnknownTarget
from isthmus.plugin.core.tables import Style
from tests.fakes.anything import MOVES_CURSOR
from tests.fakes.faultyobjects import (
    KINDS,
    Items,
    condition,
    diagnosis,
    faults,
    first_line,
    healthy,
    of_kind,
    peer,
    request,
    states,
)
from tests.fakes.federation import FakeCloud, FakeFederation
from tests.fakes.kubectl import documents

HOSTILE = "x\x1b[2J\r\n\u202efine\u2028\x9b31m\x00"
CHOSEN = {"address", "cloudID", "gateway", "message", "networkID", "networkName", "reason"}
"""Strings that a peer, a tenant or another system chooses, and others that only look so."""


@pytest.fixture
def items() -> Items:
    return healthy()


def invite(a: FakeCloud, b: FakeCloud) -> None:
    a.agree(b, agreement={"state": "Invited"})


def add_own(a: FakeCloud, _: FakeCloud) -> None:
    a.agree(a)


def add_twice(a: FakeCloud, b: FakeCloud) -> None:
    a.agree(b)
    again = a.cloud_peer(b)
    a.kubectl.apply(again.model_copy(update={"metadata": again.metadata.model_copy(update={"name": "second"})}))


def add_overlapping(a: FakeCloud, b: FakeCloud) -> None:
    a.agree(b, gatewayCIDRs=[a.gateway_cidr])


@pytest.mark.parametrize(
    ("change", "name", "code"),
    [
        (add_own, "cloud-a", Reason.OWN_CLOUD_ID),
        (add_twice, "second", Reason.DUPLICATE_CLOUD_ID),
        (add_overlapping, "cloud-b", Reason.GATEWAY_CIDRS_OVERLAP),
    ],
)
def test_invalid_peer_is_named_although_its_api_was_never_read(
    change: Callable[[FakeCloud, FakeCloud], None], name: str, code: str
) -> None:
    """The statuses are the controller's: it reports nothing else of such a CloudPeer."""
    federation = FakeFederation()
    change(*federation.clouds)
    federation.settle()
    answer = diagnosis(documents(federation.clouds[0]), name)
    assert first_line(answer) == f"{name}: {code} at agreement (us)"
    assert states(answer)["reach"] == states(answer)["underlay"] == "notLookedAt"


def test_name_of_a_peer_is_not_taken_for_the_cloud_id_of_another() -> None:
    federation = FakeFederation()
    add_twice(*federation.clouds)
    federation.settle()
    assert first_line(diagnosis(documents(federation.clouds[0]))).startswith("cloud-b: ")


def test_invited_peer_is_waited_for() -> None:
    federation = FakeFederation()
    invite(*federation.clouds)
    federation.settle()
    answer = diagnosis(documents(federation.clouds[0]))
    assert (answer.code, faults(answer)) == (ExitCode.WRONG, [])
    expected = "cloud-b: not decided yet at agreement: the peer's answer has not been accepted"
    assert first_line(answer).startswith(expected)


def test_peer_that_is_being_deleted_is_waited_for(items: Items) -> None:
    of_kind(items, "CloudPeer")["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    peer(items, "Ready", "False", Reason.WITHDRAWING, "withdrawing the agreement")
    answer = diagnosis(items)
    assert first_line(answer) == "cloud-b: not decided yet at agreement: withdrawing the agreement"


def test_peer_of_which_nothing_was_reported_yet(items: Items) -> None:
    of_kind(items, "CloudPeer")["status"] = {}
    answer = diagnosis(items)
    assert (answer.code, faults(answer)) == (ExitCode.WRONG, [])
    assert first_line(answer).startswith("cloud-b: not decided yet at reach: ")


@pytest.mark.parametrize("name", ["web", "cloud-b"])
def test_network_of_which_nothing_was_reported_yet(items: Items, name: str) -> None:
    of_kind(items, "NetworkExpansion")["status"] = {}
    waiting = [item for item in items if item["kind"] != "Attachment"]
    answer = diagnosis(waiting, name)
    assert (answer.code, faults(answer)) == (ExitCode.WRONG, [])
    assert "not decided yet at port: network shop/web: nothing has been reported of it yet" in first_line(answer)


def test_reason_of_another_release_is_not_well(items: Items) -> None:
    request(items, "FutureReason")
    answer = diagnosis(items)
    assert (answer.code, faults(answer)) == (ExitCode.WRONG, [])
    text = "network shop/web is not ready: FutureReason: message of FutureReason"
    assert first_line(answer) == f"cloud-b: not decided yet at port: {text}"
    peer(items, "Ready", "False", "OtherReason", "something else")
    text = "CloudPeer cloud-b is not ready: OtherReason: something else"
    assert first_line(diagnosis(items)) == f"cloud-b: not decided yet at agreement: {text}"


def test_tenant_whose_tunnel_is_down_is_not_told_that_all_is_well(items: Items) -> None:
    """The layer that the reason belongs to cannot be read."""
    gaps = dict.fromkeys((*KINDS, "leases"), "no right")
    del gaps["networkexpansions"]
    request(items, Reason.BFD_DOWN)
    answer = diagnosis([of_kind(items, "NetworkExpansion")], "web", unread=gaps)
    assert answer.code == ExitCode.WRONG
    text = "network shop/web is not ready: BFDDown: message of BFDDown"
    assert first_line(answer) == f"cloud-b, network web: not decided yet at port: {text}"


@pytest.mark.parametrize("name", ["", " ", "nope", "web\x00", "../web", "-"])
def test_unknown_names(items: Items, name: str) -> None:
    of_kind(items, "NetworkExpansion")["status"].pop("networkName", None)  # reads as empty
    with pytest.raises(UnknownTarget) as error:
        diagnosis(items, name)
    assert not MOVES_CURSOR.search(str(error.value))


def test_text_that_others_choose_cannot_write_a_line(items: Items) -> None:
    for type_ in ("Reachable", "Agreed", "OpenStackAvailable", "CredentialsHandedOver"):
        peer(items, type_, "False", HOSTILE, HOSTILE)
    condition(of_kind(items, "GatewayNode"), "Degraded", "True", "Unavailable", HOSTILE)
    request(items, HOSTILE)
    for answer in (diagnosis(_spoilt(items), None), diagnosis(_spoilt(items), "web")):
        lines = answer.text(Style(width=80))
        assert not [line for line in lines if MOVES_CURSOR.search(line)]
        assert not [line for line in lines if line.startswith("fine")]
        assert json.dumps(answer.to_document()).isascii()
        assert not MOVES_CURSOR.search("".join(_strings(answer.to_document())))


def _spoilt(value: Any, key: str = "") -> Any:
    """The value with hostile text after every string that somebody else chooses."""
    if isinstance(value, dict):
        return {each: _spoilt(inner, each) for each, inner in value.items()}
    if isinstance(value, list):
        return [_spoilt(inner, key) for inner in value]
    return value + HOSTILE if isinstance(value, str) and key in CHOSEN else value


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _strings(inner)]
    return [value] if isinstance(value, str) else []
