"""Authentication failures: VICI's answers give no reason for a missing SA, so they are read from charon's log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from vici import Session
from vici.exception import DeserializationException, SessionException

from . import messages

_POLL_TIMEOUT_SECONDS = 0.001


class AuthenticationFailures:
    """Connections whose keys were refused, from charon's log events, on a session of its own."""

    def __init__(self, session: Session) -> None:
        self._events = _log(session)
        self._authentication_failed: set[str] = set()
        self.read()  # registers for the events

    def read(self) -> frozenset[str]:
        """Connections whose keys were refused since `forget`. Raises ConnectionError if charon has ended."""
        for kind, event in self._events:
            if kind is None:
                return frozenset(self._authentication_failed)
            name = messages.connection_with_refused_key(event)
            if name is not None:
                self._authentication_failed.add(name)
        raise ConnectionError("charon's log has ended")

    def forget(self, name: str) -> None:
        """Drop the connection's failures: it is up, or has another key."""
        self._authentication_failed.discard(name)


def _log(session: Session) -> Iterator[tuple[str | None, Any]]:
    """Log events; (None, None) whenever none is pending. Ends when charon ends."""
    with suppress(OSError, SessionException, DeserializationException):
        yield from session.listen(["log"], _POLL_TIMEOUT_SECONDS)
