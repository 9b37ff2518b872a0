"""Whose keys were refused: charon says so in its log alone. That an SA is missing has no reason in vici's answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from vici import Session
from vici.exception import DeserializationException, SessionException

from . import messages

_POLL_TIMEOUT_SECONDS = 0.001


class Refusals:
    """Reads charon's log from now on, on a session of its own."""

    def __init__(self, session: Session) -> None:
        self._events = _log(session)
        self._refused: set[str] = set()
        self.read()  # only now charon hears of our interest

    def read(self) -> frozenset[str]:
        """Connections whose keys were refused since they were last forgotten. Raises ConnectionError."""
        for kind, event in self._events:
            if kind is None:
                return frozenset(self._refused)
            name = messages.refused_connection(event)
            if name is not None:
                self._refused.add(name)
        raise ConnectionError("charon's log has ended")

    def forget(self, name: str) -> None:
        """The connection has come up, or has another key."""
        self._refused.discard(name)


def _log(session: Session) -> Iterator[tuple[str | None, Any]]:
    """Events; nothing in place of one where there is none yet. It ends with charon, and in silence where it is left."""
    with suppress(OSError, SessionException, DeserializationException):
        yield from session.listen(["log"], _POLL_TIMEOUT_SECONDS)
