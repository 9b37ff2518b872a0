"""The terms in a bundle, and whether they fit what the cloud has already."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer, TunnelIDRange
from isthmus.model.api.v1alpha1.cloudpeer import Tunnel as ModelTunnel
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy, IPsecPolicySpec
from isthmus.model.node.tunnel import EncapsulationName, encapsulation_named
from isthmus.model.peerkubeconfig import PeerCredential
from isthmus.model.types import NEUTRON_TUNNEL_PORTS
from isthmus.plugin.core.bundles import manifests, terms
from isthmus.plugin.core.bundles.bundle import Header, Type
from isthmus.plugin.core.bundles.known import Known, KnownPeer, Own
from isthmus.plugin.core.bundles.numbers import tunnel
from isthmus.plugin.core.bundles.servers import BadServer, checked
from isthmus.plugin.core.bundles.terms import DEFAULT_PORTS, BadTerms, Proposals, Terms, Tunnel
from isthmus.plugin.core.refusals import Misused, Refused

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
TERMS = Terms("https://192.0.2.10:6443", ("192.0.2.0/24",), Tunnel(), Proposals(), PEM, "eyJ.abc.d-_")
INVITATION = Header(Type.INVITATION, "cloud-a", "cloud-b", datetime(2026, 1, 4, tzinfo=UTC), b"i" * 32, b"i" * 32)
OWN = Own("cloud-b", ("198.51.100.0/24",))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("server", "http://192.0.2.10", "have a server that is not a plain URL"),
        ("server", "https://127.0.0.1", "have a server that is a loopback address"),
        ("server", None, "have no usable server"),
        ("certificateAuthority", "x", "have no usable certificateAuthority"),
        ("certificateAuthority", PEM + "é", "have no usable certificateAuthority"),
        ("token", "a b", "have no usable token"),
        ("token", "", "have no usable token"),
        ("gatewayCIDRs", [], "have no usable gatewayCIDRs"),
        ("gatewayCIDRs", ["192.0.2.1/24"], "have no usable gatewayCIDRs"),
        ("gatewayCIDRs", ["2001:db8::1/64"], "have no usable gatewayCIDRs"),
        ("gatewayCIDRs", ["2001:DB8::/64"], "have no usable gatewayCIDRs"),
        ("gatewayCIDRs", ["192.0.2.0/24"] * 17, "have no usable gatewayCIDRs"),
        ("ikeProposals", ["A"], "have no usable ikeProposals"),
        ("espProposals", [1], "have no usable espProposals"),
        ("hybridProposals", "x", "have no usable hybridProposals"),
        ("tunnel", None, "have no usable port of the tunnel"),
        ("tunnel", {"port": 4789, "idRange": {"first": 1, "last": 2}}, "have a tunnel that no CloudPeer can have"),
        ("tunnel", {"port": 14789, "idRange": {"first": 2, "last": 2}}, "have a tunnel that no CloudPeer can have"),
        ("tunnel", {"port": 14789, "idRange": {"first": 0, "last": 2}}, "have no usable first of the tunnel"),
        ("tunnel", {"port": True, "idRange": []}, "have no usable port of the tunnel"),
        ("tunnel", {"encapsulation": "IPIP"}, "have an encapsulation of the tunnel that is not known here"),
        ("tunnel", {"encapsulation": ["GRE"]}, "have an encapsulation of the tunnel that is not known here"),
        ("tunnel", {"encapsulation": "Geneve", "idRange": {"first": 1, "last": 2}}, "have no usable port"),
        (
            "tunnel",
            {"encapsulation": "GRE", "port": 14789, "idRange": {"first": 1, "last": 2}},
            "have a tunnel that no CloudPeer can have",
        ),
    ],
)
def test_terms_that_cannot_be_used(field: str, value: object, sentence: str) -> None:
    document = json.loads(TERMS.to_bytes()) | {field: value}
    with pytest.raises(BadTerms, match=f"^{sentence}"):
        Terms.parse(json.dumps(document).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000])
def test_terms_that_are_something_else(content: bytes) -> None:
    with pytest.raises(BadTerms):
        Terms.parse(content)


def test_kubeconfig_is_one_that_the_controller_takes() -> None:
    credential = PeerCredential.parse(TERMS.kubeconfig("isthmus-peer-cloud-b").encode())
    assert (credential.host, credential.port, credential.token) == ("192.0.2.10", 6443, TERMS.token)
    assert credential.authority == PEM
    assert "eyJ" not in repr(TERMS)


@pytest.mark.parametrize("host", ["127.8.9.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "LOCALHOST.", "a.localhost"])
def test_loopback_is_no_server(host: str) -> None:
    with pytest.raises(BadServer, match=r"^is a loopback address"):
        checked(f"https://{host}:6443")


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "169.254.1.1", "[fe80::1]", "224.0.0.1"])
def test_address_without_a_host_is_no_server(host: str) -> None:
    with pytest.raises(BadServer, match=r"^is no address"):
        checked(f"https://{host}:6443")


@pytest.mark.parametrize(
    "url",
    [
        "https://192.0.2.10",
        "https://[2001:db8::1]:6443",
        "https://api.example:6443/clusters/a",
        "https://10.0.0.1:6443",
    ],
)
def test_usable_servers(url: str) -> None:
    assert checked(url).geturl() == url


PEER = KnownPeer.parse(
    manifests.cloud_peer("cloud-a", "strong", Tunnel(), INVITATION.invitation_id, TERMS)
    | {"status": {"networksOut": 3, "conditions": [{"type": "Ready", "message": "why"}]}}
)


@pytest.mark.parametrize("kind", DEFAULT_PORTS)
def test_tunnel_of_every_kind_is_taken_over_as_it_was_sent(kind: EncapsulationName) -> None:
    agreed = Tunnel(DEFAULT_PORTS[kind], 7, 9, kind)
    assert Terms.parse(replace(TERMS, tunnel=agreed).to_bytes()).tunnel == agreed
    manifest = manifests.cloud_peer("cloud-a", "strong", agreed, "1", TERMS)
    assert KnownPeer.parse(manifest).tunnel == agreed
    parsed = CloudPeer.from_wire(manifest).spec.tunnel
    assert (parsed.encapsulation, parsed.port) == (kind, DEFAULT_PORTS[kind])


def test_terms_of_a_release_without_encapsulations_mean_vxlan() -> None:
    document = json.loads(TERMS.to_bytes())
    del document["tunnel"]["encapsulation"]
    assert Terms.parse(json.dumps(document).encode()).tunnel == Tunnel()


HYBRID, CLASSICAL = Proposals().ike


@pytest.mark.parametrize("ike", [(HYBRID, CLASSICAL), (HYBRID,), (CLASSICAL,)])
def test_hybrid_proposals_are_apart(ike: tuple[str, ...]) -> None:
    offered = replace(TERMS, proposals=Proposals(ike))
    document = json.loads(offered.to_bytes())
    assert "ke1_" not in str(document["ikeProposals"]), "earlier releases refuse it there"
    assert Terms.parse(offered.to_bytes()) == offered


def test_terms_of_a_release_without_hybrid_proposals() -> None:
    document = json.loads(TERMS.to_bytes())
    del document["hybridProposals"]
    assert Terms.parse(json.dumps(document).encode()).proposals == Proposals((CLASSICAL,))


@pytest.mark.parametrize(
    ("kind", "port", "expected"),
    [
        (None, None, Tunnel()),
        ("VXLAN", "15000", Tunnel(15000)),
        ("Geneve", None, Tunnel(16081, encapsulation="Geneve")),
        ("GRE", None, Tunnel(None, encapsulation="GRE")),
    ],
)
def test_tunnel_of_the_command_line(kind: str | None, port: str | None, expected: Tunnel) -> None:
    assert tunnel(kind, port) == expected


@pytest.mark.parametrize(
    ("kind", "port", "sentence"),
    [
        ("GRE", "14789", "GRE has no UDP port"),
        ("gre", None, "--encapsulation must be one of VXLAN, Geneve, GRE"),
        ("Geneve", "6081", "--tunnel-port must be from 1024 to 65535"),
    ],
)
def test_tunnel_of_the_command_line_that_cannot_be(kind: str | None, port: str | None, sentence: str) -> None:
    with pytest.raises(Misused, match=f"^{sentence}"):
        tunnel(kind, port)


def test_cloud_peer_is_read_as_it_is_written() -> None:
    assert (PEER.name, PEER.state, PEER.policy, PEER.tunnel) == ("cloud-a", "Active", "strong", Tunnel())
    assert (PEER.message, PEER.networks_out, PEER.networks_in) == ("why", 3, 0)
    assert (PEER.gateway_cidrs, PEER.invitation_id) == (TERMS.gateway_cidrs, INVITATION.invitation_id)
    for manifest in (
        manifests.cloud_peer("cloud-a", "strong", Tunnel(), "1", TERMS),
        manifests.cloud_peer("cloud-a", "strong", Tunnel(), "1", None),
    ):
        assert CloudPeer.from_wire(manifest).spec.cloud_id == "cloud-a"


@pytest.mark.parametrize(
    ("peer", "invitation_id", "sentence"),
    [
        (PEER, INVITATION.invitation_id, "this invitation was used already: CloudPeer cloud-a was made with it"),
        (PEER, "other", "there is a CloudPeer cloud-a for cloud cloud-a already"),
        (replace(PEER, cloud_id="cloud-x"), "", "there is a CloudPeer cloud-a for cloud cloud-x already"),
        (replace(PEER, name="x"), "", "there is a CloudPeer x for cloud cloud-a already"),
        (replace(PEER, state="Invited"), "", "cloud-a is invited already: accept its answer, or withdraw"),
    ],
)
def test_peer_that_exists(peer: KnownPeer, invitation_id: str, sentence: str) -> None:
    with pytest.raises(Refused, match=f"^{sentence}"):
        Known(OWN, (peer,), {}).require_no_peer("cloud-a", invitation_id)
    Known(OWN, (replace(peer, name="y", cloud_id="y"),), {}).require_no_peer("cloud-a", invitation_id)


@pytest.mark.parametrize(
    ("peers", "sentence"),
    [
        ((), "cloud-a is not invited: the invitation was withdrawn"),
        ((replace(PEER, invitation_id="other"),), "the file answers another invitation than the one that cloud-a has"),
        ((PEER,), "an answer to this invitation was accepted already: CloudPeer cloud-a is Active"),
        ((replace(PEER, is_terminating=True),), "CloudPeer cloud-a is being deleted"),
    ],
)
def test_answer_to_no_invitation(peers: tuple[KnownPeer, ...], sentence: str) -> None:
    with pytest.raises(Refused, match=f"^{sentence}"):
        Known(OWN, peers, {}).require_invited("cloud-a", INVITATION.invitation_id)


def test_gateway_networks_are_apart() -> None:
    everything = Known(OWN, (PEER,), {})
    everything.require_apart("cloud-a", ("192.0.2.0/25",))
    with pytest.raises(Refused, match=r"^the gateway network 198.51.0.0/16 of cloud-c overlaps this cloud's own$"):
        everything.require_apart("cloud-c", ("198.51.0.0/16",))
    with pytest.raises(Refused, match=r"^the gateway network 192.0.2.8/32 of cloud-c overlaps those of CloudPeer"):
        everything.require_apart("cloud-c", ("203.0.113.0/24", "192.0.2.8/32"))


def test_networks_of_different_ip_versions_are_apart() -> None:
    assert terms.overlapping(("192.0.2.0/24", "2001:db8::/64"), ("2001:db8:1::/48", "198.51.100.0/24")) is None
    assert terms.overlapping(("192.0.2.0/24", "2001:db8::/64"), ("::/0",)) == "2001:db8::/64"
    assert terms.overlapping(("2001:db8::/32",), ("2001:db8:7::/48",)) == "2001:db8::/32"


def test_policy_is_chosen() -> None:
    some, other = Proposals(), Proposals(("a",), ("b",))
    assert Known(OWN, (), {}).policy("") == "default"
    assert Known(OWN, (), {"strong": some}).policy("") == "strong"
    assert Known(OWN, (), {"strong": some, "default": other}).policy("") == "default"
    assert Known(OWN, (), {"strong": some, "weak": other}).policy("weak") == "weak"
    with pytest.raises(Misused, match=r"^there are several IPsecPolicies: choose one by --policy: strong, weak$"):
        Known(OWN, (), {"strong": some, "weak": other}).policy("")
    with pytest.raises(Misused, match=r"^there is no IPsecPolicy 'x'; there is: none$"):
        Known(OWN, (), {}).policy("x")


def test_proposals_in_common() -> None:
    everything = Known(OWN, (), {"other": Proposals(("aes256gcm16-prfsha384-x25519",), ("aes256gcm16-ecp384",))})
    everything.require_common("cloud-a", "default", Proposals())
    with pytest.raises(Refused, match=r"^IPsecPolicy other and cloud-a have no IKE proposal in common: aes256gcm16-"):
        everything.require_common("cloud-a", "other", Proposals())


def test_constants_are_those_of_the_operator() -> None:
    assert names.INVITATION_ANNOTATION.startswith("isthmus.cloud/")
    assert terms.NEUTRON_TUNNEL_PORTS == NEUTRON_TUNNEL_PORTS
    model, id_range, policy = ModelTunnel(), TunnelIDRange(), IPsecPolicySpec()
    assert Tunnel().encapsulation == model.encapsulation
    assert {*get_args(EncapsulationName)} == {*DEFAULT_PORTS}
    for name, port in DEFAULT_PORTS.items():
        assert encapsulation_named(name, None).udp_ports == {port} - {None}
    assert (Tunnel().first, Tunnel().last) == (id_range.first, id_range.last)
    assert Proposals() == Proposals(policy.offered.ike, policy.offered.esp)
    assert IPsecPolicy.from_wire(manifests.ipsec_policy("default")).spec == policy


@pytest.mark.parametrize("spec", [{}, {"requireHybrid": True}, {"baseline": "CNSA-2.0"}])
def test_policies_offer_here_what_they_offer_there(spec: dict[str, Any]) -> None:
    policy = IPsecPolicy.from_wire({"metadata": {"name": "strong"}, "spec": spec})
    offered = policy.spec.offered
    read = Known.parse(OWN, [policy.to_manifest()])
    assert read.proposals("strong") == Proposals(offered.ike, offered.esp)
