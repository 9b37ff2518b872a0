"""Which revocation lists charon heeds, and which it discards for which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from isthmus.core.node.revocations import replaced, signer

_KEY = ec.generate_private_key(ec.SECP256R1())


def _list(number: int | None, issuer: str = "one", days: int = 0, *extensions: x509.ExtensionType) -> bytes:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)])
    builder = x509.CertificateRevocationListBuilder(name, now, now + timedelta(30))
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(_KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def test_by_a_newer_one_of_the_same_ca() -> None:
    numbered, dated = _list(1), _list(None)
    assert replaced([numbered], [_list(2)]) == {numbered}
    assert replaced([dated], [_list(None, days=1)]) == {dated}
    assert replaced([numbered], [_list(None, days=1)]) == {numbered}, "by date, if one has no number"


def test_by_nothing_else() -> None:
    former, latter = _list(1, days=1), _list(2)
    assert replaced([latter], [former]) == set(), "the number counts"
    assert replaced([latter], [_list(2, days=1)]) == set(), "charon takes no other list of the same number"
    assert replaced([former], [_list(2, "two")]) == set()
    assert replaced([former, latter], []) == set()
    assert replaced([former, latter], [former, latter]) == {former}


def test_by_none_of_other_certificates() -> None:
    """charon replaces it all the same, and then it is missing."""
    part = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
    assert replaced([_list(1)], [_list(2, "one", 0, part)]) == set()
    assert replaced([_list(1, "one", 0, part)], [_list(2, "one", 0, part)]) != set()
    assert replaced([_list(1)], [_list(2, "one", 0, x509.AuthorityKeyIdentifier(b"other", None, None))]) == set()
    assert replaced([_list(1)], [_list(2, "ONE")]) != set(), "charon does not distinguish them"


_IDENTIFIER = x509.AuthorityKeyIdentifier.from_issuer_public_key(_KEY.public_key())


def _authority(*extensions: x509.ExtensionType, name: str = "one") -> x509.Certificate:
    subject, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(subject, subject, _KEY.public_key(), 7, now, now + timedelta(30))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(_KEY, hashes.SHA256())


def _usage(crl_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(False, False, False, False, False, True, crl_sign, False, False)


@pytest.mark.parametrize("extensions", [(), (x509.SubjectKeyIdentifier.from_public_key(_KEY.public_key()),)])
def test_charon_heeds_a_list_with_the_key_identifier_of_its_ca(extensions: tuple[x509.ExtensionType, ...]) -> None:
    authority = _authority(_usage(True), *extensions)
    found = x509.load_der_x509_crl(_list(1, "one", 0, _IDENTIFIER))
    assert signer(found, [_authority(name="two"), authority]) == authority


@pytest.mark.parametrize(
    ("authority", "extensions", "text"),
    [
        (_authority(name="two"), (_IDENTIFIER,), "that no CA in ca.crt signed"),
        (_authority(), (), "without an authority key identifier"),
        (_authority(), (x509.AuthorityKeyIdentifier(None, None, None),), "without an authority key identifier"),
        (_authority(), (x509.AuthorityKeyIdentifier(b"", None, None),), "without an authority key identifier"),
        (_authority(), (x509.AuthorityKeyIdentifier(b"other", None, None),), "that is not that of the CA"),
        (_authority(x509.SubjectKeyIdentifier(b"other")), (_IDENTIFIER,), "that is not that of the CA"),
        (_authority(_usage(False)), (_IDENTIFIER,), "whose key usage lacks cRLSign"),
        (_authority(), (_IDENTIFIER, x509.DeltaCRLIndicator(1)), "that is a delta CRL"),
    ],
)
def test_charon_does_not_heed(
    authority: x509.Certificate, extensions: tuple[x509.ExtensionType, ...], text: str
) -> None:
    refusal = signer(x509.load_der_x509_crl(_list(2, "one", 0, *extensions)), [authority])
    assert isinstance(refusal, str)
    assert text in refusal


def test_what_cannot_be_read_is_not_replaced() -> None:
    assert replaced([b"text"], [_list(1)]) == set()
    assert replaced([_list(1)], [b"text"]) == set()
