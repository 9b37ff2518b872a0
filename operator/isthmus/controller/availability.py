"""Whether OpenStack can be used at all, asked once before the networks: each of them would wait for it again."""

from __future__ import annotations

import logging

from isthmus.model.actions import Problem
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.ports import NetworkCloud
from isthmus.telemetry.outages import Outage

_LOG = logging.getLogger(__name__)
_UNEXPECTED_VALUE_ERRORS = (ValueError, LookupError, TypeError, AttributeError)


class OpenStackAvailability:
    """Result of the last check."""

    def __init__(self, cloud: NetworkCloud, outage: Outage) -> None:
        self._cloud = cloud
        self._outage = outage
        self._error: ExternalError | None = None
        self._is_first = True
        self._is_due = self._may_check_again = True

    @property
    def problem(self) -> Problem | None:
        """Why OpenStack cannot be used; None if it can."""
        return Problem(self._error.reason, str(self._error)) if self._error else None

    def begin_cycle(self, *, resync: bool) -> None:
        """Check at a resync, and if a network failed in the last cycle. Raises nothing."""
        if resync or self._is_due:
            self._check()
        self._is_due = self._error is not None
        self._may_check_again = self._error is None

    def after_failure(self) -> None:
        """Check once more in this cycle: what failed for one network may fail for all. Raises nothing."""
        self._is_due = True
        if self._may_check_again:
            self._may_check_again = False
            self._check()

    def require(self) -> None:
        """Raise the error of the last check, if it failed."""
        if self._error is not None:
            raise type(self._error)(str(self._error))

    def _check(self) -> None:
        self._error = self._failure()
        if self._error is not None:
            self._outage.failed(str(self._error))
        else:
            self._outage.succeeded()
            if self._is_first:
                _LOG.info("OpenStack available: Keystone accepts the operator's credential, and Neutron answers")
        self._is_first = False

    def _failure(self) -> ExternalError | None:
        try:
            self._cloud.check()
        except ExternalError as error:
            return error
        except _UNEXPECTED_VALUE_ERRORS as error:
            return Unavailable(f"an answer of OpenStack has an unexpected form ({type(error).__name__})")
        return None
