"""CAs that charon would confuse: which ones, and which of two peers yields."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type

from isthmus.core.node.certificates import Authorities, authorities
from isthmus.core.node.distinguishednames import alike
from isthmus.core.node.issuers import Issuer, confusions, issuer
from isthmus.model.actions import Problem
from tests.authority import Authority

C, OTHER = Authority("c"), Authority("other")
SAME_NAME, SAME_IDENTIFIER = Authority("C"), Authority("evil", copied=C)
_ORGANIZATION = x509.NameOID.ORGANIZATION_NAME
NOTHING: Mapping[str, frozenset[Issuer]] = {}


def _name(value: str, kind: _ASN1Type, oid: x509.ObjectIdentifier = x509.NameOID.COMMON_NAME) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value, kind)])


@pytest.mark.parametrize(
    ("one", "other", "is_alike"),
    [
        (_name("Cloud", _ASN1Type.PrintableString), _name("clouD", _ASN1Type.PrintableString), True),
        (_name("Cloud", _ASN1Type.PrintableString), _name("Cloud", _ASN1Type.UTF8String), True),
        (_name("cloud-c1", _ASN1Type.UTF8String), _name("汬潵搭挱", _ASN1Type.BMPString), False),
        (_name("cloud-c1", _ASN1Type.UTF8String), _name("捬潵搭挱", _ASN1Type.BMPString), True),
        (
            _name("c" * 300, _ASN1Type.UTF8String, _ORGANIZATION),
            _name("C" * 300, _ASN1Type.UTF8String, _ORGANIZATION),
            True,
        ),
        (
            _name("c" * 300, _ASN1Type.UTF8String, _ORGANIZATION),
            _name("c" * 299, _ASN1Type.UTF8String, _ORGANIZATION),
            False,
        ),
        (
            _name("c", _ASN1Type.UTF8String),
            _name("c", _ASN1Type.UTF8String, _ORGANIZATION),
            False,
        ),
    ],
)
def test_names_that_charon_takes_for_equal(one: x509.Name, other: x509.Name, is_alike: bool) -> None:
    """It compares octets: two of UTF-8 may be one character of BMPString."""
    assert (alike(one) == alike(other)) == is_alike


def _issuers(*found: Authority) -> frozenset[Issuer]:
    return frozenset(issuer(x509.load_pem_x509_certificate(each.certificate)) for each in found)


@pytest.mark.parametrize("copy", [SAME_NAME, SAME_IDENTIFIER])
def test_a_name_or_an_identifier_of_another_ca_is_refused_whoever_sorts_first(copy: Authority) -> None:
    wanted = {"psk-b": _issuers(copy), "psk-c": _issuers(C), "psk-d": _issuers(OTHER)}
    for first in ("psk-b", "psk-c"):
        ranks = [first, "psk-d"]
        assert confusions(wanted, {"psk-c": _issuers(C)}, ranks).keys() == {"psk-b"}, "charon has the other"
        assert confusions(wanted, NOTHING, ranks).keys() == {"psk-b", "psk-c"} - {first}
    (problem,) = confusions(wanted, NOTHING, ["psk-b"]).values()
    assert problem.reason == "InvalidCertificate"
    assert "Secret isthmus-ipsec/psk-c has CA CN=c, and that of Secret isthmus-ipsec/psk-b" in problem.message


def test_a_copy_beside_a_ca_in_use_is_refused() -> None:
    """Also while the peer that it was copied of is changing, or is not planned."""
    wanted = {"psk-b": _issuers(OTHER, SAME_NAME), "psk-c": _issuers(C, Authority("new"))}
    trusted = {"psk-b": _issuers(OTHER), "psk-c": _issuers(C)}
    assert confusions(wanted, trusted, ["psk-b", "psk-c"]).keys() == {"psk-b"}
    assert confusions({"psk-b": wanted["psk-b"]}, trusted, ["psk-b"]).keys() == {"psk-b"}


def test_what_charon_can_tell_apart_is_accepted() -> None:
    same = _issuers(C)
    assert confusions({"psk-b": same, "psk-c": same}, NOTHING, []) == {}, "one CA for two peers"
    assert confusions({"psk-b": _issuers(OTHER), "psk-c": same}, NOTHING, []) == {}
    assert confusions({"psk-c": _issuers(SAME_NAME)}, {"psk-c": same}, []) == {}, "a new CA in place of one's own"


@pytest.mark.parametrize(
    ("other", "lists", "is_accepted"),
    [
        (SAME_NAME, b"", True),
        (SAME_NAME, C.revoke([1]), True),
        (SAME_NAME, C.revoke([1]) + SAME_NAME.revoke([1]), False),
        (SAME_IDENTIFIER, b"", True),
        (SAME_IDENTIFIER, C.revoke([1]), False),
        (OTHER, C.revoke([1]) + OTHER.revoke([1]), True),
    ],
)
def test_two_cas_of_one_peer(other: Authority, lists: bytes, is_accepted: bool) -> None:
    """Charon finds a list by its CA's key identifier, and keeps one by name."""
    found = authorities("psk-c", C.certificate + other.certificate, lists)
    assert isinstance(found, Authorities if is_accepted else Problem)
    if isinstance(found, Problem):
        assert found.reason == "InvalidCertificate"
        assert "ca.crl of Secret isthmus-ipsec/psk-c has a CRL of CA CN=" in found.message
        assert "another CA with the same subject, key or key identifier" in found.message


def test_a_list_that_pretends_to_be_of_another_ca_is_refused() -> None:
    found = authorities("psk-b", OTHER.certificate, OTHER.revoke([], 2**60, pretended=C))
    assert isinstance(found, Problem)
    assert "an authority key identifier that is not that of the CA that signed it" in found.message
