"""Logs on standard output, as plain text or as JSON, in which credentials are redacted."""

from __future__ import annotations

import logging
import sys
from typing import Final, Literal

from isthmus.model.redaction import redacted

from .outages import KUBERNETES, OPEN_VSWITCH, OPENSTACK, Outages

_QUIET = (
    "keystoneauth",
    "openstack",
    "urllib3",
    "kopf",
    "asyncio",
    "ovsdbapp",
    "stevedore",
)

# Loggers whose warnings and errors are about one system that does not answer, and which repeat them at each attempt.
_SYSTEMS: Final = {
    "kopf": KUBERNETES,
    "kubernetes": KUBERNETES,
    "aiohttp": KUBERNETES,
    "isthmus.adapters.kubernetes.kopfoperator": KUBERNETES,
    "isthmus.adapters.kubernetes.login": KUBERNETES,
    "keystoneauth": OPENSTACK,
    "openstack": OPENSTACK,
    "ovs": OPEN_VSWITCH,
    "ovsdbapp": OPEN_VSWITCH,
}
# Their libraries report only within calls of ours, which then fail and name file and entry, or succeed nevertheless.
_BEGIN_WITH_FAILED_CALL: Final = frozenset({OPENSTACK})


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
    logging.captureWarnings(True)  # openstacksdk warns of mistakes in the clouds file
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def fold_outages(outages: Outages) -> None:
    """Replace what client libraries report while a system is away by one line when it begins and one when it ends.

    At level DEBUG everything is logged as it comes.
    """
    root = logging.getLogger()
    if root.getEffectiveLevel() > logging.DEBUG:
        for handler in root.handlers:
            handler.addFilter(_Folding(outages))


class _Folding(logging.Filter):
    def __init__(self, outages: Outages) -> None:
        super().__init__()
        self._outages = outages

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged as it is."""
        system = _system(record.name)
        if system is None or record.levelno < logging.WARNING:
            return True
        outage = self._outages[system]
        if system in _BEGIN_WITH_FAILED_CALL and not outage.is_open:
            return True
        outage.library_message(_summary(record))
        return False


def _system(logger: str) -> str | None:
    """By the logger or the nearest one above it."""
    parts = logger.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((_SYSTEMS[name] for name in names if name in _SYSTEMS), None)


def _summary(record: logging.LogRecord) -> str:
    """The record on one line, without a traceback."""
    library = record.name.partition(".")[0]
    text = next(iter(record.getMessage().splitlines()), "")
    text = text if library == "isthmus" else f"{library}: {text}"
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return text if error is None else f"{text}: {type(error).__name__}: {error}"


def _text() -> logging.Formatter:
    return logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")


def _json() -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields={"levelname": "level"})
