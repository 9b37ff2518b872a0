"""The shipped definitions on a real API server: invalid objects are rejected with helpful messages."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from isthmus.model.api.kinds import KINDS
from isthmus.model.names import API_VERSION, SYSTEM_NAMESPACE
from tests.contract.samples import (
    NETWORK_ID,
    answer_link,
    attachment,
    cloud_peer,
    gateway_node,
    member_link,
    peer_link,
    port_slice,
)
from tests.testbed.kubernetes.cluster import ControlPlane, KubectlError

PEER = cloud_peer("defined").to_manifest()
POLICY: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "IPsecPolicy",
    "metadata": {"name": "defined"},
    "spec": {"ike": {"proposals": ["aes256gcm16-prfsha384-ecp384"]}},
}
EXPANSION: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "NetworkExpansion",
    "metadata": {"name": "defined", "namespace": "default"},
    "spec": {"networkID": NETWORK_ID, "peers": [{"name": "cloud-b"}]},
}

APPROVAL: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "ExpansionApproval",
    "metadata": {"name": f"cloud-b.{NETWORK_ID}", "namespace": "default"},
    "spec": {"decision": "Accept"},
}

GATEWAY_NODE: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "GatewayNode",
    "metadata": {"name": "defined"},
    "spec": {"uplinks": [{"publicAddress": "203.0.113.1", "ikePort": 4501}]},
}

Document = dict[str, Any]


def _with(document: Document, path: str, value: object) -> Document:
    """A copy with one field of its spec set, or removed by None."""
    changed = copy.deepcopy(document)
    inner = changed["spec"]
    *parents, last = path.split(".")
    for name in parents:
        inner = inner.setdefault(name, {})
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return changed


def _apply(plane: ControlPlane, document: Document, *flags: str) -> str:
    return plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", *flags, input=json.dumps(document))


def _refusal(plane: ControlPlane, document: Document) -> str:
    with pytest.raises(KubectlError) as caught:
        _apply(plane, document)
    return str(caught.value)


@pytest.mark.parametrize("document", [PEER, POLICY, EXPANSION, GATEWAY_NODE], ids=lambda document: document["kind"])
def test_valid_object_is_accepted(installed: ControlPlane, document: Document) -> None:
    assert "serverside-applied" in _apply(installed, document)


def test_networks_and_public_addresses_may_be_ipv6(installed: ControlPlane) -> None:
    networks = ["198.51.100.0/24", "2001:db8::/64", "2001:db8:1::7/128"]
    assert "serverside-applied" in _apply(installed, _with(_named(PEER, "both"), "gatewayCIDRs", networks))
    node = _with(_named(GATEWAY_NODE, "gw-v6"), "uplinks", [{"publicAddress": "2001:db8::1"}])
    assert "serverside-applied" in _apply(installed, node)


# The first and last network or address of each kind that no gateway has, and their neighbours on both sides.
_NO_GATEWAYS = (
    "0.0.0.0/8", "0.0.0.0/32", "0.255.255.255/32", "127.0.0.0/8", "127.0.0.1/32", "127.255.255.255/32",
    "224.0.0.0/4", "224.0.0.0/32", "239.255.255.255/32", "224.0.0.0/3", "240.0.0.0/4", "240.0.0.0/32",
    "255.255.255.255/32", "::/128", "::1/128", "::/127", "fe80::/10", "fe80::/64", "fe80::/128",
    "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "ff00::/8", "ff00::/128", "ff02::/16",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
)  # fmt: skip
_POSSIBLE_GATEWAYS = (
    "1.0.0.0/32", "126.255.255.255/32", "128.0.0.0/32", "223.255.255.255/32", "169.254.0.0/16", "128.0.0.0/1",
    "::2/128", "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "fec0::/128",
    "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "fe00::/9", "2000::/3",
)  # fmt: skip


@pytest.mark.parametrize("network", _NO_GATEWAYS)
def test_networks_that_no_gateway_can_be_in_are_refused(installed: ControlPlane, network: str) -> None:
    refused = _refusal(installed, _with(_named(PEER, "bad"), "gatewayCIDRs", ["198.51.100.0/24", network]))
    assert "spec.gatewayCIDRs[1]: Invalid value" in refused
    assert "must have addresses that gateways can have" in refused


@pytest.mark.parametrize("networks", [_POSSIBLE_GATEWAYS])
def test_networks_beside_them_and_wider_ones_are_accepted(installed: ControlPlane, networks: tuple[str, ...]) -> None:
    assert "serverside-applied" in _apply(installed, _with(_named(PEER, "beside"), "gatewayCIDRs", [*networks]))


@pytest.mark.parametrize(
    "address",
    [
        *(network.partition("/")[0] for network in _NO_GATEWAYS if network.endswith(("/32", "/128"))),
        "169.254.0.0", "169.254.169.254", "169.254.255.255",
    ],
)  # fmt: skip
def test_public_address_that_no_nat_can_have_is_refused(installed: ControlPlane, address: str) -> None:
    node = _with(_named(GATEWAY_NODE, "bad"), "uplinks", [{"publicAddress": address}])
    assert "must be an address of one host that routers forward to" in _refusal(installed, node)


@pytest.mark.parametrize(
    "address",
    [
        *(network.partition("/")[0] for network in _POSSIBLE_GATEWAYS if network.endswith(("/32", "/128"))),
        "169.253.255.255", "169.255.0.0",
    ],
)  # fmt: skip
def test_public_address_beside_them_is_accepted(installed: ControlPlane, address: str) -> None:
    node = _with(_named(GATEWAY_NODE, "beside"), "uplinks", [{"publicAddress": address}])
    assert "serverside-applied" in _apply(installed, node)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("cloudID", None, "cloudID: Required value"),
        ("cloudID", "Cloud_B", "cloudID in body should match"),
        ("cloudID", "c" * 41, "cloudID: Too long"),
        ("gatewayCIDRs", None, "gatewayCIDRs is required unless agreement.state is Invited"),
        ("gatewayCIDRs", [], "gatewayCIDRs is required unless agreement.state is Invited"),
        ("gatewayCIDRs", ["192.0.2.0"], "gatewayCIDRs[0] in body should match"),
        ("gatewayCIDRs", ["192.0.2.1/24"], "must be a network address"),
        ("gatewayCIDRs", ["2001:db8::1/64"], "must be a network address"),
        ("gatewayCIDRs", ["2001:DB8::/64"], "gatewayCIDRs[0] in body should match"),
        ("gatewayCIDRs", ["2001:db8:0:0::/64"], "must be in its usual form (RFC 5952: 2001:db8::/32)"),
        ("gatewayCIDRs", ["2001:db8::/129"], "gatewayCIDRs[0] in body should match"),
        ("gatewayCIDRs", [f"192.0.{n}.0/24" for n in range(17)], "gatewayCIDRs: Too many"),
        ("tunnel.port", 4789, "4789, 6081 and 8472 belong to Neutron"),
        ("tunnel.port", 6081, "4789, 6081 and 8472 belong to Neutron"),
        ("tunnel.port", 8472, "4789, 6081 and 8472 belong to Neutron"),
        ("tunnel", {"encapsulation": "Geneve", "port": 6081}, "4789, 6081 and 8472 belong to Neutron"),
        ("tunnel", {"encapsulation": "GRE", "port": 14789}, "GRE has no UDP port: remove port"),
        ("tunnel", {"encapsulation": "vxlan"}, 'supported values: "VXLAN", "Geneve", "GRE"'),
        ("tunnel.mode", "BEET", 'supported values: "Auto", "Transport", "Tunnel"'),
        ("tunnel.port", 53, "greater than or equal to 1024"),
        ("tunnel.port", "14789", ".spec.tunnel.port: expected numeric"),
        ("tunnel.idRange", {"first": 100, "last": 99}, "last must be greater than first"),
        ("tunnel.idRange", {"first": 0, "last": 99}, "greater than or equal to 1"),
        ("tunnel.idRange", {"first": 1, "last": 0x1000000}, "less than or equal to 16777215"),
        ("api", {"kubeconfigSecretRef": {"name": "UPPER"}}, "name in body should match"),
        ("ipsec", {"policyRef": {"name": "strong"}}, "authSecretRef: Required value"),
        ("agreement.state", "Paused", 'supported values: "Active", "Cordoned", "Drained"'),
        ("agreement.drain.graceSeconds", -1, "greater than or equal to 0"),
        ("agreement.drain.graceSeconds", 2_592_001, "less than or equal to 2592000"),
        ("agreement.quotas", {"networks": -1}, "greater than or equal to 0"),
        ("agreement.domain", "a/b", "domain in body should match"),
    ],
)
def test_invalid_cloud_peer_is_rejected(installed: ControlPlane, path: str, value: object, message: str) -> None:
    assert message in _refusal(installed, _with(_named(PEER, "bad"), path, value))


@pytest.mark.parametrize(
    ("uplinks", "message"),
    [
        ([{"publicAddress": "2001:db8:0:0:0::1"}], "must be an address in its usual form"),
        ([{}], "a node that is reached at its own address needs no uplink"),
        ([{"reachable": True}], "a node that is reached at its own address needs no uplink"),
        ([{"reachable": False, "ikePort": 4501}], "ikePort is a port of publicAddress"),
        ([{"publicAddress": "203.0.113.1", "reachable": False, "ikePort": 4501}], "ikePort is a port of publicAddress"),
        ([{"publicAddress": "203.0.113.256"}], "publicAddress in body should match"),
        ([{"publicAddress": "203.0.113.1", "ikePort": 500}], "greater than or equal to 1024"),
        ([{"reachable": False}, {"reachable": False}], "uplinks: Too many"),
    ],
)
def test_invalid_uplink_is_rejected(installed: ControlPlane, uplinks: list[Document], message: str) -> None:
    assert message in _refusal(installed, _with(_named(GATEWAY_NODE, "bad"), "uplinks", uplinks))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("ike.proposals", ["3des-sha1-modp1024"], "this cipher has blocks of 64 bits"),
        ("ike.proposals", ["aes256-sha384-ecp384"], "does not authenticate what it encrypts"),
        ("ike.proposals", ["aes256gcm16-prfsha1-ecp384"], "MD5 and SHA-1 are broken"),
        ("ike.proposals", ["aes256gcm16-prfsha384-modp2048"], "less than 128 bits of strength"),
        ("ike.proposals", ["rot13-prfsha384-ecp384"], "ike.proposals[0] in body should match"),
        ("ike.proposals", [], "should have at least 1 items"),
        ("esp.proposals", ["null-sha256"], "null does not encrypt"),
        ("esp.proposals", ["aes256gcm16"], "without one there is no forward secrecy"),
        ("baseline", "CNSA-2.0", "a baseline has proposals of its own"),
        ("baseline", "NIST", "Unsupported value"),
        ("requireHybrid", True, "requireHybrid leaves out IKE proposals without hybrid key exchange"),
        ("requireHybrid", "yes", ".spec.requireHybrid: expected boolean"),
        ("ike.marginSeconds", 20_000, "must be at most 50 % of rekeyTimeSeconds"),
        ("esp.marginSeconds", 5, "greater than or equal to 10"),
        ("esp.replayWindowPackets", 5_000, "less than or equal to 4096"),
        ("esp", {"rekeyTimeSeconds": 28_000, "marginSeconds": 14_000}, "rekeyTimeSeconds + marginSeconds of esp"),
        ("ike.rekeyTimeSeconds", 0, "greater than or equal to 300"),
        ("ike.rekeyTimeSeconds", 10**9, "less than or equal to 86400"),
        ("ike.rekeyTimeSeconds", 600, "must not outlive the IKE SA"),
        ("dpdDelaySeconds", 1, "greater than or equal to 5"),
    ],
)
def test_weak_policy_is_rejected(installed: ControlPlane, path: str, value: object, message: str) -> None:
    assert message in _refusal(installed, _with(_named(POLICY, "bad"), path, value))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("networkID", None, "networkID: Required value"),
        ("networkID", "my-network", "networkID in body should match"),
        ("networkID", NETWORK_ID.upper(), "networkID in body should match"),
        ("peers", [], "should have at least 1 items"),
        ("peers", [{"name": "same"}, {"name": "same"}], "duplicate entries for key"),
        ("peers", [{"name": f"p{n}"} for n in range(16)], "Too many"),
        ("addressing", {"sliceSize": 1}, "greater than or equal to 2"),
        ("securityGroups", "ByTag", "Unsupported value"),
        ("defaultGroup", "Joined", "defaultGroup: Joined needs securityGroups: ByName"),
    ],
)
def test_invalid_expansion_is_rejected(installed: ControlPlane, path: str, value: object, message: str) -> None:
    assert message in _refusal(installed, _with(_named(EXPANSION, "bad"), path, value))


@pytest.mark.parametrize(
    ("document", "path", "value", "message"),
    [
        (PEER, "cloudID", "another", "cloudID is immutable"),
        (EXPANSION, "networkID", NETWORK_ID.replace("6", "7"), "networkID is immutable"),
        (EXPANSION, "addressing", {"sliceSize": 8}, "addressing is immutable"),
    ],
)
def test_immutable_field_cannot_be_changed(
    installed: ControlPlane, document: Document, path: str, value: object, message: str
) -> None:
    _apply(installed, document)
    assert message in _refusal(installed, _with(document, path, value))


def test_growth_of_slices_can_be_changed_and_nothing_else_of_addressing(installed: ControlPlane) -> None:
    sized = _with(_named(EXPANSION, "sized"), "addressing", {"sliceSize": 8})
    _apply(installed, sized)
    for growth in ("None", "Auto"):
        _apply(installed, _with(sized, "addressing", {"sliceSize": 8, "growth": growth}))
    for changed in ({"sliceSize": 9}, {"growth": "None"}):
        assert "addressing is immutable" in _refusal(installed, _with(sized, "addressing", changed))
    unknown = {"sliceSize": 8, "growth": "Sometimes"}
    assert "Unsupported value" in _refusal(installed, _with(sized, "addressing", unknown))


def test_link_has_either_an_offer_or_an_answer(installed: ControlPlane) -> None:
    installed.kubectl("create", "namespace", "isthmus-peer-us")
    link = answer_link("them", "us", 1416).to_manifest()
    assert "an offer, the receiver's an answer" in _refusal(installed, _with(link, "answer", None))
    _apply(installed, link)
    moved = link["spec"]["origin"] | {"networkID": NETWORK_ID.replace("6", "7")}
    assert "origin is immutable" in _refusal(installed, _with(link, "origin", moved))


def test_unknown_field_is_reported(installed: ControlPlane) -> None:
    refused = _with(_named(PEER, "typo"), "gatewayCidrs", ["192.0.2.0/24"])
    with pytest.raises(KubectlError, match="gatewayCidrs"):
        _apply(installed, refused, "--validate=strict")


def test_status_is_not_written_with_the_spec(installed: ControlPlane) -> None:
    _apply(installed, PEER | {"status": {"networksOut": 7}})
    assert installed.kubectl("get", "cpeer", "defined", "-o", "jsonpath={.status}") == ""


def test_oversized_object_is_rejected(installed: ControlPlane) -> None:
    projects = [f"{n:032x}" for n in range(1_001)]
    assert "Too many" in _refusal(installed, _with(_named(PEER, "huge"), "agreement.allowedProjects", projects))


def test_all_kinds_are_in_the_category(installed: ControlPlane) -> None:
    for document in (PEER, POLICY, EXPANSION, APPROVAL, *_machine_kinds()):
        if document["metadata"].get("namespace", "default") not in ("default", SYSTEM_NAMESPACE):
            document["metadata"]["namespace"] = "default"
        _apply(installed, document)
    listed = installed.kubectl("get", "isthmus", "-A", "-o", "wide")
    for kind in KINDS:
        assert f"{kind.registration.kind.lower()}.isthmus.cloud/" in listed
        for column in kind.registration.columns:
            assert column.name.upper() in listed, f"{kind.registration.kind} has no column {column.name}"
        for short_name in kind.registration.short_names:
            assert installed.kubectl("get", short_name, "-A", "-o", "name")


def test_printer_columns(installed: ControlPlane) -> None:
    _apply(installed, EXPANSION)
    header, _ = installed.kubectl("get", "netexp", "defined").splitlines()
    assert header.split() == ["NAME", "NETWORK", "PEERS", "READY", "REASON", "MTU", "AGE"]


@pytest.mark.parametrize(
    ("resource", "status", "columns"),
    [
        ("networkexpansion", {"peersReady": "1/2"}, {"PEERS": "1/2"}),
        ("cloudpeer", {"tunnelsUp": "2/3"}, {"TUNNELS": "2/3"}),
        ("gatewaynode", {"peersUp": "2/3"}, {"PEERS-UP": "2/3"}),
        ("attachment", {"linksUp": "0/2"}, {"LINKS": "0/2"}),
        (
            "peerlink",
            {"gateways": "192.0.2.1,192.0.2.2", "peerGateways": "198.51.100.1,198.51.100.2"},
            {"GATEWAYS": "192.0.2.1,192.0.2.2", "PEER-GATEWAYS": "198.51.100.1,198.51.100.2"},
        ),
    ],
)
def test_columns_tell_of_more_than_the_first(
    installed: ControlPlane, resource: str, status: Document, columns: dict[str, str]
) -> None:
    document = _sample(resource)
    _apply(installed, document)
    namespace = ["-n", document["metadata"].get("namespace", "default")]
    what = [resource, document["metadata"]["name"], *namespace]
    patch = json.dumps({"status": status})
    installed.kubectl("patch", *what, "--subresource=status", "--type=merge", "-p", patch)
    assert columns.items() <= _row(installed, *what).items()


def test_policy_shows_all_its_proposals(installed: ControlPlane) -> None:
    proposals = ["aes256gcm16-prfsha384-ecp384", "aes256gcm16-prfsha384-x25519"]
    _apply(installed, _with(_named(POLICY, "two"), "ike.proposals", proposals))
    shown = installed.kubectl("get", "ipsecpolicy", "two")
    assert all(proposal in shown for proposal in proposals)


@pytest.mark.parametrize("ike", [{}, {"proposals": ["aes256gcm16-prfsha384-ecp384-ke1_mlkem768"]}])
def test_hybrid_key_exchange_can_be_required(installed: ControlPlane, ike: Document) -> None:
    document = _with(_named(POLICY, "hybrid"), "ike", ike)
    _apply(installed, _with(document, "requireHybrid", True))


def _sample(resource: str) -> Document:
    """A manifest of that kind in an existing namespace."""
    (document,) = [d for d in (PEER, EXPANSION, *_machine_kinds()) if d["kind"].lower() == resource]
    document = _named(document, "counted")
    if document["metadata"].get("namespace") != SYSTEM_NAMESPACE:
        document["metadata"]["namespace"] = "default"
    if resource in ("cloudpeer", "gatewaynode"):
        del document["metadata"]["namespace"]
    return document


def _row(plane: ControlPlane, *what: str) -> dict[str, str]:
    """One object as `kubectl get -o wide` shows it, by column; columns may be empty, so it goes by position."""
    header, row = plane.kubectl("get", *what, "-o", "wide").splitlines()
    starts = [match.start() for match in re.finditer(r"\S+", header)]
    ends = [*starts[1:], None]
    return {header[a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}


def _named(document: Document, name: str) -> Document:
    changed = copy.deepcopy(document)
    changed["metadata"]["name"] = name
    return changed


def _machine_kinds() -> list[Document]:
    links = (
        peer_link("them", "us"),
        answer_link("them", "us", 1416),
        port_slice("them", "us"),
        member_link("them", "us"),
    )
    objects = (*links, attachment("shown"), gateway_node("shown"))
    return [obj.to_manifest() for obj in objects]


def test_gateway_networks_are_required_unless_the_peer_is_invited(installed: ControlPlane) -> None:
    invited = _with(_with(PEER, "gatewayCIDRs", None), "agreement", {"state": "Invited"})
    invited["metadata"] = {"name": "invited"}
    invited["spec"]["cloudID"] = "invited"
    _apply(installed, invited)
    for active in (_with(invited, "agreement", {}), _with(_with(invited, "gatewayCIDRs", []), "agreement", {})):
        assert "gatewayCIDRs is required unless agreement.state is Invited" in _refusal(installed, active)
    accepted = _with(_with(invited, "gatewayCIDRs", ["198.51.100.0/24"]), "agreement", {})
    _apply(installed, accepted)
    again = _with(accepted, "agreement", {"state": "Invited"})
    assert "an agreement cannot become Invited" in _refusal(installed, again)
    installed.kubectl("delete", "cloudpeer", "invited")
