"""What `kubectl isthmus` says of what protects the traffic."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from isthmus.plugin.core import resources
from isthmus.plugin.core.diagnosis import diagnose
from isthmus.plugin.core.diagnosis.subject import Readings
from isthmus.plugin.core.peers import peers
from isthmus.plugin.core.status import status
from isthmus.plugin.core.tables import Style
from tests.fakes.anything import OF_ANY_SHAPE
from tests.fakes.faultyobjects import PATH, PEER, condition, healthy, of_kind

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
IN_FORCE = {
    "espMode": "Transport", "nat": "None", "ikeCipher": "aes256gcm16-prfsha384", "espCipher": "aes256gcm16",
    "ikeSince": "2026-01-01T07:00:00Z", "espSince": "2026-01-01T11:30:00Z",
}  # fmt: skip
FIELDS = {
    "encapsulation": "VXLAN", "keyExchange": "ecp384-ke1_mlkem768", "inForce": IN_FORCE, "carriedMTU": 1416,
}  # fmt: skip

Items = list[dict[str, Any]]


@pytest.fixture(scope="module")
def cloud_a() -> Items:
    items = healthy()
    of_kind(items, "GatewayNode")["status"]["connections"][0] |= FIELDS
    return items


@pytest.fixture
def items(cloud_a: Items) -> Items:
    return copy.deepcopy(cloud_a)


def connections(items: Items) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = of_kind(items, "GatewayNode")["status"]["connections"]
    return found


def more(items: Items, gateway: str, **changes: Any) -> None:
    """Another gateway of the peer, to which something else is in force."""
    first = connections(items)[0]
    changed = {field: value for field, value in changes.items() if field in FIELDS}
    in_force = IN_FORCE | {field: value for field, value in changes.items() if field in IN_FORCE}
    connections(items).append(first | {"gateway": gateway, "inForce": in_force} | changed)


def status_lines(items: Items) -> list[str]:
    return status(resources.cloud(items, NOW), None, ()).text(Style())


def layers(items: Items) -> dict[str, str]:
    answer = diagnose(Readings(resources.cloud(items, NOW), None, {}), PEER, ())
    (subject,) = answer.to_document()["subjects"]
    return {layer["layer"]: layer["text"] for layer in subject["layers"]}


def test_status_has_a_line_for_each_peer(items: Items) -> None:
    lines = status_lines(items)
    at = next(number for number, line in enumerate(lines) if "ESP-CIPHER" in line)
    assert lines[at : at + 2] == [
        "PEER     TUNNEL  MODE       NAT   MTU   ESP-CIPHER   KEY-EXCHANGE         IKE-AGE  ESP-AGE",
        "cloud-b  VXLAN   Transport  None  1416  aes256gcm16  ecp384-ke1_mlkem768  5 h      30 min",
    ]
    assert max(map(len, lines)) <= 100


def test_status_shows_every_value_the_greatest_age_and_the_smallest_mtu(items: Items) -> None:
    more(
        items, "gw-b2", espMode="Tunnel", nat="Remote", keyExchange="ecp384", espSince="2026-01-01T09:00:00Z",
        carriedMTU=1388,
    )  # fmt: skip
    more(items, "gw-b3", carriedMTU=None)
    line = next(line for line in status_lines(items) if "Tunnel" in line)
    assert line.split() == [
        "cloud-b", "VXLAN", "Transport,Tunnel", "None,Remote", "1388", "aes256gcm16",
        "ecp384,ecp384-ke1_mlkem768", "5", "h", "3", "h",
    ]  # fmt: skip


def test_status_of_many_peers_stays_on_one_screen(items: Items) -> None:
    node, peer = of_kind(items, "GatewayNode"), of_kind(items, "CloudPeer")
    first = node["status"]["connections"][0]
    for number in range(12):
        name = f"cloud-{number:02d}"
        items.append(peer | {"metadata": {"name": name}, "spec": peer["spec"] | {"cloudID": name}})
        node["status"]["connections"].append(first | {"cloudID": name})
    lines = status_lines(items)
    assert sum("VXLAN" in line for line in lines) == 10
    assert "and 3 more: kubectl isthmus peers" in lines


def test_peers_has_every_connection(items: Items) -> None:
    more(items, "gw-b2", nat="Both")
    answer = peers(resources.cloud(items, NOW), ())
    lines = answer.text(Style())
    at = next(number for number, line in enumerate(lines) if "IKE-CIPHER" in line)
    assert [line.split()[2] for line in lines[at + 1 : at + 3]] == ["gw-cloud-b", "gw-b2"]
    assert lines[at + 2].split() == [
        "gw-cloud-a", "cloud-b", "gw-b2", "VXLAN", "Transport", "Both", "1416", "aes256gcm16-prfsha384",
        "ecp384-ke1_mlkem768", "aes256gcm16", "5", "h", "30", "min",
    ]  # fmt: skip


def test_a_path_that_is_not_known_yet_is_a_hyphen(items: Items) -> None:
    del connections(items)[0]["carriedMTU"]
    assert next(line for line in status_lines(items) if "Transport" in line).split()[4] == "-"
    (tunnel,) = status(resources.cloud(items, NOW), None, ()).to_document()["peers"][0]["tunnels"]
    assert tunnel["carriedMTU"] is None


def test_status_says_with_whom_key_exchange_is_not_hybrid_and_why(items: Items) -> None:
    peer = of_kind(items, "CloudPeer")
    for number in range(12):
        items.append(copy.deepcopy(peer) | {"metadata": {"name": f"cloud-{number:02d}"}})
    found = [item for item in items if item["kind"] == "CloudPeer"]
    for item in found:
        condition(item, "HybridKeyExchange", "True", "HybridInForce")
    assert not any("not hybrid" in line for line in status_lines(items))
    for number, item in enumerate(found):
        status_of = "Unknown" if number == 1 else "True" if number == 2 else "False"
        condition(item, "HybridKeyExchange", status_of, "HybridNotSupported")
    lines = status_lines(items)
    at = next(number for number, line in enumerate(lines) if line.startswith("key exchange not hybrid: "))
    said = " ".join(lines[at : at + 5])
    assert said.startswith("key exchange not hybrid: cloud-b (HybridNotSupported), cloud-02 (HybridNotSupported), ")
    assert "cloud-10 (HybridNotSupported) and 1 more networks:" in said
    assert max(map(len, lines)) <= 100
    document = status(resources.cloud(items, NOW), None, ()).to_document()
    assert document["peers"][0]["hybridKeyExchange"] == {
        "status": "False", "reason": "HybridNotSupported", "message": "why",
    }  # fmt: skip
    assert document["problems"] == []


def test_json_has_times_and_no_ages(items: Items) -> None:
    cloud = resources.cloud(items, NOW)
    (connection,) = peers(cloud, ()).to_document()["connections"]
    assert {field: connection[field] for field in FIELDS} == FIELDS
    (tunnel,) = status(cloud, None, ()).to_document()["peers"][0]["tunnels"]
    assert tunnel == {"node": "gw-cloud-a", "gateway": "gw-cloud-b", **FIELDS}


def test_agent_of_an_earlier_release_reports_none_of_it() -> None:
    items = healthy()
    assert not any("ESP-CIPHER" in line for line in status_lines(items))
    assert not any("ESP-CIPHER" in line for line in peers(resources.cloud(items, NOW), ()).text(Style()))
    (connection,) = peers(resources.cloud(items, NOW), ()).to_document()["connections"]
    assert (connection["encapsulation"], connection["keyExchange"], connection["inForce"]) == ("", "", None)
    assert connection["carriedMTU"] is None
    assert layers(items)["ike"] == "IKE SAs are established"
    assert layers(items)["esp"] == "all ESP SAs are installed"


def test_diagnosis_has_it_as_evidence(items: Items) -> None:
    found = layers(items)
    assert found["ike"] == (
        "IKE SAs are established: aes256gcm16-prfsha384, ecp384-ke1_mlkem768, no NAT, at most 5 h old"
    )
    assert found["esp"] == "all ESP SAs are installed: VXLAN, transport mode, aes256gcm16, at most 30 min old"
    assert found["bfd"] == "BFD is up"


def test_connections_that_are_alike_are_one_piece_of_evidence(items: Items) -> None:
    more(items, "gw-b2", espSince="2026-01-01T09:00:00Z")
    assert layers(items)["esp"] == "all ESP SAs are installed: VXLAN, transport mode, aes256gcm16, at most 3 h old"
    more(items, "gw-b3", espMode="Tunnel", nat="Local")
    assert "; all ESP SAs are installed: VXLAN, tunnel mode" in layers(items)["esp"]
    assert "our gateway is behind NAT" in layers(items)["ike"]


@pytest.mark.parametrize(("nat", "packets"), [("None", "it is IP protocol 50"), ("Remote", "it is in UDP port 4500")])
def test_esp_that_is_lost_is_named_as_what_it_is_on_the_wire(items: Items, nat: str, packets: str) -> None:
    (connection,) = connections(items)
    connection["inForce"]["nat"] = nat
    for path in ({"esp": False}, {"esp": True, "peerReceives": False}):
        connection |= {"up": False, "bfd": "Down", "reason": "BFDDown", "message": "x", "path": PATH | path}
        assert packets in layers(items)["esp-passes"]


@given(OF_ANY_SHAPE)
def test_no_shape_of_it_hurts(found: Any) -> None:
    connection = {"cloudID": PEER, "gateway": "g", "inForce": found, "keyExchange": found, "encapsulation": found}
    node = {"kind": "GatewayNode", "metadata": {"name": "gw"}, "status": {"connections": [connection]}}
    peer = {"kind": "CloudPeer", "metadata": {"name": PEER}, "spec": {"cloudID": PEER}}
    for items in ([node, peer], [node | {"status": {"connections": [connection | {"inForce": IN_FORCE}]}}, peer]):
        assert status_lines(items)
        assert peers(resources.cloud(items, NOW), ()).text(Style())
        assert layers(items)
