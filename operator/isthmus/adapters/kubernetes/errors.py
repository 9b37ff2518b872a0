"""Translates the errors of the official client and of urllib3 into ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError
from urllib3.exceptions import TimeoutError as HTTPTimeout

from isthmus.model import errors

_MAX_MESSAGE_CHARACTERS: Final = 512


class Expired(errors.Unavailable):
    """The requested version of a list is no longer stored (410): list again."""


class SilentStream(errors.Unavailable):
    """Nothing has arrived on a stream for so long that its connection must be broken."""


@contextmanager
def translated(timeout_seconds: float) -> Iterator[None]:
    """Raise `ExternalError` subclasses only; the time-out is for messages."""
    try:
        yield
    except ApiException as error:
        raise by_status(error) from error
    except (HTTPError, OSError) as error:
        raise errors.Unavailable(f"the API server does not respond: {_cause(error, timeout_seconds)}") from error


def by_status(error: ApiException) -> errors.ExternalError:
    """The error for a response that is not a success, with the message of its Status object, if it has one."""
    status = _status(error.body)
    text = str(status.get("message") or _without_status(error))[:_MAX_MESSAGE_CHARACTERS]
    match error.status:
        case 403 if "NamespaceTerminating" in _causes(status, "reason"):
            return errors.Conflict(text)
        case 401 | 403:
            return errors.Forbidden(text)
        case 404:
            return errors.NotFound(text)
        case 409:
            return errors.Conflict(text)
        case 410:
            return Expired(text)
        case 400 | 405 | 413 | 415 | 422:
            return errors.Invalid(text, _causes(status, "field"))
        case _:
            return errors.Unavailable(text)


def _status(body: object) -> dict[str, Any]:
    try:
        document = json.loads(body) if isinstance(body, str) else None
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {}


def _causes(status: dict[str, Any], part: str) -> set[str]:
    details = status.get("details") or {}
    return {cause.get(part, "") for cause in details.get("causes") or ()}


def _without_status(error: ApiException) -> str:
    if not error.status:  # no response: the TLS handshake failed
        return f"the API server does not respond: {' '.join(str(error.reason).split())}"
    return f"the API server returned status {error.status} without a message"


def _cause(error: Exception, timeout_seconds: float) -> str:
    """The same text for the same problem: messages of urllib3 contain varying times and sizes."""
    match error:
        case NewConnectionError():
            return str(error.__cause__ or "no connection")
        case HTTPTimeout():
            return f"no response within {timeout_seconds:g} s"
        case ProtocolError():
            return "the connection was closed, or the response is not HTTP"
        case _:
            return str(error) or type(error).__name__
