"""What Secrets hold for certificates: what is refused and why, and what follows for a node's plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters.strongswan import messages
from isthmus.agent.kubernetes import secretentries
from isthmus.core.federation.agreement import Agreement
from isthmus.core.node import credentials
from isthmus.core.node.certificates import Authorities, OwnCertificate, authorities, own_certificate
from isthmus.core.node.credentials import Usable
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.cloudpeer import TunnelIDRange
from isthmus.model.node.inputs import CertificateEntries
from isthmus.model.node.ipsec import CertificateRef, PreSharedKeyRef
from isthmus.model.node.tunnel import Vxlan
from tests.authority import Authority, Issued, secret_data
from tests.fakes.nodeobjects import NODE, OWN, inputs, peer
from tests.unit.test_ike_messages import CONNECTION

IDENTITY = f"{NODE}.{OWN}"
ONE, TWO = Authority("one"), Authority("two")
GOOD = ONE.issue(IDENTITY)
AGREEMENT = Agreement(Vxlan(14789), TunnelIDRange(), ("aes256gcm16-prfsha384-ecp384",), ("aes256gcm16-ecp384",), True)
BY_CERTIFICATE = replace(AGREEMENT, own_authentication="Certificate", peer_authentication="Certificate")


def _own(issued: Issued, **changes: bytes) -> OwnCertificate | Problem:
    entries = CertificateEntries(issued.certificate, issued.private_key, version="1")
    return own_certificate("key-b", replace(entries, **changes), IDENTITY)  # type: ignore[arg-type]


def test_a_certificate_for_the_gateway_with_its_key_is_usable() -> None:
    found = _own(GOOD)
    assert isinstance(found, OwnCertificate)
    assert found.pem == GOOD.certificate
    assert "PRIVATE" not in repr(found)
    with_root = _own(GOOD, certificate=GOOD.certificate + ONE.certificate)
    assert isinstance(with_root, OwnCertificate), "cert-manager may add the CA itself"
    assert with_root.pem == GOOD.certificate


def _encrypted() -> bytes:
    key = ec.generate_private_key(ec.SECP384R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))


@pytest.mark.parametrize(
    ("issued", "changes", "reason", "text"),
    [
        (GOOD, {"certificate": b""}, "CertificateNotFound", "key tls.crt of Secret isthmus-ipsec/key-b"),
        (GOOD, {"private_key": b""}, "CertificateNotFound", "key tls.key of Secret isthmus-ipsec/key-b"),
        (GOOD, {"certificate": b"text"}, "InvalidCertificate", "is not a certificate in PEM"),
        (GOOD, {"private_key": b"text"}, "InvalidCertificate", "not an unencrypted private key"),
        (GOOD, {"private_key": _encrypted()}, "InvalidCertificate", "not an unencrypted private key"),
        (GOOD, {"private_key": ONE.issue(IDENTITY).private_key}, "CertificateKeyDiffers", "is not the key of tls.crt"),
        (ONE.issue("gw-x.cloud-a"), {}, "InvalidCertificate", f"lacks the DNS name {IDENTITY}"),
        (
            Authority("between", issuer=ONE).issue(IDENTITY),
            {"certificate": GOOD.certificate + Authority("between", issuer=ONE).certificate},
            "CertificateChainTooLong",
            "has 2 certificates",
        ),
        (GOOD, {"certificate": ONE.certificate}, "InvalidCertificate", "is the certificate of a CA"),
    ],
)
def test_an_unusable_certificate_is_named(issued: Issued, changes: dict[str, bytes], reason: str, text: str) -> None:
    found = _own(issued, **changes)
    assert isinstance(found, Problem)
    assert found.reason == reason
    assert text in found.message
    assert not any(canary.decode() in found.message for canary in issued.canaries)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_random_content_of_a_secret_is_refused(one: bytes, other: bytes) -> None:
    for content in (one, b"-----BEGIN CERTIFICATE-----\n" + one + b"\n-----END CERTIFICATE-----\n"):
        assert isinstance(_own(GOOD, certificate=content or b"x"), Problem)
        assert isinstance(authorities("key-b", content or b"x", other), Problem)
    assert isinstance(_own(GOOD, private_key=other or b"x"), Problem)
    if other.strip():
        assert isinstance(authorities("key-b", ONE.certificate, other), Problem)


def test_authorities_and_what_they_revoke() -> None:
    plain = authorities("key-b", ONE.certificate + TWO.certificate, b"")
    swapped = authorities("key-b", TWO.certificate + ONE.certificate, b"")
    assert isinstance(plain, Authorities)
    assert isinstance(swapped, Authorities)
    assert (plain.digest, plain.revoked) == (swapped.digest, "")
    assert len(plain.pem) == 2
    nothing, more = (authorities("key-b", ONE.certificate, ONE.revoke(serials)) for serials in ([], [GOOD.serial]))
    again = authorities("key-b", ONE.certificate, ONE.revoke([GOOD.serial]))
    assert isinstance(nothing, Authorities)
    assert isinstance(more, Authorities)
    assert isinstance(again, Authorities)
    assert nothing.revoked == ""
    assert more.revoked == again.revoked != "", "a list that is only renewed authenticates nobody again"
    assert more.revocation_lists != again.revocation_lists


@pytest.mark.parametrize(
    ("certificates", "lists", "text"),
    [
        (b"", b"", "key ca.crt of Secret isthmus-ipsec/key-b does not exist"),
        (b"text", b"", "has no certificate in PEM"),
        (GOOD.certificate, b"", "is not the certificate of a CA"),
        (ONE.certificate, b"text", "is not a CRL in PEM"),
        (ONE.certificate, TWO.revoke([1]), "that no CA in ca.crt signed"),
        (ONE.certificate, Authority("one").revoke([1]), "that no CA in ca.crt signed"),
    ],
)
def test_unusable_authorities_are_named(certificates: bytes, lists: bytes, text: str) -> None:
    found = authorities("key-b", certificates, lists)
    assert isinstance(found, Problem)
    assert text in found.message


def test_a_short_rsa_key_is_refused() -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key, now = rsa.generate_private_key(65537, 2048), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(IDENTITY)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    found = _own(Issued(certificate.public_bytes(Encoding.PEM), pem, 7))
    assert isinstance(found, Problem)
    assert "RSA key of 2048 bits" in found.message


def _entries(issued: Issued = GOOD, lists: bytes = b"", trusted: bytes = ONE.certificate) -> CertificateEntries:
    return CertificateEntries(issued.certificate, issued.private_key, trusted, lists, "1")


def _credential(agreement: Agreement, entries: CertificateEntries) -> Usable | Problem:
    given_inputs = replace(inputs(), certificates={"psk-b": entries})
    return credentials.credential_of(given_inputs, peer().spec, agreement)


def test_each_half_says_how_its_own_cloud_authenticates_itself() -> None:
    key = _credential(AGREEMENT, CertificateEntries())
    assert isinstance(key, Usable)
    assert key.ref == PreSharedKeyRef("psk-b", "1")
    first = _credential(replace(AGREEMENT, own_authentication="Certificate"), _entries())
    second = _credential(replace(AGREEMENT, peer_authentication="Certificate"), _entries())
    both = _credential(BY_CERTIFICATE, _entries())
    assert isinstance(first, Usable)
    assert isinstance(second, Usable)
    assert isinstance(both, Usable)
    refs = [found.ref for found in (first, second, both)]
    assert all(isinstance(ref, CertificateRef) for ref in refs)
    parts = [(bool(r.certificate), bool(r.authorities), bool(r.secret_version)) for r in refs]  # type: ignore[union-attr]
    assert parts == [(True, False, True), (False, True, True), (True, True, False)]
    assert [expiry.kind for expiry in both.expiries] == ["certificate", "CA"]
    local_and_remote = []
    for ref in refs:
        connection = replace(CONNECTION, credential=ref)
        _, chain = credentials.secrets_of(connection, replace(inputs(), certificates={"psk-b": _entries()}))
        (settings,) = messages.connection(connection, chain).values()
        local_and_remote.append((settings["local"]["auth"], settings["remote"]["auth"]))
        assert ("certs" in settings["local"], "cacerts" in settings["remote"]) == (
            settings["local"]["auth"] == "pubkey",
            settings["remote"]["auth"] == "pubkey",
        )
        assert "PRIVATE" not in repr(settings) + repr(connection) + repr(chain)
    assert local_and_remote == [("pubkey", "psk"), ("psk", "pubkey"), ("pubkey", "pubkey")]


def test_only_what_matters_negotiates_again() -> None:
    def digest(entries: CertificateEntries) -> str:
        found = _credential(BY_CERTIFICATE, entries)
        assert isinstance(found, Usable), found
        return replace(CONNECTION, credential=found.ref).digest

    base = digest(_entries())
    assert digest(replace(_entries(), version="2")) == base
    assert digest(_entries(lists=ONE.revoke([]))) == base
    changed = {
        digest(_entries(issued=ONE.issue(IDENTITY))),
        digest(_entries(trusted=ONE.certificate + TWO.certificate)),
        digest(_entries(lists=ONE.revoke([GOOD.serial]))),
        base,
    }
    assert len(changed) == 4


def test_the_gateways_own_secret_wins_entry_by_entry() -> None:
    def secret(version: str, data: dict[str, str]) -> dict[str, Any]:
        return {"metadata": {"name": "x", "resourceVersion": version}, "data": data}

    other = ONE.issue(IDENTITY)
    secrets = {
        "key": secret("1", secret_data(GOOD, psk=b"p" * 32, ca_crt=ONE.certificate)),
        f"key-{NODE}": secret("2", secret_data(other, ca_crl=ONE.revoke([]))),
    }
    found = secretentries.certificates(secrets, "key", NODE)
    assert found is not None
    assert (found.certificate, found.private_key) == (other.certificate, other.private_key)
    assert found.authorities == ONE.certificate
    assert found.revocation_lists
    assert found.version == "2/1"
    key = secretentries.pre_shared_key(secrets, "key", NODE)
    assert key is not None
    assert key.content == b"p" * 32
    of_another = secretentries.certificates(secrets, "key", "gw-a2")
    assert of_another is not None
    assert of_another.certificate == GOOD.certificate
    assert secretentries.certificates(secrets, "absent", NODE) is None
    broken = {"key": secret("1", {"tls.crt": "%", "psk": "%"})}
    assert secretentries.pre_shared_key(broken, "key", NODE) is None
    assert secretentries.certificates(broken, "key", NODE) == CertificateEntries(version="1")


def test_the_peer_is_checked_by_the_secret_for_all_gateways() -> None:
    """cert-manager's Secret for a gateway has the CA of that gateway's certificate as ca.crt."""
    secrets = {
        "key": {"metadata": {"resourceVersion": "1"}, "data": secret_data(ca_crt=TWO.certificate)},
        f"key-{NODE}": {"metadata": {"resourceVersion": "2"}, "data": secret_data(GOOD, ca_crt=ONE.certificate)},
    }
    found = secretentries.certificates(secrets, "key", NODE)
    assert found is not None
    assert (found.certificate, found.authorities) == (GOOD.certificate, TWO.certificate)


def test_the_secret_of_another_peer_is_not_that_of_a_gateway() -> None:
    """Clouds `east` and `east-gw-a1`, and a gateway `gw-a1`: neither peer may know the key of the other."""
    secrets = {
        name: {"metadata": {"resourceVersion": "1"}, "data": secret_data(GOOD, psk=name.encode() * 8)}
        for name in ("peer-east", f"peer-east-{NODE}")
    }
    key = secretentries.pre_shared_key(secrets, "peer-east", NODE, {*secrets})
    assert key is not None
    assert key.content == b"peer-east" * 8
    found = secretentries.certificates(secrets, "peer-east", NODE, {*secrets})
    assert found is not None
    assert found.version == "1"
