"""Logs on standard output, as text for people or as JSON, in which no credential is ever readable."""

from __future__ import annotations

import logging
import re
import sys
from typing import Literal

_REDACTED = "[redacted]"
_SECRETS = re.compile(
    r"(?i)"
    r"(?P<name>\"?\b(?:psk|password|secret|token|x-auth-token|x-subject-token|authorization|client-key-data)\b\"?"
    r"\s*[:=]\s*\"?(?:bearer\s+)?)"
    r"(?P<value>[^\s\",}]+)"
    r"|(?P<jwt>\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+)"
    r"|(?P<fernet>\bgAAAA[\w-]{40,}=*)"
    r"|(?P<pem>-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----)",
    re.DOTALL,
)
_QUIET = (
    "httpx",
    "httpx2",
    "httpcore",
    "keystoneauth",
    "openstack",
    "urllib3",
    "kopf",
    "asyncio",
    "ovsdbapp",
    "stevedore",
)


def redacted(text: str) -> str:
    """The text without what looks like a credential: defence in depth, nobody should have put one there."""
    return _SECRETS.sub(lambda found: (found["name"] or "") + _REDACTED, text)


class _Redacting(logging.Formatter):
    """Redacts the line as it would be written, exceptions included."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return redacted(self._inner.format(record))


def set_up(level: str, style: Literal["text", "json"]) -> None:
    """Log everything of this process to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Redacting(_json() if style == "json" else _text()))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def _text() -> logging.Formatter:
    return logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")


def _json() -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields={"levelname": "level"})
