"""Checks what Secrets hold for authentication by certificates, before anything of it reaches charon.

No message discloses anything of a private key. One certificate directly below a CA is all that is supported: the
peer trusts CAs and nothing between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.node.inputs import CertificateEntries
from isthmus.model.reasons import Reason
from isthmus.model.text import listed, printable

from . import revocations
from .expiry import Lifetime
from .issuers import Issuer, confused_within, issuer

T = TypeVar("T")

MINIMUM_RSA_BITS: Final = 3072
_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)


@dataclass(frozen=True)
class OwnCertificate:
    """This node's certificate and key in PEM, which belong together."""

    pem: bytes
    private_key: bytes = field(repr=False)
    fingerprint: str
    lifetime: Lifetime


@dataclass(frozen=True)
class Authorities:
    """The CAs of a peer, each in PEM, and their revocation lists."""

    pem: tuple[bytes, ...]
    revocation_lists: tuple[bytes, ...]
    """In DER."""
    digest: str
    """Of the CAs, in whatever order they are listed."""
    revoked: str
    """Digest of what is revoked; empty if nothing is."""
    lifetimes: tuple[Lifetime, ...] = ()
    """Of each CA."""
    list_lifetimes: tuple[Lifetime, ...] = ()
    """Of each revocation list that has an end."""
    issuers: frozenset[Issuer] = frozenset()
    """The CAs, as charon tells them apart."""


def own_certificate(secret: str, entries: CertificateEntries, identity: str) -> OwnCertificate | Problem:
    """The certificate with which this node authenticates itself as `identity`."""
    return _read(lambda: _own_certificate(secret, entries, identity)) or _malformed(secret, names.CERTIFICATE_KEY)


@lru_cache(maxsize=64)
def authorities(secret: str, certificates: bytes, revocation_lists: bytes) -> Authorities | Problem:
    """The CAs that a peer's certificate must be from, and their revocation lists, both in PEM."""
    found = _read(lambda: _authorities(secret, certificates, revocation_lists))
    return found or _malformed(secret, f"{names.AUTHORITIES_KEY} or {names.REVOCATION_KEY}")


def _own_certificate(secret: str, entries: CertificateEntries, identity: str) -> OwnCertificate | Problem:
    if not entries.certificate or not entries.private_key:
        return _missing(secret, names.CERTIFICATE_KEY if not entries.certificate else names.PRIVATE_KEY_KEY)
    where = f"{names.CERTIFICATE_KEY} of {_secret(secret)}"
    found = _read(lambda: x509.load_pem_x509_certificates(entries.certificate))
    if not found:
        return Problem(Reason.INVALID_CERTIFICATE, f"{where} is not a certificate in PEM")
    leaf, *others = found
    if any(not _is_self_issued(other) for other in others):
        text = f"{where} has {len(found)} certificates: only one that a CA of the peer's {names.AUTHORITIES_KEY} issued"
        return Problem(Reason.CERTIFICATE_CHAIN_TOO_LONG, f"{text} directly is supported, so have it issued by the CA")
    problem = _leaf_problem(leaf, identity)
    if problem is not None:
        return Problem(Reason.INVALID_CERTIFICATE, f"{where} {problem}")
    key = _read(lambda: load_pem_private_key(entries.private_key, password=None))
    if key is None:
        text = f"{names.PRIVATE_KEY_KEY} of {_secret(secret)} is not an unencrypted private key in PEM"
        return Problem(Reason.INVALID_CERTIFICATE, text)
    if _encoded(key.public_key()) != _encoded(leaf.public_key()):
        text = f"{names.PRIVATE_KEY_KEY} of {_secret(secret)} is not the key of {names.CERTIFICATE_KEY}"
        return Problem(
            Reason.CERTIFICATE_KEY_DIFFERS, f"{text}: store the certificate and the key that belong together"
        )
    return OwnCertificate(
        pem=leaf.public_bytes(Encoding.PEM),
        private_key=entries.private_key,
        fingerprint=sha256(leaf.public_bytes(Encoding.DER)).hexdigest(),
        lifetime=Lifetime(leaf.not_valid_before_utc, leaf.not_valid_after_utc),
    )


def _authorities(secret: str, certificates: bytes, revocation_lists: bytes) -> Authorities | Problem:
    if not certificates:
        return _missing(secret, names.AUTHORITIES_KEY)
    where = f"{names.AUTHORITIES_KEY} of {_secret(secret)}"
    found = _read(lambda: x509.load_pem_x509_certificates(certificates))
    if not found:
        return Problem(Reason.INVALID_CERTIFICATE, f"{where} has no certificate in PEM")
    problem = next((text for each in found if (text := _authority_problem(each)) is not None), None)
    if problem is not None:
        return Problem(Reason.INVALID_CERTIFICATE, f"{where} {problem}")
    lists = _read(lambda: [x509.load_pem_x509_crl(part) for part in _pem_lists(revocation_lists)])
    if lists is None or (revocation_lists.strip() and not lists):
        text = f"{names.REVOCATION_KEY} of {_secret(secret)} is not a CRL in PEM"
        return Problem(Reason.INVALID_CERTIFICATE, text)
    signers = [revocations.signer(each, found) for each in lists]
    refused = next((each for each in signers if isinstance(each, str)), None)
    if refused is not None:
        text = f"{names.REVOCATION_KEY} of {_secret(secret)} has a CRL {refused}"
        return Problem(Reason.INVALID_CERTIFICATE, text)
    issuers = frozenset(issuer(each) for each in found)
    confused = confused_within(
        secret, issuers, frozenset(issuer(e) for e in signers if isinstance(e, x509.Certificate))
    )
    if confused is not None:
        return confused
    return Authorities(
        pem=tuple(each.public_bytes(Encoding.PEM) for each in found),
        revocation_lists=tuple(each.public_bytes(Encoding.DER) for each in lists),
        digest=_digest(each.public_bytes(Encoding.DER) for each in found),
        revoked=_digest(_revocations(lists)),
        lifetimes=tuple(Lifetime(each.not_valid_before_utc, each.not_valid_after_utc) for each in found),
        list_lifetimes=tuple(
            Lifetime(each.last_update_utc, each.next_update_utc) for each in lists if each.next_update_utc is not None
        ),
        issuers=issuers,
    )


def _leaf_problem(leaf: x509.Certificate, identity: str) -> str | None:
    weak = _weak_key(leaf)
    if weak is not None:
        return weak
    basic = _read(lambda: leaf.extensions.get_extension_for_class(x509.BasicConstraints).value)
    if basic is not None and basic.ca:
        return "is the certificate of a CA, and not of a gateway"
    alternative = _read(lambda: leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    found = alternative.get_values_for_type(x509.DNSName) if alternative is not None else []
    if identity in found:
        return None
    names_found = printable(listed(found, at_most=4))[:256] or "none"
    return f"lacks the DNS name {identity} among its subject alternative names: it has {names_found}"


def _authority_problem(certificate: x509.Certificate) -> str | None:
    name = _read(lambda: printable(certificate.subject.rfc4514_string())[:128])
    if name is None:
        number = f"{certificate.serial_number:x}"[:40]
        return f"has a CA of serial number {number} (hex) whose subject is not encoded as declared: issue it in UTF-8"
    basic = _read(lambda: certificate.extensions.get_extension_for_class(x509.BasicConstraints).value)
    if basic is None or not basic.ca:
        return f"has {name}, which is not the certificate of a CA"
    weak = _weak_key(certificate)
    return f"has {name}, which {weak}" if weak else None


def _weak_key(certificate: x509.Certificate) -> str | None:
    key = _read(certificate.public_key)
    match key:
        case rsa.RSAPublicKey():
            too_short = key.key_size < MINIMUM_RSA_BITS
            return (
                f"has an RSA key of {key.key_size} bits: at least {MINIMUM_RSA_BITS} are needed" if too_short else None
            )
        case ec.EllipticCurvePublicKey():
            return f"has a key on curve {key.curve.name}: use P-256 or stronger" if key.key_size < 256 else None
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return None
    return "has a key of a kind that is not supported: use ECDSA, Ed25519 or RSA"


def _is_self_issued(certificate: x509.Certificate) -> bool:
    return certificate.issuer == certificate.subject


def _revocations(lists: Iterable[x509.CertificateRevocationList]) -> list[bytes]:
    return [each.issuer.public_bytes() + str(entry.serial_number).encode() for each in lists for entry in each]


def _pem_lists(content: bytes) -> list[bytes]:
    begin, end = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"
    return [begin + part.split(end)[0] + end + b"\n" for part in content.split(begin)[1:]]


def _digest(parts: Iterable[bytes]) -> str:
    digests = sorted({sha256(part).hexdigest() for part in parts})
    return names.digest(*digests, digits=32) if digests else ""


def _encoded(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def _read(parse: Callable[[], T]) -> T | None:
    """None for whatever cannot be parsed; `cryptography` parses names, dates and extensions when they are accessed."""
    try:
        return parse()
    except (*_UNREADABLE, x509.ExtensionNotFound, x509.DuplicateExtension):
        return None


def _malformed(secret: str, entry: str) -> Problem:
    text = (
        f"{entry} of {_secret(secret)} has a name, a date or a number that is not encoded as declared: issue it again"
    )
    return Problem(Reason.INVALID_CERTIFICATE, text)


def _secret(name: str) -> str:
    return f"Secret {names.IPSEC_NAMESPACE}/{name}"


def _missing(secret: str, entry: str) -> Problem:
    return Problem(Reason.CERTIFICATE_NOT_FOUND, f"key {entry} of {_secret(secret)} does not exist")
