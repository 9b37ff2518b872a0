"""CAs as charon tells them apart, and those that it confuses.

It takes two revocation lists as of one CA if the names of their issuers are equal, or their authority key identifiers
(strongSwan 5.9 and 6), and keeps only the one of the higher number: what the other one revokes is accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.reasons import Reason
from isthmus.model.text import printable

from .distinguishednames import Subject, alike

_NONE: frozenset[Issuer] = frozenset()


@dataclass(frozen=True)
class Issuer:
    """A CA, whichever of its certificates it is read from. Equal if it is the same one for charon and in fact."""

    name: str = field(compare=False)
    """Printable, for messages."""
    subject: Subject
    key: str
    """Digest of the public key."""
    key_identifier: bytes

    def is_confused_with(self, other: Issuer) -> bool:
        """Whether charon takes a list of the one for one of the other, or heeds it for some of its certificates."""
        return self != other and (
            self.subject == other.subject
            or self.key_identifier == other.key_identifier
            # Of one key, charon finds the lists by an identifier that the certificate chooses.
            or self.key == other.key
        )


def issuer(certificate: x509.Certificate) -> Issuer:
    """ValueError and others of `cryptography` if it cannot be parsed."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    subject = alike(certificate.subject)
    name = printable(certificate.subject.rfc4514_string())[:128]
    return Issuer(name, subject, sha256(key).hexdigest(), key_identifier(certificate))


def issuers(certificates: Iterable[bytes]) -> frozenset[Issuer]:
    """CAs of certificates in DER, without those that cannot be parsed."""
    found = set()
    for content in certificates:
        with suppress(ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension):
            found.add(issuer(x509.load_der_x509_certificate(content)))
    return frozenset(found)


def key_identifier(certificate: x509.Certificate) -> bytes:
    """By which charon finds the lists of a CA: as its certificate says, else by its key (RFC 5280, 4.2.1.2 (1))."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def confused_within(secret: str, issuers: frozenset[Issuer], with_lists: frozenset[Issuer]) -> Problem | None:
    """CAs of one peer of which charon would heed one CRL only, or that of one for both."""
    for one in _ordered(with_lists):
        for other in _ordered(issuers):
            of_both = other in with_lists or one.key_identifier == other.key_identifier or one.key == other.key
            if one.is_confused_with(other) and of_both:
                where = f"Secret {names.IPSEC_NAMESPACE}/{secret}"
                text = (
                    f"{names.REVOCATION_KEY} of {where} has a CRL of CA {one.name}, and {names.AUTHORITIES_KEY} another"
                    " CA with the same subject, key or key identifier: charon would confuse their CRLs. Use a new CA "
                    "with another subject and key, or remove one of the two, or its CRL"
                )
                return Problem(Reason.INVALID_CERTIFICATE, text)
    return None


def confusions(
    wanted: Mapping[str, frozenset[Issuer]], trusted: Mapping[str, frozenset[Issuer]], ranks: Sequence[str]
) -> dict[str, Problem]:
    """Secrets, by name, with a CA that charon would confuse with one of another Secret; of two the later one.

    `wanted` are the CAs that each is to have, `trusted` those that charon already has of each: they go first, so that
    no peer displaces another one by a copy of its CA's name. Else those in front in `ranks` go first.
    """
    found: dict[str, Problem] = {}
    accepted: dict[str, frozenset[Issuer]] = {}
    rank = {name: number for number, name in reversed([*enumerate(ranks)])}
    for secret in sorted(wanted, key=lambda s: (not wanted[s] <= trusted.get(s, _NONE), rank.get(s, len(rank)), s)):
        pair = next(_confused(secret, wanted[secret], trusted, accepted), None)
        if pair is None:
            accepted[secret] = wanted[secret]
        else:
            found[secret] = _problem(secret, *pair)
    return found


def _confused(
    secret: str,
    wanted: frozenset[Issuer],
    trusted: Mapping[str, frozenset[Issuer]],
    accepted: Mapping[str, frozenset[Issuer]],
) -> Iterator[tuple[Issuer, str]]:
    """Each CA of the Secret with the other Secret that has one like it. What charon has need not fear what it has."""
    for ours in _ordered(wanted):
        others = accepted if ours in trusted.get(secret, _NONE) else _union(accepted, trusted)
        for name in sorted(others.keys() - {secret}):
            if any(ours.is_confused_with(each) for each in others[name]):
                yield ours, name


def _union(
    one: Mapping[str, frozenset[Issuer]], other: Mapping[str, frozenset[Issuer]]
) -> dict[str, frozenset[Issuer]]:
    return {name: one.get(name, _NONE) | other.get(name, _NONE) for name in {*one, *other}}


def _problem(secret: str, ours: Issuer, other: str) -> Problem:
    text = (
        f"{names.AUTHORITIES_KEY} of Secret {names.IPSEC_NAMESPACE}/{secret} has CA {ours.name}, and that of Secret "
        f"{names.IPSEC_NAMESPACE}/{other} another CA with the same subject, key or key identifier: charon would "
        "confuse their CRLs, so this connection stays as it is. Have this peer use a CA with a subject and a key of "
        "its own"
    )
    return Problem(Reason.INVALID_CERTIFICATE, text)


def _ordered(issuers: frozenset[Issuer]) -> list[Issuer]:
    return sorted(issuers, key=lambda each: (each.name, each.key, each.key_identifier))
