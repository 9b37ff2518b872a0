"""`kubectl isthmus diagnose` on objects in every state: what is named, what is not blamed, what is not decided."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.reasons import EXPLANATIONS, Category, Reason
from isthmus.plugin.core import leases, resources
from isthmus.plugin.core.answer import Answer, ExitCode, Unread
from isthmus.plugin.core.diagnosis import UnknownTarget, diagnose
from isthmus.plugin.core.diagnosis.catalogue import ROWS, Code
from isthmus.plugin.core.diagnosis.layers import Layer, Whose
from isthmus.plugin.core.diagnosis.subject import Readings
from isthmus.plugin.core.explain import explain
from isthmus.plugin.core.tables import Style
from tests.fakes.kubectl import documents, lease, stretched

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RENEWED = "2026-01-01T11:59:58Z"
NODE, PEER = "gw-cloud-a", "cloud-b"
PATH = {"ike": True, "esp": True, "peerReceives": True, "mtu": 1416, "fullSize": True}
PROCESSES = ("isthmus-controller", f"isthmus-agent-{NODE}")
KINDS = ("gatewaynodes", "cloudpeers", "peerlinks", "networkexpansions", "attachments")
Items = list[dict[str, Any]]


@pytest.fixture(scope="module")
def healthy() -> Items:
    items = documents(stretched().clouds[0])
    of_kind(items, "GatewayNode")["status"]["connections"][0]["path"] = PATH
    return items


@pytest.fixture
def items(healthy: Items) -> Items:
    return copy.deepcopy(healthy)


def of_kind(items: Items, kind: str) -> dict[str, Any]:
    return next(item for item in items if item["kind"] == kind)


def diagnosis(
    items: Items,
    name: str | None = PEER,
    processes: tuple[str, ...] = PROCESSES,
    unread: dict[str, str] | None = None,
) -> Answer:
    found = leases.leases([lease(process, RENEWED) for process in processes], NOW)
    cloud = resources.cloud(items)
    gaps = unread or {}
    readings = Readings(cloud, None if "leases" in gaps else found, gaps)
    return diagnose(readings, name, [Unread(*gap) for gap in gaps.items()])


def faults(answer: Answer) -> list[str]:
    return [fault["code"] for subject in answer.to_document()["subjects"] for fault in subject["faults"]]


def states(answer: Answer) -> dict[str, str]:
    (subject,) = answer.to_document()["subjects"]
    return {layer["layer"]: layer["state"] for layer in subject["layers"]}


def first_line(answer: Answer) -> str:
    return answer.text(Style())[0]


def condition(item: dict[str, Any], type_: str, status: str, reason: str, message: str = "why") -> None:
    conditions = item["status"]["conditions"]
    conditions[:] = [each for each in conditions if each["type"] != type_]
    conditions.append({"type": type_, "status": status, "reason": reason, "message": message})


def connection(items: Items, reason: str, path: dict[str, Any] | None = None, **layers: str) -> None:
    """The only connection is down."""
    entry = of_kind(items, "GatewayNode")["status"]["connections"][0]
    entry |= {"up": False, "reason": reason, "message": f"message of {reason}", **layers}
    entry["path"] = PATH | {"fullSize": None} if path is None else path
    link(items, "ProbeUnanswered")


def link(items: Items, reason: str) -> None:
    observed = of_kind(items, "Attachment")["status"]["nodes"][0]["links"][0]
    observed |= {"up": False, "reason": reason, "message": f"message of {reason}"}
    request(items, reason)


def request(items: Items, reason: str) -> None:
    entry = of_kind(items, "NetworkExpansion")["status"]["peers"][0]
    entry |= {"ready": False, "reason": reason, "message": f"message of {reason}"}
    condition(of_kind(items, "Attachment"), "Ready", "False", reason)


def peer(items: Items, type_: str, status: str, reason: str, message: str = "why") -> None:
    condition(of_kind(items, "CloudPeer"), type_, status, reason, message)


def node(items: Items, type_: str, status: str, reason: str, message: str = "why") -> None:
    condition(of_kind(items, "GatewayNode"), type_, status, reason, message)


def without_gateway(items: Items) -> None:
    of_kind(items, "GatewayNode")["status"]["connections"] = []
    of_kind(items, "CloudPeer")["status"]["gateways"] = []
    link(items, Reason.NO_TUNNEL)


IKE_DOWN = {"ike": "Connecting", "esp": "Missing", "bfd": "Down"}
CHANGES: dict[str, Callable[[Items], None]] = {
    Reason.NO_GATEWAY_NODE: lambda items: items.remove(of_kind(items, "GatewayNode")),
    Reason.NO_TUNNEL_ADDRESS: lambda items: node(items, "Ready", "False", Reason.NO_TUNNEL_ADDRESS),
    Reason.CHARON_UNAVAILABLE: lambda items: node(items, "Degraded", "True", Reason.CHARON_UNAVAILABLE),
    Reason.MISSING_CAPABILITY: lambda items: node(items, "Degraded", "True", Reason.MISSING_CAPABILITY),
    Code.GATEWAY_NODE_UNAVAILABLE: lambda items: node(items, "Degraded", "True", Reason.UNAVAILABLE, "Open vSwitch"),
    Code.PEER_CERTIFICATE_NOT_TRUSTED: lambda items: peer(
        items, "Reachable", "False", Reason.PEER_UNREACHABLE, "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"
    ),
    Reason.CREDENTIAL_EXPIRED: lambda items: peer(items, "CredentialExpiring", "True", Reason.CREDENTIAL_EXPIRED),
    Reason.CREDENTIAL_EXPIRING: lambda items: peer(items, "CredentialExpiring", "True", Reason.CREDENTIAL_EXPIRING),
    Reason.PARTLY_UNDERSTOOD: lambda items: peer(items, "Understood", "False", Reason.PARTLY_UNDERSTOOD),
    Reason.PEER_HAS_NO_GATEWAY: without_gateway,
    Code.PEER_GATEWAY_UNREACHABLE: lambda items: connection(
        items, Reason.IKE_NOT_ESTABLISHED, {"ike": False, "ping": False}, **IKE_DOWN
    ),
    Reason.KEY_NOT_FOUND: lambda items: connection(items, Reason.KEY_NOT_FOUND, {}, **IKE_DOWN),
    Reason.INVALID_KEY: lambda items: connection(items, Reason.INVALID_KEY, {}, **IKE_DOWN),
    Reason.AUTHENTICATION_FAILED: lambda items: connection(items, Reason.AUTHENTICATION_FAILED, {}, **IKE_DOWN),
    Code.IKE_NOT_RECEIVED: lambda items: connection(
        items, Reason.IKE_NOT_ESTABLISHED, {"ike": False, "ping": True}, **IKE_DOWN
    ),
    Code.IKE_NOT_COMPLETED: lambda items: connection(items, Reason.IKE_NOT_ESTABLISHED, {"ike": True}, **IKE_DOWN),
    Reason.SAS_MISSING_IN_KERNEL: lambda items: connection(items, Reason.SAS_MISSING_IN_KERNEL, bfd="Down"),
    Reason.SELECTORS_NARROWED: lambda items: connection(items, Reason.SELECTORS_NARROWED, esp="Missing", bfd="Down"),
    Reason.ESP_NOT_INSTALLED: lambda items: connection(items, Reason.ESP_NOT_INSTALLED, esp="Missing", bfd="Down"),
    Code.ESP_NOT_RECEIVED: lambda items: connection(items, Reason.BFD_DOWN, {"ike": True, "esp": False}, bfd="Down"),
    Code.ESP_NOT_RECEIVED_BY_PEER: lambda items: connection(
        items, Reason.BFD_DOWN, {"ike": True, "esp": True, "peerReceives": False}, bfd="Down"
    ),
    Reason.TUNNEL_PORT_IN_USE: lambda items: connection(items, Reason.TUNNEL_PORT_IN_USE, bfd="Down"),
    Reason.TUNNEL_PORT_FAILED: lambda items: connection(items, Reason.TUNNEL_PORT_FAILED, bfd="Unknown"),
    Reason.NO_TUNNEL: lambda items: connection(items, Reason.NO_TUNNEL, bfd="Unknown"),
    Reason.BFD_DOWN: lambda items: connection(items, Reason.BFD_DOWN, {"ike": True, "esp": True}, bfd="Down"),
    Reason.PROBE_UNANSWERED: lambda items: link(items, Reason.PROBE_UNANSWERED),
    Reason.FLOWS_REJECTED: lambda items: link(items, Reason.FLOWS_REJECTED),
    Code.OPENSTACK_UNAVAILABLE: lambda items: peer(items, "OpenStackAvailable", "False", Reason.UNAVAILABLE),
    Code.LONG_FRAMES_LOST: lambda items: of_kind(items, "GatewayNode")["status"]["connections"][0]["path"].update(
        fullSize=False
    ),
}
OF_REACHABLE = {
    Reason.PEER_UNREACHABLE, Reason.PEER_NOT_PUBLISHING, Reason.INVALID_ANSWER, Reason.KUBECONFIG_NOT_FOUND,
    Reason.INVALID_KUBECONFIG, Reason.PEER_FORBIDDEN,
}  # fmt: skip
OF_HANDOVER = {Reason.NOT_HANDED_OVER, Reason.HANDOVER_EXPIRED, Reason.ACCOUNT_RECREATED}
OF_PEER = {
    Reason.OWN_CLOUD_ID, Reason.DUPLICATE_CLOUD_ID, Reason.GATEWAY_CIDRS_OVERLAP, Reason.NAMESPACE_NOT_MANAGED,
    Reason.NAMESPACE_TERMINATING, Reason.POLICY_NOT_FOUND, Reason.NOT_UNDERSTOOD,
}  # fmt: skip
OF_AGREED = {
    Reason.WAITING_FOR_PEER, Reason.INVALID_PEER_LINK, Reason.WRONG_CLOUD_ID, Reason.GATEWAY_REFUSED,
    Reason.PROTOCOL_VERSIONS_DIFFER, Reason.TUNNEL_PORTS_DIFFER, Reason.TUNNEL_ID_RANGES_DIFFER,
    Reason.NO_COMMON_PROPOSAL,
}  # fmt: skip
OF_PROCESSES = {Code.CONTROLLER_NOT_ACTIVE, Code.AGENT_NOT_RUNNING}


def with_fault(items: Items, code: str) -> Answer:
    """The diagnosis of a cloud that has this fault."""
    processes: tuple[str, ...] = PROCESSES
    if code in OF_PROCESSES:
        processes = tuple(p for p in PROCESSES if ("controller" in p) != (code == Code.CONTROLLER_NOT_ACTIVE))
    elif code in CHANGES:
        CHANGES[code](items)
    elif code in OF_REACHABLE:
        peer(items, "Reachable", "False", code)
    elif code in OF_HANDOVER:
        peer(items, "CredentialsHandedOver", "False", code)
    elif code in OF_PEER:
        peer(items, "Ready", "False", code)
    elif code in OF_AGREED:
        peer(items, "Agreed", "False", code)
        peer(items, "Ready", "False", code)
        connection(items, code, {}, **IKE_DOWN)
    elif code == Code.NOT_PLUGGED:
        of_kind(items, "Attachment")["status"]["nodes"][0]["plugged"] = False
        request(items, Reason.WAITING_FOR_AGENT)
    elif code == Reason.PEER_NOT_FOUND:
        items.remove(of_kind(items, "CloudPeer"))
        request(items, code)
        return diagnosis(items, "web")
    else:
        request(items, code)
    return diagnosis(items, processes=processes)


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
    ],
)
def test_two_independent_faults_are_both_found(items: Items, first: str, second: str) -> None:
    with_fault(items, first)
    answer = with_fault(items, second)
    assert faults(answer) == [first, second]
    assert first_line(answer).startswith(f"cloud-b: {first} at {ROWS[first].layer} (")
    assert f"; {second} at {ROWS[second].layer} (" in first_line(answer)


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
    assert diagnosis(alone, None).text(Style()) == ["this cloud: all is well"]
    assert faults(diagnosis(alone, None, ())) == [Code.CONTROLLER_NOT_ACTIVE, Code.AGENT_NOT_RUNNING]


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
    Reason.PORTS_LEFT, Reason.PROJECT_NOT_EMPTY, Reason.PROJECT_KEPT, Reason.STATUS_TRUNCATED,
    Reason.NFTABLES_UNSUPPORTED, Reason.NFTABLES_RULESET_DIFFERS,
    # Of external systems: named with the node or with OpenStack.
    Reason.FORBIDDEN, Reason.INVALID,
}  # fmt: skip


@pytest.mark.parametrize("code", Code)
def test_every_own_code_is_explained_and_documented(code: Code) -> None:
    assert explain(code.upper()).code == ExitCode.FINE
    page = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text()
    assert f"### {code}\n" in page


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["kind", "metadata", "spec", "status", "conditions", "connections", "peers", "links"]),
                inner,
            )
        ),
    )
)
def test_documents_of_any_shape_are_read(document: Any) -> None:
    parts = dict.fromkeys(("metadata", "spec", "status"), document)
    shaped = [{"kind": kind, **parts} for kind in ("GatewayNode", "CloudPeer", "NetworkExpansion", "Attachment")]
    for line in diagnosis(shaped, None).text(Style(colour=True, width=40)):
        assert not re.search("[\x00-\x1a\x1c-\x1f\x7f-\x9f]", line)
