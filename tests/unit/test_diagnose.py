"""`kubectl isthmus diagnose` on objects in every state: what is named, what is not blamed, what is not decided."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from isthmus.model.reasons import EXPLANATIONS, Category, Reason
from isthmus.plugin.core.answer import ExitCode
from isthmus.plugin.core.diagnosis import UnknownTarget
from isthmus.plugin.core.diagnosis.catalogue import ROWS, Code
from isthmus.plugin.core.diagnosis.layers import Layer, Whose
from isthmus.plugin.core.explain import explain
from isthmus.plugin.core.tables import Style
from tests.fakes.anything import OF_ANY_SHAPE
from tests.fakes.faultyobjects import (
    IKE_DOWN,
    KINDS,
    OF_AGREED,
    OF_HANDOVER,
    OF_PEER,
    OF_REACHABLE,
    PROCESSES,
    Items,
    condition,
    connection,
    diagnosis,
    faults,
    first_line,
    healthy,
    link,
    of_kind,
    peer,
    request,
    states,
    with_fault,
)  # fmt: skip


@pytest.fixture(scope="module")
def cloud_a() -> Items:
    return healthy()


@pytest.fixture
def items(cloud_a: Items) -> Items:
    return copy.deepcopy(cloud_a)


def test_all_is_well(items: Items) -> None:
    answer = diagnosis(items)
    assert (answer.code, faults(answer)) == (ExitCode.FINE, [])
    assert set(states(answer).values()) == {"fine"}
    assert list(states(answer)) == list(Layer)
    assert first_line(answer) == "cloud-b: all is well"
    assert diagnosis(items, None).text(Style()) == ["cloud-b: all is well"]


@pytest.mark.parametrize("code", [code for code in ROWS if code != Reason.IKE_NOT_ESTABLISHED])
def test_every_code_is_named_and_nothing_else_is_blamed(items: Items, code: str) -> None:
    answer = with_fault(items, code)
    assert faults(answer) == [code]
    assert answer.code == ExitCode.WRONG
    row = ROWS[code]
    name = "cloud-b, network web" if code == Reason.PEER_NOT_FOUND else "cloud-b"
    assert first_line(answer) == f"{name}: {code} at {row.layer} ({row.whose})"
    document = answer.to_document()["subjects"][0]["faults"][0]
    assert (document["layer"], document["remedy"]) == (row.layer, row.remedy)
    assert states(answer)[row.layer] == "fault"
    assert "undecided" not in states(answer).values()
    json.dumps(answer.to_document())


def test_agent_of_an_earlier_release_reports_no_path(items: Items) -> None:
    connection(items, Reason.IKE_NOT_ESTABLISHED, {}, **IKE_DOWN)
    del of_kind(items, "GatewayNode")["status"]["connections"][0]["path"]
    assert faults(diagnosis(items)) == [Reason.IKE_NOT_ESTABLISHED]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Reason.PEER_UNREACHABLE, Code.ESP_NOT_RECEIVED),
        (Reason.PEER_FORBIDDEN, Code.PEER_GATEWAY_UNREACHABLE),
        (Reason.KUBECONFIG_NOT_FOUND, Reason.AUTHENTICATION_FAILED),
        (Reason.BFD_DOWN, Code.OPENSTACK_UNAVAILABLE),
        (Reason.PEER_UNREACHABLE, Code.LONG_FRAMES_LOST),
        (Reason.CHARON_UNAVAILABLE, Reason.PEER_UNREACHABLE),
        (Reason.PARTLY_UNDERSTOOD, Reason.BFD_DOWN),
    ],
)
def test_two_independent_faults_are_both_found(items: Items, first: str, second: str) -> None:
    with_fault(items, first)
    answer = with_fault(items, second)
    assert faults(answer) == [first, second]
    assert first_line(answer).startswith(f"cloud-b: {first} at {ROWS[first].layer} (")
    assert f"; {second} at {ROWS[second].layer} (" in first_line(answer)


def test_stopped_controller_hides_no_fault_that_an_agent_reports(items: Items) -> None:
    with_fault(items, Code.ESP_NOT_RECEIVED)
    assert faults(with_fault(items, Code.CONTROLLER_NOT_ACTIVE)) == [Code.CONTROLLER_NOT_ACTIVE, Code.ESP_NOT_RECEIVED]


def test_peer_that_refuses_one_network_hides_no_fault_of_another(items: Items) -> None:
    refused = copy.deepcopy(of_kind(items, "NetworkExpansion"))
    refused["metadata"]["name"] = "refused"
    refused["status"]["peers"][0] |= {"ready": False, "reason": Reason.REFUSED, "message": "no"}
    link(items, Reason.PROBE_UNANSWERED)
    assert faults(diagnosis([*items, refused])) == [Reason.REFUSED, Reason.PROBE_UNANSWERED]


def test_of_two_gateways_one_is_named(items: Items) -> None:
    """The second one works: nothing that needs the first is blamed, and nothing of the second is hidden."""
    connections = of_kind(items, "GatewayNode")["status"]["connections"]
    connections.append(connections[0] | {"gateway": "gw-2", "address": "192.0.3.12"})
    connections[0] |= {"up": False, "reason": "BFDDown", **IKE_DOWN, "path": {"ike": False, "ping": False}}
    answer = diagnosis(items)
    assert faults(answer) == [Code.PEER_GATEWAY_UNREACHABLE]
    assert "gw-cloud-a to gw-cloud-b (192.0.3.11)" in "\n".join(answer.text(Style()))
    assert states(answer)["bfd"] == "fine"


@pytest.mark.parametrize("path", [{"ike": None}, {"ike": False, "ping": None}])
def test_nobody_is_blamed_before_it_is_known(items: Items, path: dict[str, Any]) -> None:
    connection(items, Reason.IKE_NOT_ESTABLISHED, {"esp": None} | path, **IKE_DOWN)
    answer = diagnosis(items)
    assert (faults(answer), answer.code) == ([], ExitCode.WRONG)
    assert first_line(answer).startswith("cloud-b: not decided yet at underlay: ")


def test_work_in_progress_is_no_fault(items: Items) -> None:
    request(items, Reason.ATTACHING)
    answer = diagnosis(items)
    assert (faults(answer), answer.code) == ([], ExitCode.WRONG)
    assert first_line(answer).startswith("cloud-b: not decided yet at port: network shop/web")


def test_what_the_path_carries_is_said(items: Items) -> None:
    connection = of_kind(items, "GatewayNode")["status"]["connections"][0]
    for carried, text in ((1416, ", and up to 1416 bytes cross whole"), (None, "")):
        connection["carriedMTU"] = carried
        layers = diagnosis(items).to_document()["subjects"][0]["layers"]
        (found,) = (layer for layer in layers if layer["layer"] == "mtu")
        assert found["text"] == f"frames of 1416 bytes come back{text}"


def test_what_a_stopped_process_reported_is_not_judged(items: Items) -> None:
    connection(items, Reason.BFD_DOWN, {"ike": True, "esp": True}, bfd="Down")
    peer(items, "Reachable", "False", Reason.PEER_UNREACHABLE)
    answer = diagnosis(items, processes=())
    assert faults(answer) == [Code.CONTROLLER_NOT_ACTIVE, Code.AGENT_NOT_RUNNING]
    assert set(states(answer).values()) == {"fault", "notLookedAt"}


def test_without_networks_or_peers(items: Items) -> None:
    alone = [item for item in items if item["kind"] not in ("NetworkExpansion", "Attachment")]
    of_kind(alone, "GatewayNode")["status"]["connections"][0]["path"]["fullSize"] = None
    answer = diagnosis(alone)
    assert (answer.code, first_line(answer)) == (ExitCode.FINE, "cloud-b: all is well")
    assert states(answer)["echo"] == states(answer)["port"] == "nothing"
    alone = [item for item in alone if item["kind"] == "GatewayNode"]
    line, *steps = diagnosis(alone, None).text(Style())
    assert line == "the installation: all is well"
    assert steps[0].startswith("There is no peer, and so no path to one to diagnose.")
    assert "kubectl isthmus invite CLOUD --server URL" in steps[1]
    assert diagnosis(alone, None).code is ExitCode.FINE
    unread = diagnosis(alone, None, unread={"cloudpeers": "no right to list them"})
    assert "There is no peer" not in "\n".join(unread.text(Style()))


def test_faults_come_before_the_first_peer(items: Items) -> None:
    alone = [item for item in items if item["kind"] == "GatewayNode"]
    answer = diagnosis(alone, None, ())
    assert faults(answer) == [Code.CONTROLLER_NOT_ACTIVE, Code.AGENT_NOT_RUNNING]
    assert first_line(answer).startswith("the installation: ControllerNotActive at installation")
    assert "There is no peer" not in "\n".join(answer.text(Style()))


@pytest.mark.parametrize("name", ["web", "shop/web", "face0000-0000-0000-0000-000000000004"])
def test_one_network(items: Items, name: str) -> None:
    other = copy.deepcopy([of_kind(items, "NetworkExpansion"), of_kind(items, "Attachment")])
    link(items, Reason.PROBE_UNANSWERED)
    for item in other:
        item["metadata"]["name"] = "other"
        item["spec"] = json.loads(json.dumps(item["spec"]).replace("000000000004", "000000000009"))
        item["status"].pop("networkName", None)
    answer = diagnosis([*items, *other], name)
    assert first_line(answer) == f"cloud-b, network {name}: ProbeUnanswered at echo (the peer)"
    assert diagnosis([*items, *other], "other").code == ExitCode.FINE
    with pytest.raises(UnknownTarget, match=r"^there is no peer and no stretched network 'nope\[31m' among"):
        diagnosis(items, "nope\x1b[31m")


@pytest.mark.parametrize("plural", [*KINDS, "leases"])
def test_what_may_not_be_read_is_not_looked_at(items: Items, plural: str) -> None:
    kind = {"gatewaynodes": "GatewayNode", "cloudpeers": "CloudPeer", "networkexpansions": "NetworkExpansion"}
    left = [item for item in items if item["kind"] != kind.get(plural, plural.capitalize().removesuffix("s"))]
    cause = f"no right to list {plural} at the cluster scope"
    answer = diagnosis(left, None, unread={plural: cause})
    assert faults(answer) == []
    assert answer.text(Style())[-1] == f"not read: {plural}: {cause}"
    if plural != "peerlinks":
        assert answer.code == ExitCode.NOT_READ
        assert first_line(answer) == "cloud-b: nothing is wrong with what could be read"
        assert any(f"not looked at: {cause}" in line for line in answer.text(Style(width=200)))


def test_tenant_sees_the_own_network(items: Items) -> None:
    gaps = dict.fromkeys((*KINDS, "leases"), "no right")
    del gaps["networkexpansions"]
    request(items, Reason.NETWORK_DISABLED)
    answer = diagnosis([of_kind(items, "NetworkExpansion")], "web", unread=gaps)
    assert first_line(answer) == "cloud-b, network web: NetworkDisabled at port (Neutron)"
    assert answer.code == ExitCode.WRONG


def test_fault_of_the_installation_is_explained_once(items: Items) -> None:
    for number in range(50):
        other = copy.deepcopy(of_kind(items, "CloudPeer"))
        other["metadata"]["name"] = other["spec"]["cloudID"] = f"cloud-{number}"
        items.append(other)
    lines = diagnosis(items, None, PROCESSES[1:]).text(Style())
    assert sum("Lease isthmus-controller" in line for line in lines) == 1
    assert sum("ControllerNotActive at installation (us)" in line for line in lines) == 51


def test_table_is_complete() -> None:
    """Every reason that needs somebody to act and can be seen here has a row; every row says what to do."""
    placed = OF_REACHABLE | OF_HANDOVER | OF_PEER | OF_AGREED | {Reason(c) for c in ROWS if c in set(map(str, Reason))}
    acting = {Category.ADMINISTRATOR, Category.TENANT, Category.TERMINAL}
    missing = {reason for reason, found in EXPLANATIONS.items() if found.category in acting} - placed
    assert missing == NO_FAULT_OF_A_PATH
    for row in ROWS.values():
        assert row.symptom
        assert row.remedy, row.code
        assert isinstance(row.whose, Whose)


NO_FAULT_OF_A_PATH = {
    # They concern details of a network while traffic passes, or a fence beside the one that is in force.
    Reason.DETAILS_OMITTED, Reason.ROUTER_IS_DISTRIBUTED, Reason.POLICY_ON_NETWORK, Reason.ADDRESS_OUTSIDE_SLICE,
    Reason.NO_ADDRESSES_LEFT, Reason.SLICE_DOES_NOT_GROW, Reason.PEER_TOO_OLD, Reason.SLICE_TOO_SMALL,
    Reason.NOT_SHAREABLE,
    Reason.PORTS_COLLIDE, Reason.TOO_MANY_ADDRESSES, Reason.TOO_MANY_REMOTE_PORTS, Reason.REMOTE_PORTS_OFF,
    Reason.PORTS_NOT_PASSED_ON,
    Reason.RULES_NOT_CARRIED, Reason.GROUP_EXISTS,
    Reason.IPV6_NEEDS_ORIGIN,
    Reason.PORTS_LEFT, Reason.PROJECT_NOT_EMPTY, Reason.PROJECT_KEPT, Reason.STATUS_TRUNCATED,
    Reason.NFTABLES_UNSUPPORTED, Reason.NFTABLES_RULESET_DIFFERS, Reason.CERTIFICATE_EXPIRING,
    Reason.CERTIFICATE_EXPIRED,
    # They say why the fallback is in use.
    Reason.HYBRID_NOT_OFFERED, Reason.HYBRID_NOT_OFFERED_BY_PEER, Reason.HYBRID_NOT_TAKEN,
    # Of an ExpansionApproval: there is no network yet.
    Reason.NOT_OFFERED,
    # Of external systems: named with the node or with OpenStack.
    Reason.FORBIDDEN, Reason.INVALID,
}  # fmt: skip


@pytest.mark.parametrize("code", Code)
def test_every_own_code_is_explained_and_documented(code: Code) -> None:
    assert explain(code.upper()).code == ExitCode.FINE
    page = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text()
    assert f"### {code}\n" in page


@given(OF_ANY_SHAPE)
def test_documents_of_any_shape_are_read(shaped: list[dict[str, Any]]) -> None:
    for line in diagnosis(shaped, None).text(Style(colour=True, width=40)):
        assert not re.search("[\x00-\x1a\x1c-\x1f\x7f-\x9f]", line)


def test_peer_without_a_gateway_for_one_network(items: Items) -> None:
    request(items, Reason.PEER_HAS_NO_GATEWAY)
    of_kind(items, "Attachment")["spec"]["links"] = []
    assert first_line(diagnosis(items)) == "cloud-b: PeerHasNoGateway at underlay (the peer)"


def test_network_that_no_node_of_ours_carries_blames_the_node_alone(items: Items) -> None:
    del of_kind(items, "Attachment")["spec"]["activeNode"]
    request(items, Reason.NO_GATEWAY_NODE)
    condition(of_kind(items, "GatewayNode"), "Ready", "False", Reason.NO_TUNNEL_ADDRESS)
    answer = diagnosis(items)
    assert faults(answer) == [Reason.NO_TUNNEL_ADDRESS]
    assert states(answer)["echo"] == "notLookedAt"


def test_port_that_open_vswitch_lacks_is_no_second_fault(items: Items) -> None:
    of_kind(items, "Attachment")["status"]["nodes"][0]["plugged"] = False
    request(items, Reason.NO_GATEWAY_NODE)
    condition(of_kind(items, "GatewayNode"), "Ready", "False", Reason.UNAVAILABLE)
    assert first_line(diagnosis(items)) == "cloud-b: GatewayNodeUnavailable at installation (us)"
