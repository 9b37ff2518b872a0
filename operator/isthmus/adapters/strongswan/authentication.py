"""Why there is no SA: VICI's answers give no reason, so it is read from charon's log, with the IKE packets that arrive.

Whoever sends packets to UDP port 500 makes charon write to its log, as much as they like. So the log is read within
bounds; if it outruns them it is left alone for a while, and charon drops what nobody has read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from time import monotonic
from typing import Any

from vici import Session
from vici.exception import DeserializationException, SessionException

from . import messages

_POLL_TIMEOUT_SECONDS = 0.001
_READ_SECONDS = 0.05
_READ_EVENTS = 2_000
_FLOOD_EVENTS = 200  # fewer in all that time: this process had to wait, and what is left is read the next time
_PAUSE_SECONDS = 30.0


class AuthenticationFailures:
    """Connections whose keys were refused, and IKE packets, from charon's log events, on sessions of its own."""

    def __init__(self, open_session: Callable[[], Session], clock: Callable[[], float] = monotonic) -> None:
        """Subscribes at once. `open_session` raises OSError if charon does not run."""
        self._open_session = open_session
        self._clock = clock
        self._failed: set[str] = set()
        self._revoked: set[str] = set()
        self._packets: Counter[str] = Counter()
        self._session: Session | None = None
        self._events: Iterator[tuple[str | None, Any]] = iter(())
        self._resume_at = clock()
        self.read()

    def read(self) -> frozenset[str]:
        """Connections whose keys were refused since `forget`. Raises ConnectionError if charon has ended.

        Takes 0.1 s at most. After more events than can be read in that time, the next ones are read 30 s later.
        """
        if self._session is None and self._clock() >= self._resume_at:
            self._session = self._open_session()
            self._events = _log(self._session)
        if self._session is not None and not self._drain():
            self._pause()
        return frozenset(self._failed)

    @property
    def revoked(self) -> frozenset[str]:
        """Connections whose peer's certificate was found to be revoked since `forget`, as far as the log was read."""
        return frozenset(self._revoked)

    def packets(self, addresses: Set[str]) -> Mapping[str, int]:
        """IKE packets received from each of these addresses, as far as the log was read; others are forgotten."""
        self._packets = Counter({address: self._packets[address] for address in addresses})
        return dict(self._packets)

    def forget(self, name: str) -> None:
        """Drop the connection's failures: it is up, or has another key."""
        self._failed.discard(name)
        self._revoked.discard(name)

    def _drain(self) -> bool:
        """Read pending events; False if there are more than can be read."""
        ends_at = self._clock() + _READ_SECONDS
        for number in range(_READ_EVENTS):
            kind, event = next(self._events, ("end", None))
            if kind is None:
                return True
            if event is None:
                raise ConnectionError("charon's log has ended")
            if (name := messages.connection_with_refused_key(event)) is not None:
                self._failed.add(name)
            if (name := messages.connection_with_revoked_certificate(event)) is not None:
                self._revoked.add(name)
            if (address := messages.sender_of_ike_packet(event)) is not None:
                self._packets[address] += 1
            if self._clock() >= ends_at:
                return number < _FLOOD_EVENTS
        return False

    def _pause(self) -> None:
        if self._session is not None:
            with suppress(OSError):
                self._session.transport.close()
        self._session, self._events = None, iter(())
        self._resume_at = self._clock() + _PAUSE_SECONDS


def _log(session: Session) -> Iterator[tuple[str | None, Any]]:
    """Log events; (None, None) whenever none is pending. Ends when charon ends."""
    with suppress(OSError, SessionException, DeserializationException):
        yield from session.listen(["log"], _POLL_TIMEOUT_SECONDS)
