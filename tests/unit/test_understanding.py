"""What this version does not know is left out, field by field; it never makes a peer's object malformed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.api.v1alpha1.expansionlink import MAX_PORTS_PER_LINK, ExpansionLinkSpec
from isthmus.model.api.v1alpha1.peerlink import PeerLinkSpec
from isthmus.model.facts.tolerance import understand

ID = "6c1b3b1e-0f51-4a3c-9c0a-5d6f0a6f6a11"
OTHER = "7c1b3b1e-0f51-4a3c-9c0a-5d6f0a6f6a11"
MAC = "fa:16:3e:12:34:56"
SUBNET = {"id": ID, "cidr": "10.20.0.0/24", "first": "10.20.0.192", "last": "10.20.0.254"}
NEWER_SUBNET = {"id": OTHER, "prefixes": ["10.21.0.0/24"], "first": "10.21.0.192", "last": "10.21.0.254"}


def peer_link(**spec: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "cloudID": "cloud-a",
        "peerCloudID": "cloud-b",
        "gateways": [{"name": "gw", "address": "192.0.2.11"}],
        "tunnel": {"port": 14789, "idRange": {"first": 1, "last": 9}},
        "ipsec": {"ikeProposals": ["aes256gcm16-prfsha384-ecp384"], "espProposals": ["aes256gcm16-ecp384"]},
    }
    return known | spec


def link(**spec: Any) -> dict[str, Any]:
    known = {"cloudID": "cloud-a", "peerCloudID": "cloud-b", "origin": {"cloudID": "cloud-a", "networkID": ID}}
    return known | {"mtu": 1416} | spec


def offer(**fields: Any) -> dict[str, Any]:
    return link(offer={"tunnelID": 5, "project": {"id": "p", "name": "shop"}, "subnets": [SUBNET]} | fields)


def answer(**fields: Any) -> dict[str, Any]:
    return link(answer={"uid": "u", "generation": 1, "verdict": "Accepted"} | fields)


@pytest.mark.parametrize(
    ("newer", "older", "fields"),
    [
        (peer_link(state="Drained"), peer_link(state="Cordoned"), ["state"]),
        (peer_link(protocolVersions=["2.1", 1]), peer_link(protocolVersions=[1]), ["protocolVersions[]"]),
        (peer_link(protocolVersions={"min": 1}), peer_link(), ["protocolVersions"]),
        (
            peer_link(
                gateways=[{"name": "named", "address": "gw.example.org"}, {"name": "gw", "address": "192.0.2.11"}]
            ),
            peer_link(),
            ["gateways[]"],
        ),
        (
            peer_link(gateways=[{"name": f"gw{n}", "address": f"192.0.2.{n}"} for n in range(20)]),
            peer_link(gateways=[{"name": f"gw{n}", "address": f"192.0.2.{n}"} for n in range(16)]),
            ["gateways"],
        ),
        (
            peer_link(ipsec={"ikeProposals": ["a+b", "c"], "espProposals": [{"aead": "d"}, "e"]}),
            peer_link(ipsec={"ikeProposals": ["c"], "espProposals": ["e"]}),
            ["ipsec.espProposals[]", "ipsec.ikeProposals[]"],
        ),
        (peer_link(features={"relay": True}), peer_link(), []),
    ],
)
def test_peer_link_of_a_newer_cloud(newer: dict[str, Any], older: dict[str, Any], fields: list[str]) -> None:
    understood = understand(PeerLinkSpec, newer)
    assert understood.spec == PeerLinkSpec.model_validate(older)
    assert list(understood.left_out) == fields


PORT = {"id": ID, "mac": MAC, "addresses": ["10.20.0.17"]}


@pytest.mark.parametrize(
    ("newer", "older", "fields"),
    [
        (offer() | {"state": "Paused"}, offer(), ["state"]),
        (offer(networkName="x" * 256), offer(), ["offer.networkName"]),
        (offer(networkName="web\x85\u202e"), offer(networkName="web "), []),
        (offer(project={"id": "p", "name": 5}), offer(project={"id": "p"}), ["offer.project.name"]),
        (offer(subnets=[NEWER_SUBNET, SUBNET]), offer(), ["offer.subnets[]"]),
        (
            offer(subnets=[SUBNET | {"dnsNameservers": ["https://dns.example.org", "203.0.113.53"]}]),
            offer(subnets=[SUBNET | {"dnsNameservers": ["203.0.113.53"]}]),
            ["offer.subnets[].dnsNameservers[]"],
        ),
        (
            offer(
                subnets=[SUBNET | {"hostRoutes": [{"destination": "10.30.0.0/16", "nexthop": "router.example.org"}]}]
            ),
            offer(),
            ["offer.subnets[].hostRoutes[]"],
        ),
        (answer(verdict="Queued"), answer(verdict="Refused"), ["answer.verdict"]),
        (answer(reason="not-a-reason"), answer(reason="Refused"), ["answer.reason"]),
        (answer(message="\x1b[2J"), answer(message="[2J"), []),
        (answer() | {"ports": [PORT, {"id": "1; drop"}]}, answer() | {"ports": [PORT]}, ["ports[]"]),
        (
            answer() | {"ports": [PORT | {"addresses": ["machine.example.org", "10.20.0.17"]}]},
            answer() | {"ports": [PORT]},
            ["ports[].addresses[]"],
        ),
        (answer() | {"ports": {"in": "slices"}}, answer(), ["ports"]),
        (answer() | {"ports": [PORT] * 501}, answer() | {"ports": [PORT] * MAX_PORTS_PER_LINK}, ["ports"]),
    ],
)
def test_expansion_link_of_a_newer_cloud(newer: dict[str, Any], older: dict[str, Any], fields: list[str]) -> None:
    understood = understand(ExpansionLinkSpec, newer)
    assert understood.spec == ExpansionLinkSpec.model_validate(older)
    assert list(understood.left_out) == fields


def test_subnets_left_out_are_named() -> None:
    assert understand(ExpansionLinkSpec, offer(subnets=[NEWER_SUBNET, SUBNET])).left_out_subnets == {OTHER}


@pytest.mark.parametrize(
    "spec",
    [
        link(mtu=1),
        link(gateway="not a name"),
        link(origin={"cloudID": "cloud-a"}),
        offer(tunnelID=0),
        offer(project={"id": ""}),
        offer(subnets=[NEWER_SUBNET]),
        offer(subnets={}),
        answer(uid="u" * 65),
        None,
        [],
    ],
)
def test_without_what_nothing_works_a_link_is_malformed(spec: Any) -> None:
    understood = understand(ExpansionLinkSpec, spec)
    assert understood.spec is None
    assert understood.problem.startswith("spec")


@pytest.mark.parametrize("spec", [peer_link(gateways={}), peer_link(tunnel={"geneve": {}}), peer_link(ipsec=None)])
def test_without_what_nothing_works_a_peer_link_is_malformed(spec: Any) -> None:
    assert understand(PeerLinkSpec, spec).spec is None


def test_document_is_not_changed() -> None:
    document = offer(subnets=[NEWER_SUBNET, SUBNET | {"dnsNameservers": ["any"]}])
    before = repr(document)
    understand(ExpansionLinkSpec, document)
    assert repr(document) == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["10.0.0.1", ID, MAC, "gw"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["state", "offer", "answer", "ports", "gateway", "mtu", "origin", "gateways", "ipsec", "protocolVersions"]


@given(st.sampled_from([offer(), answer(), peer_link()]), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3))
def test_whatever_is_published_what_is_understood_is_an_object_of_ours(known: Any, changed: dict[str, Any]) -> None:
    kind = PeerLinkSpec if "tunnel" in known else ExpansionLinkSpec
    understood = understand(kind, known | changed)
    assert understood.spec is not None or understood.problem
    if understood.spec is not None:
        assert kind.model_validate(understood.spec.to_wire()) == understood.spec


def test_many_errors_are_repaired_in_few_passes() -> None:
    ports = [{"id": ID, "mac": MAC, "addresses": ["any"] * 16}] * MAX_PORTS_PER_LINK
    understood = understand(ExpansionLinkSpec, answer() | {"ports": ports})
    assert understood.spec is not None
    assert len(understood.spec.ports) == MAX_PORTS_PER_LINK
    assert understood.left_out == ("ports[].addresses[]",)
