"""Certification authorities for tests: certificates, keys and revocation lists in PEM."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key in PEM."""

    certificate: bytes
    private_key: bytes = field(repr=False)
    serial: int

    @property
    def canaries(self) -> tuple[bytes, ...]:
        """What of the private key must be found nowhere: each line of it that is long enough to be of it alone."""
        lines = self.private_key.splitlines()[1:-1]
        return tuple(line for line in lines if len(line) >= 40)


class Authority:
    """A CA that signs certificates, other CAs and revocation lists."""

    def __init__(
        self, name: str, issuer: Authority | None = None, days: int = 3650, copied: Authority | None = None
    ) -> None:
        """`copied`: the CA whose key identifier it claims, with a key of its own."""
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP384R1())
        self._key_identifier: x509.SubjectKeyIdentifier = (
            copied._key_identifier
            if copied is not None
            else x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        )
        self._lists = 0
        signer = issuer or self
        begins = datetime.now(UTC) - _HOUR
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(signer._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(self._key_identifier, critical=False)
            .sign(signer._key, hashes.SHA384())
        )
        self.certificate = certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        dns_name: str,
        begins: timedelta = -_HOUR,
        ends: timedelta = timedelta(days=90),
        further_names: Iterable[str] = (),
    ) -> Issued:
        """A certificate for a gateway, valid from and until so long after now; larger with further names."""
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in (dns_name, *further_names)])
        key, now = ec.generate_private_key(ec.SECP384R1()), datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(alternative, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(self._identifier(), critical=False)
            .sign(self._key, hashes.SHA384())
        )
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Issued(certificate.public_bytes(Encoding.PEM), pem, certificate.serial_number)

    def revoke(self, serials: Iterable[int], number: int | None = None, pretended: Authority | None = None) -> bytes:
        """The next revocation list, or that of a number; `pretended`: the CA of which it is said to be."""
        self._lists += number is None
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(now - _HOUR).next_update(now + timedelta(days=30))
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - _HOUR)
            builder = builder.add_revoked_certificate(entry.build())
        builder = builder.add_extension(x509.CRLNumber(self._lists if number is None else number), critical=False)
        signed = builder.add_extension((pretended or self)._identifier(), critical=False).sign(
            self._key, hashes.SHA384()
        )
        return signed.public_bytes(Encoding.PEM)

    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._key_identifier)


def secret_data(issued: Issued | None = None, **entries: bytes) -> dict[str, str]:
    """The `data` of a Secret; entries by name with an underscore for the point: `ca_crt=...`."""
    own = {"tls.crt": issued.certificate, "tls.key": issued.private_key} if issued else {}
    found = own | {name.replace("_", "."): content for name, content in entries.items()}
    return {name: base64.b64encode(content).decode() for name, content in found.items()}
