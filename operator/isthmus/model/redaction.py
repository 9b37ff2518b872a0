"""What looks like a credential in a text: logs and archives for support are to have none.

Needs the standard library alone, because `kubectl isthmus` contains it.
"""

from __future__ import annotations

import re
from typing import Final

REDACTED: Final = "[redacted]"
_NAMES: Final = "psk|password|secret|token|x-auth-token|x-subject-token|authorization|client-key-data"
_NAME: Final = re.compile(f"(?i:{_NAMES})")
_SECRETS: Final = re.compile(
    r"(?i)"
    rf"(?P<name>[\"']?\b(?:{_NAMES})\b[\"']?"
    r"\s*[:=]\s*\"?(?:bearer\s+)?)"
    r"(?P<value>'[^']*'|[^\s\",}]+)"
    r"|(?P<jwt>\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+)"
    r"|(?P<fernet>\bgAAAA[\w-]{40,}=*)"
    r"|(?P<pem>-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----)",
    re.DOTALL,
)


def redacted(text: str) -> str:
    """The text without what looks like a credential: defence in depth, nobody should have put one there."""
    return _SECRETS.sub(lambda found: (found["name"] or "") + REDACTED, text)


def names_secret(field: str) -> bool:
    """Whether a field of that name holds a credential."""
    return _NAME.fullmatch(field) is not None
