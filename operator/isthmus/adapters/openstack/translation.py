"""Failures of Keystone, Neutron and openstacksdk as the errors of `model.errors`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from isthmus.model import errors

_REQUEST_ID = re.compile(r" ?\(?Request-ID: req-[-0-9a-f]+\)?")
_MAX_MESSAGE_CHARACTERS: Final = 512


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Translate errors without a response of the service: authentication, discovery, the connection."""
    from keystoneauth1.exceptions import ClientException, Forbidden, Unauthorized
    from openstack.exceptions import SDKException

    try:
        yield
    except Unauthorized as error:
        raise errors.Forbidden(f"the credential was rejected: {_strip_request_id(service, error)}") from error
    except Forbidden as error:
        raise errors.Forbidden(_strip_request_id(service, error)) from error
    except (ClientException, SDKException, OSError) as error:
        raise errors.Unavailable(_strip_request_id(service, error)) from error


def _strip_request_id(service: str, error: Exception) -> str:
    """The error's text without its request ID, which would make every retry a new status and so a write."""
    return _REQUEST_ID.sub("", f"{service}: {error}")[:_MAX_MESSAGE_CHARACTERS]


def by_status(service: str, status: int, text: str) -> errors.ExternalError:
    """The error for a response of the service with that status and body."""
    type_, message = _error_type_and_message(text)
    message = f"{service}: {message or f'status {status}'}"[:_MAX_MESSAGE_CHARACTERS]
    match status:
        case 401 | 403:
            return errors.Forbidden(message)
        case 404:
            return errors.NotFound(message)
        case 409 if type_ == "OverQuota":
            return errors.QuotaExceeded(message)
        case 409 | 412:
            return errors.Conflict(message)
        case 400 | 405 | 415 | 422:
            return errors.Invalid(message)
        case _:
            return errors.Unavailable(message)


def _error_type_and_message(text: str) -> tuple[str, str]:
    """Type and message in the body of Neutron's or Keystone's error; empty if it has none."""
    try:
        document = json.loads(text)
        error = document.get("NeutronError") or document.get("error") or {}
        return str(error.get("type", "")), str(error.get("message", ""))
    except (ValueError, AttributeError):
        return "", ""
