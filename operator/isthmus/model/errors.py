"""Errors of external systems. Adapters raise these and no others, so that controller and agent can react to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from isthmus.model.reasons import Reason

from .text import printable


class ExternalError(Exception):
    """An external system refused or failed; `reason` is a condition's reason, the text its message."""

    reason: ClassVar[Reason] = Reason.UNAVAILABLE

    def __str__(self) -> str:
        return printable(super().__str__())


class Unavailable(ExternalError):
    """No answer, a server error, a timeout: nothing is known and nothing may be concluded. Retry."""

    reason = Reason.UNAVAILABLE


class Forbidden(ExternalError):
    """The credential does not allow this (401, 403)."""

    reason = Reason.FORBIDDEN


class NotFound(ExternalError):
    """The named resource does not exist (404)."""

    reason = Reason.NOT_FOUND


class NoTunnelAddress(ExternalError):
    """This node has no address in our gateway networks, perhaps only for the moment."""

    reason = Reason.NO_TUNNEL_ADDRESS


class Conflict(ExternalError):
    """The resource was changed or is in use by somebody else (409): read it again, then retry."""

    reason = Reason.CONFLICT


class QuotaExceeded(ExternalError):
    """A quota or another limit of the external system is exhausted."""

    reason = Reason.QUOTA_EXCEEDED


class Invalid(ExternalError):
    """The external system rejects the request as invalid (400, 422); a retry does not help.

    `fields` are paths of rejected fields (`status.conditions[0].message`), if the system names them.
    """

    reason = Reason.INVALID

    def __init__(self, message: str, fields: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.fields = tuple(fields)


class Unsupported(ExternalError):
    """This node's kernel or software cannot do it; an administrator must install something."""


class MissingCapability(ExternalError):
    """This process lacks a capability of Linux, which the text names (capabilities(7))."""

    reason = Reason.MISSING_CAPABILITY
