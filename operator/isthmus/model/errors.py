"""What may go wrong outside, as the shells need to tell it apart. Adapters raise these and no others."""

from __future__ import annotations


class ExternalError(Exception):
    """An outside world refused or failed; `reason` is a condition's reason, the text its message."""

    reason = "Failed"


class Unavailable(ExternalError):
    """No answer, a server error, a timeout: nothing is known, nothing may be concluded. Try again."""

    reason = "Unavailable"


class Forbidden(ExternalError):
    """The credential does not allow this (401, 403)."""

    reason = "Forbidden"


class NotFound(ExternalError):
    """What was named is not there (404)."""

    reason = "NotFound"


class NoTunnelAddress(ExternalError):
    """This node has no address in our gateway networks, or has lost it for now."""

    reason = "NoTunnelAddress"


class Conflict(ExternalError):
    """Somebody else changed or uses it (409): look again."""

    reason = "Conflict"


class QuotaExceeded(ExternalError):
    """A quota or another limit of the outside world is used up."""

    reason = "QuotaExceeded"


class Invalid(ExternalError):
    """The outside world says that the request makes no sense (400, 422); trying again will not help."""

    reason = "Invalid"
