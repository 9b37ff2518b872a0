"""Which revocation lists charon heeds, and which replace which in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from .distinguishednames import Subject, alike
from .issuers import key_identifier

E = TypeVar("E", bound=x509.ExtensionType)


@dataclass(frozen=True)
class _Issue:
    """Which list of a CA it is."""

    authority: tuple[Subject, bytes, tuple[bytes, ...]]
    """Name and key identifier, and what it is limited to: one for a part of the certificates replaces no other one."""
    number: int | None
    at: datetime


def signer(
    revocation_list: x509.CertificateRevocationList, authorities: Iterable[x509.Certificate]
) -> x509.Certificate | str:
    """The CA that signed the list and by whose key identifier charon finds it; else why there is none, for a message.

    charon looks for the lists of a CA by its key identifier alone, and does not check what it never finds.
    """
    signers = [each for each in authorities if _is_signed_by(revocation_list, each)]
    if not signers:
        return "that no CA in ca.crt signed"
    if _extension(revocation_list, x509.DeltaCRLIndicator) is not None:
        return "that is a delta CRL: store complete ones"
    found = _extension(revocation_list, x509.AuthorityKeyIdentifier)
    identifier = found.key_identifier if found is not None else None
    if not identifier:
        return "without an authority key identifier, by which charon finds it: have the CA add it (RFC 5280, 5.2.1)"
    identified = [each for each in signers if key_identifier(each) == identifier]
    if not identified:
        return "with an authority key identifier that is not that of the CA that signed it: have the CA correct it"
    allowed = next((each for each in identified if _may_sign_lists(each)), None)
    return allowed or "of a CA whose key usage lacks cRLSign, so that charon does not heed it: have the CA issued again"


def _is_signed_by(revocation_list: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    if authority.subject != revocation_list.issuer:
        return False
    try:
        return revocation_list.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False


def _may_sign_lists(authority: x509.Certificate) -> bool:
    """RFC 5280, 6.3.3 (f)."""
    usage = _extension(authority, x509.KeyUsage)
    return usage is None or usage.crl_sign


def _extension(of: x509.Certificate | x509.CertificateRevocationList, kind: type[E]) -> E | None:
    try:
        return of.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def replaced(present: Iterable[bytes], by: Collection[bytes]) -> frozenset[bytes]:
    """Those lists, in DER, of which `by` has a newer one of the same CA: by number, or by date if one has none.

    Charon keeps the newer one of two and ignores the other (RFC 5280, 5.2.3), and unloads none by itself. What cannot
    be read counts as never replaced.
    """
    newer = [_issue(content) for content in by]
    return frozenset(content for content in present if _is_replaced(_issue(content), newer))


def _is_replaced(issue: _Issue | None, by: Iterable[_Issue | None]) -> bool:
    return issue is not None and any(other is not None and _is_newer(other, issue) for other in by)


def _is_newer(issue: _Issue, than: _Issue) -> bool:
    if issue.authority != than.authority:
        return False
    if issue.number is not None and than.number is not None:
        return issue.number > than.number
    return issue.at > than.at


def _issue(content: bytes) -> _Issue | None:
    try:
        found = x509.load_der_x509_crl(content)
        extensions = {extension.oid: extension.value for extension in found.extensions}
        key = extensions.get(x509.AuthorityKeyIdentifier.oid)
        limits = (extensions.get(kind.oid) for kind in (x509.IssuingDistributionPoint, x509.DeltaCRLIndicator))
        number = extensions.get(x509.CRLNumber.oid)
        return _Issue(
            (
                alike(found.issuer),
                (key.key_identifier if isinstance(key, x509.AuthorityKeyIdentifier) else None) or b"",
                tuple(each.public_bytes() for each in limits if each is not None),
            ),
            number.crl_number if isinstance(number, x509.CRLNumber) else None,
            found.last_update_utc,
        )
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return None
