"""Which revocation lists replace which in charon."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509


@dataclass(frozen=True)
class _Issue:
    """Which list of a CA it is."""

    authority: tuple[bytes, bytes]
    number: int | None
    at: datetime


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
        number = extensions.get(x509.CRLNumber.oid)
        return _Issue(
            (found.issuer.public_bytes(), key.public_bytes() if key is not None else b""),
            number.crl_number if isinstance(number, x509.CRLNumber) else None,
            found.last_update_utc,
        )
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return None
