"""Certificates and CRLs that are not quite what they claim: refused for the one peer, whatever is wrong with them.

`cryptography` reads names, dates and extensions when they are accessed, long after a certificate was loaded.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.node.certificates import Authorities, OwnCertificate, authorities, own_certificate
from isthmus.model.actions import Problem
from isthmus.model.node.inputs import CertificateEntries
from isthmus.model.reasons import Reason
from tests.fakes.nodeobjects import NODE, OWN

IDENTITY = f"{NODE}.{OWN}"
_KEY = ec.generate_private_key(ec.SECP256R1())
_NOW = datetime(2026, 6, 1, tzinfo=UTC)
_NAME = "MuellerX"
_UTF8_STRING = b"\x0c\x08MuellerX"
_SUBJECT = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _NAME)])
ODD_NAMES = {
    "TeletexString in Latin-1": b"\x14\x08M\xfcller X",
    "UTF8String in Latin-1": b"\x0c\x08M\xfcller X",
    "PrintableString in Latin-1": b"\x13\x08M\xfcller X",
    "IA5String in Latin-1": b"\x16\x08M\xfcller X",
    "BMPString that ends early": b"\x1e\x07MuellerX",
    "BMPString with half a pair": b"\x1e\x08\xd8\x00\x00M\x00u\x00e",
    "UniversalString beyond Unicode": b"\x1c\x08\x00\x11\x00\x00\x00\x00\x00M",
    "VisibleString in Latin-1": b"\x1a\x08M\xfcller X",
    "NumericString": b"\x12\x08MuellerX",
    "BIT STRING": b"\x03\x08MuellerX",
    "OCTET STRING": b"\x04\x08MuellerX",
    "INTEGER": b"\x02\x08MuellerX",
}


def _certificate(name: x509.Name = _SUBJECT, is_ca: bool = True, dns_name: str = IDENTITY) -> bytes:
    signed = (
        x509.CertificateBuilder(name, name, _KEY.public_key(), 7, _NOW, _NOW + timedelta(days=90))
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns_name)]), critical=False)
        .sign(_KEY, hashes.SHA256())
    )
    return signed.public_bytes(Encoding.DER)


def _crl() -> bytes:
    entry = x509.RevokedCertificateBuilder(9, _NOW).build()
    builder = x509.CertificateRevocationListBuilder(_SUBJECT, _NOW, _NOW + timedelta(days=7), [], [entry])
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(_KEY.public_key())
    builder = builder.add_extension(x509.CRLNumber(1), critical=False).add_extension(identifier, critical=False)
    signed = builder.sign(_KEY, hashes.SHA256())
    return signed.public_bytes(Encoding.DER)


def _pem(content: bytes, label: str = "CERTIFICATE") -> bytes:
    text = base64.encodebytes(content)
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label.encode(), text, label.encode())


CA, LEAF, CRL = _certificate(), _certificate(is_ca=False), _crl()
CA_IN_LATIN_1 = _pem(CA.replace(_UTF8_STRING, ODD_NAMES["TeletexString in Latin-1"]))
PRIVATE_KEY = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _of_peer(ca: bytes, crl: bytes = b"") -> Authorities | Problem:
    return authorities("key-b", _pem(ca), _pem(crl, "X509 CRL") if crl else b"")


def _own(leaf: bytes, *others: bytes, private_key: bytes = PRIVATE_KEY) -> OwnCertificate | Problem:
    content = b"".join(_pem(each) for each in (leaf, *others))
    return own_certificate("key-b", CertificateEntries(content, private_key), IDENTITY)


def test_what_the_tests_change_is_accepted_as_it_is() -> None:
    assert isinstance(_of_peer(CA, CRL), Authorities)
    assert isinstance(_own(LEAF, CA), OwnCertificate)
    assert isinstance(_of_peer(CA, _signed_again(CRL)), Authorities)


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_an_odd_name_of_a_ca_is_refused_or_read(name: bytes) -> None:
    odd = CA.replace(_UTF8_STRING, name)
    assert odd != CA
    for found in (_of_peer(odd), _of_peer(CA, CRL.replace(_UTF8_STRING, name)), _own(LEAF, odd)):
        if isinstance(found, Problem):
            assert found.reason in (Reason.INVALID_CERTIFICATE, Reason.CERTIFICATE_CHAIN_TOO_LONG)


def test_a_name_in_the_wrong_encoding_says_which_ca_to_issue_again() -> None:
    found = authorities("key-b", CA_IN_LATIN_1, b"")
    assert isinstance(found, Problem)
    assert found.reason == Reason.INVALID_CERTIFICATE
    assert "ca.crt of Secret isthmus-ipsec/key-b has a CA of serial number 7 (hex)" in found.message
    assert "issue it in UTF-8" in found.message


@pytest.mark.parametrize("field", [b"\x18\x0f00000601000000Z", b"\x18\x0f99991231235959Z", b"\x17\x0d000000000000Z"])
def test_odd_dates_raise_nothing(field: bytes) -> None:
    for date in (b"\x17\x0d260601000000Z", b"\x17\x0d260830000000Z", b"\x17\x0d260608000000Z"):
        assert date in CA + CRL
        for found in (_of_peer(CA.replace(date, field)), _of_peer(CA, CRL.replace(date, field))):
            assert isinstance(found, Authorities | Problem)
        assert isinstance(_own(LEAF.replace(date, field)), OwnCertificate | Problem)


def _flipped(content: bytes, flips: dict[int, int]) -> bytes:
    changed = bytearray(content)
    for position, mask in flips.items():
        changed[position % len(content)] ^= mask
    return bytes(changed)


def _signed_again(crl: bytes) -> bytes:
    """The changed list with a signature that is valid all the same (RFC 5280, section 5.1)."""
    original = x509.load_der_x509_crl(CRL).tbs_certlist_bytes
    begin = CRL.index(original)
    content = crl[begin : begin + len(original)]
    ecdsa_with_sha256 = bytes.fromhex("300a06082a8648ce3d040302")
    signature = b"\0" + _KEY.sign(content, ec.ECDSA(hashes.SHA256()))
    parts = content + ecdsa_with_sha256 + b"\x03%c" % len(signature) + signature
    return b"\x30\x81%c" % len(parts) + parts


FLIPS = st.dictionaries(st.integers(0, 1023), st.integers(1, 255), min_size=1, max_size=4)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(FLIPS)
def test_changed_bytes_raise_nothing(flips: dict[int, int]) -> None:
    ca, leaf, crl = (_flipped(each, flips) for each in (CA, LEAF, CRL))
    assert isinstance(_of_peer(ca), Authorities | Problem)
    assert isinstance(_of_peer(CA, crl), Authorities | Problem)
    assert isinstance(_own(leaf), OwnCertificate | Problem)
    assert isinstance(_own(LEAF, ca), OwnCertificate | Problem)
    assert isinstance(_own(LEAF, private_key=_flipped(PRIVATE_KEY, flips)), OwnCertificate | Problem)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_no_single_bit_raises_anything() -> None:
    for bit in range(8 * len(CA)):
        assert isinstance(_of_peer(_flipped(CA, {bit // 8: 1 << bit % 8})), Authorities | Problem)
    for bit in range(8 * len(CRL)):
        signed = _signed_again(_flipped(CRL, {bit // 8: 1 << bit % 8}))
        assert isinstance(_of_peer(CA, signed), Authorities | Problem)


@given(FLIPS)
def test_a_crl_that_its_ca_signed_raises_nothing(flips: dict[int, int]) -> None:
    assert isinstance(_of_peer(CA, _signed_again(_flipped(CRL, flips))), Authorities | Problem)


@pytest.mark.parametrize("text", ["x\n2026-11-27 INFO isthmus forged", "x\x1b[2Jforged", "x\u202eforged"])
def test_no_name_reaches_a_terminal_as_it_is(text: str) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
    found: list[object] = [_of_peer(_certificate(name, is_ca=False))]
    if text.isascii():
        found.append(_own(_certificate(is_ca=False, dns_name=text)))
    for problem in found:
        assert isinstance(problem, Problem)
        assert problem.message.isprintable()
        assert "forged" in problem.message
