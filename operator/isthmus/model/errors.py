"""What may go wrong outside, as the shells need to tell it apart. Adapters raise these and no others."""

from __future__ import annotations

from typing import ClassVar

from isthmus.model.reasons import Reason


class ExternalError(Exception):
    """An external system refused or failed; `reason` is a condition's reason, the text its message."""

    reason: ClassVar[Reason] = Reason.UNAVAILABLE


class Unavailable(ExternalError):
    """No answer, a server error, a timeout: nothing is known, nothing may be concluded. Try again."""

    reason = Reason.UNAVAILABLE


class Forbidden(ExternalError):
    """The credential does not allow this (401, 403)."""

    reason = Reason.FORBIDDEN


class NotFound(ExternalError):
    """What was named is not there (404)."""

    reason = Reason.NOT_FOUND


class NoTunnelAddress(ExternalError):
    """This node has no address in our gateway networks, or has lost it for now."""

    reason = Reason.NO_TUNNEL_ADDRESS


class Conflict(ExternalError):
    """Somebody else changed or uses it (409): look again."""

    reason = Reason.CONFLICT


class QuotaExceeded(ExternalError):
    """A quota or another limit of the outside world is used up."""

    reason = Reason.QUOTA_EXCEEDED


class Invalid(ExternalError):
    """The outside world says that the request makes no sense (400, 422); trying again will not help."""

    reason = Reason.INVALID


class Unsupported(ExternalError):
    """This node's kernel or software cannot do it; an administrator must install something."""
