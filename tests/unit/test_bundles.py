"""Invitation, answer and pairing code: who can make, read and use them."""

from __future__ import annotations

import base64
import hmac
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer, TunnelIDRange
from isthmus.model.api.v1alpha1.cloudpeer import Tunnel as ModelTunnel
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy, IPsecPolicySpec
from isthmus.model.peerkubeconfig import PeerCredential
from isthmus.model.types import NEUTRON_TUNNEL_PORTS
from isthmus.plugin.core.bundles import manifests, terms
from isthmus.plugin.core.bundles.bundle import BadBundle, Header, Type, open_bundle, parse, pre_shared_key, seal
from isthmus.plugin.core.bundles.cipher import derive, encrypt, expand, extract
from isthmus.plugin.core.bundles.code import InvalidCode, PairingCode
from isthmus.plugin.core.bundles.headers import check_answer, check_invitation
from isthmus.plugin.core.bundles.known import Known, KnownPeer, Own
from isthmus.plugin.core.bundles.servers import BadServer, checked
from isthmus.plugin.core.bundles.terms import BadTerms, Proposals, Terms, Tunnel
from isthmus.plugin.core.refusals import Misused, Refused

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CODE = PairingCode.new(bytes(range(17)))
OTHER = PairingCode.new(bytes(range(1, 18)))
INVITATION = Header(Type.INVITATION, "cloud-a", "cloud-b", NOW + timedelta(hours=72), b"i" * 32, b"i" * 32)
ANSWER = Header(Type.ANSWER, "cloud-b", "cloud-a", NOW + timedelta(hours=72), b"i" * 32, b"n" * 32)
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
TERMS = Terms("https://192.0.2.10:6443", ("192.0.2.0/24",), Tunnel(), Proposals(), PEM, "eyJ.abc.d-_")
OWN = Own("cloud-b", ("198.51.100.0/24",))


@pytest.mark.parametrize(
    ("key_material", "salt", "info", "length", "pseudorandom_key", "output"),
    [
        (
            b"\x0b" * 22,
            bytes(range(13)),
            bytes(range(0xF0, 0xFA)),
            42,
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            b"\x0b" * 22,
            b"",
            b"",
            42,
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_keys_are_those_of_rfc_5869(
    key_material: bytes, salt: bytes, info: bytes, length: int, pseudorandom_key: str, output: str
) -> None:
    """Test cases 1 and 3 of its appendix A."""
    assert extract(salt, key_material).hex() == pseudorandom_key
    assert expand(bytes.fromhex(pseudorandom_key), info, length).hex() == output


def test_keys_differ_by_purpose_and_context() -> None:
    derived = [derive(b"k", "one", b"a", b"bc"), derive(b"k", "one", b"ab", b"c"), derive(b"k", "two", b"a", b"bc")]
    derived += [derive(b"l", "one", b"a", b"bc"), derive(b"k", "one", b"abc")]
    assert len(set(derived)) == len(derived)


def test_format_is_that_of_the_documentation() -> None:
    """By docs/bundles.md alone, with what Python has: another release must read what this one wrote."""

    def key(purpose: str, *context: bytes) -> bytes:
        parts = b"".join(len(part).to_bytes(2, "big") + part for part in (purpose.encode(), *context))
        root = hmac.digest(b"i" * 32, CODE.text().replace("-", "")[:26].encode(), "sha256")
        return hmac.digest(root, b"isthmus.cloud/bundle/1" + parts + b"\1", "sha256")

    terms, context = b"terms" * 9, (b"Answer", b"cloud-b", b"cloud-a", b"n" * 32)
    encryption = key("encryption", *context)
    keystream = b"".join(hmac.digest(encryption, number.to_bytes(8, "big"), "sha256") for number in range(2))
    document = {
        "format": "isthmus.cloud/bundle",
        "version": 1,
        "type": "Answer",
        "from": "cloud-b",
        "to": "cloud-a",
        "expires": "2026-01-04T00:00:00Z",
        "invitation": base64.b64encode(b"i" * 32).decode(),
        "nonce": base64.b64encode(b"n" * 32).decode(),
        "sealed": base64.b64encode(bytes(a ^ b for a, b in zip(terms, keystream, strict=False))).decode(),
    }
    mac = hmac.digest(key("authentication", *context), json.dumps(document).encode(), "sha256")
    expected = json.dumps(document | {"mac": base64.b64encode(mac).decode()}, indent=1) + "\n"
    assert seal(ANSWER, terms, CODE).decode() == expected
    assert pre_shared_key(ANSWER, CODE) == key("pre-shared key", b"cloud-a", b"cloud-b").hex()


def test_both_sides_derive_the_same_key() -> None:
    assert pre_shared_key(INVITATION, CODE) == pre_shared_key(ANSWER, CODE)
    assert re.fullmatch("[0-9a-f]{64}", pre_shared_key(INVITATION, CODE))
    others = [(replace(INVITATION, invitation=b"j" * 32), CODE), (INVITATION, OTHER)]
    others += [(replace(INVITATION, receiver="cloud-c"), CODE), (replace(INVITATION, type=Type.ANSWER), CODE)]
    assert pre_shared_key(INVITATION, CODE) not in {pre_shared_key(*each) for each in others}


def test_terms_are_sealed_for_whoever_has_the_code() -> None:
    content = seal(INVITATION, TERMS.to_bytes(), CODE)
    bundle = parse(content)
    assert bundle.header == INVITATION
    assert Terms.parse(open_bundle(bundle, CODE)) == TERMS
    assert not [secret for secret in ("eyJ", CODE.text(), pre_shared_key(INVITATION, CODE)) if secret in str(content)]
    with pytest.raises(BadBundle, match=r"^the pairing code is not that of this file"):
        open_bundle(bundle, OTHER)


def test_no_keystream_is_used_twice() -> None:
    """Answers to one invitation, and the invitation, have different nonces and so different keys."""
    zeros = bytes(64)
    sealed = {parse(seal(h, zeros, CODE)).sealed for h in (INVITATION, ANSWER, replace(ANSWER, nonce=b"m" * 32))}
    assert len(sealed) == 3
    assert len({block for each in sealed for block in (each[:32], each[32:])}) == 6
    assert encrypt(b"k", b"") == b""


def test_an_answer_is_no_invitation() -> None:
    """A file cannot be reflected to its sender as the other type: the keys differ by type, sender and receiver."""
    document = json.loads(seal(INVITATION, b"terms", CODE))
    for changed in ({"type": "Answer"}, {"type": "Answer", "from": "cloud-b", "to": "cloud-a"}, {"to": "cloud-c"}):
        with pytest.raises(BadBundle, match="pairing code"):
            open_bundle(parse(_written(document | changed)), CODE)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no invitation and no answer"),
        (b"\xff\xfe", "no invitation and no answer"),
        (b"[]", "no invitation and no answer"),
        (b"{}", "no invitation and no answer"),
        (b"[" * 100_000, "no invitation and no answer"),
        (b"{" + b" " * 300_000, "too large"),
    ],
)
def test_another_file_is_a_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(BadBundle, match=sentence):
        parse(content)


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 0},
        {"version": True},
        {"version": "1"},
        {"type": "Letter"},
        {"from": "Cloud A"},
        {"from": None},
        {"expires": "tomorrow"},
        {"expires": "2026-01-04T00:00:00+00:00"},
        {"expires": 5},
        {"nonce": "AAAA"},
        {"nonce": "not base64"},
        {"mac": "é"},
        {"sealed": ["x"]},
        {"more": "x"},
    ],
)
def test_malformed_field_is_a_sentence(changed: dict[str, Any]) -> None:
    with pytest.raises(BadBundle, match=r"^the file was changed after it was written, or is not complete"):
        parse(_written(json.loads(seal(INVITATION, b"terms", CODE)) | changed))


def test_newer_format_is_a_sentence() -> None:
    newer = _written({"format": "isthmus.cloud/bundle", "version": 2, "anything": "else"})
    with pytest.raises(BadBundle, match=r"^the file has format 2 of a newer release, and this plugin reads format 1"):
        parse(newer)


@pytest.mark.parametrize(
    ("header", "own", "sentence"),
    [
        (ANSWER, "cloud-a", "the file is an answer and no invitation: kubectl isthmus accept takes it"),
        (INVITATION, "cloud-a", "the invitation is your own: it is for the administrator of cloud-b"),
        (INVITATION, "cloud-c", "the invitation is for cloud-b, and this is cloud-c"),
        (replace(INVITATION, expires=NOW), "cloud-b", "the invitation expired at 2026-01-01 00:00 UTC: ask cloud-a"),
    ],
)
def test_invitation_that_is_not_for_us(header: Header, own: str, sentence: str) -> None:
    check_invitation(INVITATION, "cloud-b", NOW)
    with pytest.raises(BadBundle, match=f"^{sentence}"):
        check_invitation(header, own, NOW)


@pytest.mark.parametrize(
    ("header", "own", "sentence"),
    [
        (INVITATION, "cloud-a", "the file is your own invitation: accept takes the answer of cloud-b to it"),
        (INVITATION, "cloud-b", "the file is an invitation and no answer: kubectl isthmus join takes it"),
        (ANSWER, "cloud-b", "the answer is your own: it is for the administrator of cloud-a"),
        (ANSWER, "cloud-c", "the answer is for cloud-a, and this is cloud-c"),
        (replace(ANSWER, expires=NOW), "cloud-a", "the answer expired at 2026-01-01 00:00 UTC: ask cloud-b"),
    ],
)
def test_answer_that_is_not_for_us(header: Header, own: str, sentence: str) -> None:
    check_answer(ANSWER, "cloud-a", NOW)
    with pytest.raises(BadBundle, match=f"^{sentence}"):
        check_answer(header, own, NOW)


def test_code_is_typed_as_it_is_heard() -> None:
    shown = CODE.text()
    assert re.fullmatch("([0-9A-HJKMNP-TV-Z]{4}-){6}[0-9A-HJKMNP-TV-Z]{4}", shown)
    typed = shown.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert PairingCode.parse(f" {typed}\n") == CODE
    assert CODE.characters not in repr(CODE)
    assert len(set(map(PairingCode.new, (bytes([n]) * 17 for n in range(256))))) == 256
    with pytest.raises(ValueError, match="17 bytes"):
        PairingCode.new(b"short")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "a pairing code has 28 letters and digits, and this one has 0"),
        (CODE.text()[:-1], "a pairing code has 28 letters and digits, and this one has 27"),
        (CODE.text()[:-1] + "!", "the pairing code has a character that no pairing code has"),
        (CODE.text()[:-1] + "U", "the pairing code has a character that no pairing code has"),
        ("1" + CODE.text()[1:], "the pairing code has a typing mistake"),
    ],
)
def test_mistyped_code_is_a_sentence_without_the_code(typed: str, sentence: str) -> None:
    with pytest.raises(InvalidCode, match=f"^{sentence}") as caught:
        PairingCode.parse(typed)
    assert not typed or typed not in str(caught.value)


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
        ("gatewayCIDRs", ["192.0.2.0/24"] * 17, "have no usable gatewayCIDRs"),
        ("ikeProposals", ["A"], "have no usable ikeProposals"),
        ("espProposals", [1], "have no usable espProposals"),
        ("tunnel", None, "have no usable port of the tunnel"),
        ("tunnel", {"port": 4789, "idRange": {"first": 1, "last": 2}}, "have a tunnel that no CloudPeer can have"),
        ("tunnel", {"port": 14789, "idRange": {"first": 2, "last": 2}}, "have a tunnel that no CloudPeer can have"),
        ("tunnel", {"port": 14789, "idRange": {"first": 0, "last": 2}}, "have no usable first of the tunnel"),
        ("tunnel", {"port": True, "idRange": []}, "have no usable port of the tunnel"),
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
    assert Tunnel() == Tunnel(model.port, id_range.first, id_range.last)
    assert Proposals() == Proposals(policy.ike.proposals, policy.esp.proposals)
    assert IPsecPolicy.from_wire(manifests.ipsec_policy("default")).spec == policy


def _written(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"
