"""When a bearer token ends, as it says itself: a JSON Web Token (RFC 7519), as Kubernetes issues them."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_LATEST = 253402300799  # the end of the year 9999, beyond which there are no dates


@dataclass(frozen=True)
class Lifetime:
    """The times at which a token begins and ends to be valid."""

    begins: datetime
    ends: datetime


def lifetime_of(token: str) -> Lifetime | None:
    """The lifetime of a token; None if it does not tell, such as a Secret's, which never ends. Verifies nothing."""
    claims = _claims(token)
    ends = _moment(claims.get("exp"))
    begins = _moment(claims.get("iat"))
    return Lifetime(min(begins or ends, ends), ends) if ends is not None else None


def _claims(token: str) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _moment(claim: object) -> datetime | None:
    is_number = isinstance(claim, int | float) and not isinstance(claim, bool) and 0 <= claim <= _LATEST
    return datetime.fromtimestamp(float(claim), UTC) if is_number else None  # type: ignore[arg-type]
