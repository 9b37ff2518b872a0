"""Which revocation lists charon discards for which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from isthmus.core.node.revocations import replaced

_KEY = ec.generate_private_key(ec.SECP256R1())


def _list(number: int | None, issuer: str = "one", days: int = 0) -> bytes:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)])
    builder = x509.CertificateRevocationListBuilder(name, now, now + timedelta(30))
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
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


def test_what_cannot_be_read_is_not_replaced() -> None:
    assert replaced([b"text"], [_list(1)]) == set()
    assert replaced([_list(1)], [b"text"]) == set()
