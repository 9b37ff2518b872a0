"""When it is said that certificates, CAs and CRLs expire: for each by its own lifetime."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from isthmus.core.federation.agreement import Agreement
from isthmus.core.node import credentials
from isthmus.core.node.credentials import Usable
from isthmus.core.node.expiry import Expiry, Lifetime, expiring
from isthmus.model.api.v1alpha1.cloudpeer import TunnelIDRange
from isthmus.model.node.inputs import CertificateEntries
from isthmus.model.node.tunnel import Vxlan
from tests.fakes.nodeobjects import inputs, peer

NOW = datetime(2026, 6, 1, tzinfo=UTC)
_KEY = ec.generate_private_key(ec.SECP256R1())
_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca")])


def _expiry(lived_days: float, left_days: float, kind: str = "certificate") -> Expiry:
    return Expiry("cloud-b", kind, Lifetime(*_days(lived_days, left_days)), "key-b")


def _days(lived: float, left: float) -> tuple[datetime, datetime]:
    return NOW - timedelta(days=lived), NOW + timedelta(days=left)


@pytest.mark.parametrize(
    ("lived_days", "left_days", "reason"),
    [
        (365, 15, None),
        (365, 14, "CertificateExpiring"),
        (365, -1, "CertificateExpired"),
        (1, 2, None),
        (3, 1, "CertificateExpiring"),
        (-1, -2, "CertificateExpired"),
        (-3, 1, None),
    ],
)
def test_expiry_is_said_days_ahead(lived_days: int, left_days: int, reason: str | None) -> None:
    problem = expiring([_expiry(365, 900, "CA"), _expiry(lived_days, left_days)], NOW)
    assert (problem.reason if problem else None) == reason
    if problem:
        expires = "expires" if left_days >= 0 else "expired"
        assert problem.message.startswith(
            f"the certificate in Secret isthmus-ipsec/key-b for cloud-b {expires} at 2026-"
        )


def _ca(lived_days: float, left_days: float) -> bytes:
    builder = x509.CertificateBuilder(_NAME, _NAME, _KEY.public_key(), 7, *_days(lived_days, left_days))
    signed = builder.add_extension(x509.BasicConstraints(True, None), critical=True).sign(_KEY, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM)


def _crl(lived_days: float, left_days: float) -> bytes:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(_KEY.public_key())
    builder = x509.CertificateRevocationListBuilder(_NAME, *_days(lived_days, left_days))
    builder = builder.add_extension(identifier, critical=False)
    return builder.sign(_KEY, hashes.SHA256()).public_bytes(Encoding.PEM)


def _message(certificates: bytes, lists: bytes = b"") -> str:
    agreement = Agreement(Vxlan(14789), TunnelIDRange(), (), (), True, peer_authentication="Certificate")
    entries = CertificateEntries(authorities=certificates, revocation_lists=lists)
    given = replace(inputs(), certificates={"psk-b": entries})
    found = credentials.credential_of(given, peer().spec, agreement)
    assert isinstance(found, Usable), found
    problem = expiring(found.expiries, NOW)
    return problem.message if problem else ""


def test_a_new_ca_beside_the_old_one_leaves_the_warning_as_it_is() -> None:
    old, new = _ca(3640, 10), _ca(1, 3640)
    warning = "the CA in Secret isthmus-ipsec/psk-b for cloud-b expires at 2026-06-11 00:00 UTC"
    assert _message(old) == _message(old + new) == _message(new + old) == warning
    assert _message(new) == ""


def test_a_new_crl_beside_the_old_one_leaves_the_warning_as_it_is() -> None:
    ca, old, new = _ca(1, 3640), _crl(27, 9), _crl(0, 30)
    warning = "the CRL in Secret isthmus-ipsec/psk-b for cloud-b expires at 2026-06-10 00:00 UTC"
    assert _message(ca, old) == _message(ca, old + new) == _message(ca, new + old) == warning
    assert _message(ca, new) == ""


def test_everything_that_expires_counts() -> None:
    assert _message(_ca(3640, 10) + _ca(3640, 11), _crl(27, 9)).endswith("expires at 2026-06-10 00:00 UTC; 2 more")
