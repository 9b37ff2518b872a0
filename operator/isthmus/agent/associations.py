"""When to have charon initiate SAs, when to end superseded ones, and when to negotiate lost ones again.

Only the initiator's side initiates, so that SAs are not duplicated; the responder does only if they stay down for long.
What the kernel has lost only the node that lost it knows of: it negotiates that again on either side.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from isthmus.core.node import ipsec
from isthmus.core.node.plan import NodePlan
from isthmus.model.actions import Problem
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.model.node.ipsec import IkeConnection, IkeView
from isthmus.ports import Clock, Ike

_INITIATOR_SECONDS = 5.0
_RESPONDER_SECONDS = 30.0
_REKEY_SECONDS = 10.0  # charon gives up on a peer that does not answer after a little more than 8
_MAX_DOUBLINGS = 10
_MAX_BACKOFF_SECONDS = 300.0
_ATTEMPTS_OF_NARROWED = 6  # from which the backoff continues: 32 s


@dataclass(frozen=True)
class _Recovery:
    """The last attempt to recover what the kernel has lost, of so many since the connection was last complete."""

    spis: frozenset[int]
    attempts: int
    at: float


class Associations:
    """Initiates connections that are down, and recovers lost ones; keeps the time at which each is due next."""

    def __init__(self, ike: Ike, clock: Clock) -> None:
        self._ike = ike
        self._clock = clock
        self._due: dict[str, float] = {}
        self._recoveries: dict[str, _Recovery] = {}
        self._refused: dict[str, Problem] = {}

    def advance(self, plan: NodePlan, view: IkeView, lost: Mapping[str, frozenset[int]]) -> Mapping[str, Problem]:
        """Initiate connections that are due: an initiator's at once, then every 5 s; a responder's every 30 s.

        Recovers connections with lost SAs, whose SPIs are given, and an initiator's with narrowed ones: the peer may
        have been corrected. Retires superseded SAs of connections whose new SAs are up. Returns what charon refuses,
        by connection: until it is tried again with success, or the connection is up. Raises Unavailable if charon does
        not answer.
        """
        now = self._clock.monotonic_seconds()
        up = {c.name for c in plan.connections if ipsec.up(c, view)}
        superseded = {name for name in up if view.states[name].superseded}
        failing = {c.name for c in plan.connections} - (up - superseded - lost.keys())
        self._refused = {name: problem for name, problem in self._refused.items() if name in failing}
        self._initiate([c for c in plan.connections if c.name in view.loaded and c.name not in up], now)
        for connection in plan.connections:
            name = connection.name
            if name in lost:
                self._recover(name, lost[name], now)
            elif connection.initiator and (narrowed := ipsec.narrowed_spis(connection, view)):
                self._renegotiate(name, narrowed, now)
            elif name in up:
                self._recoveries.pop(name, None)
        for name in sorted(superseded):
            self._ask(name, partial(self._ike.retire, name))
        return dict(self._refused)

    def _initiate(self, down: Collection[IkeConnection], now: float) -> None:
        self._due = {c.name: self._due.get(c.name, self._first(c, now)) for c in down}
        for connection in down:
            name = connection.name
            if now >= self._due[name]:
                self._due[name] = now + self._pause(connection)
                self._ask(name, partial(self._ike.initiate, name))

    def _recover(self, name: str, spis: frozenset[int], now: float) -> None:
        """Rekey at once; if the same SAs are still missing after that, end the connection. Ever less often."""
        last = self._recoveries.get(name, _Recovery(frozenset(), 0, float("-inf")))
        backoff = _backoff_seconds(last)
        rekeyed = spis <= last.spis
        if now - last.at < max(backoff, _REKEY_SECONDS if rekeyed else 0):
            return
        self._recoveries[name] = _Recovery(spis, last.attempts + 1, now)
        again = partial(self._ike.terminate, name) if rekeyed else partial(self._ike.rekey, name, spis)
        self._ask(name, again)

    def _renegotiate(self, name: str, spis: frozenset[int], now: float) -> None:
        """End a connection with narrowed selectors, for a rekeying would keep them; after half a minute, then later."""
        last = self._recoveries.get(name)
        if last is None:
            self._recoveries[name] = _Recovery(spis, _ATTEMPTS_OF_NARROWED, now)
        elif now - last.at >= _backoff_seconds(last):
            self._recoveries[name] = _Recovery(spis, last.attempts + 1, now)
            self._ask(name, partial(self._ike.terminate, name))

    def _ask(self, name: str, request: Callable[[], None]) -> None:
        """Record what charon refuses of one connection; if it does not answer at all, the others need not be tried."""
        try:
            request()
        except Unavailable:
            raise
        except ExternalError as error:
            self._refused[name] = Problem(error.reason, str(error)[:1024])
        else:
            self._refused.pop(name, None)

    def _first(self, connection: IkeConnection, now: float) -> float:
        return now if connection.initiator else now + _RESPONDER_SECONDS

    def _pause(self, connection: IkeConnection) -> float:
        return _INITIATOR_SECONDS if connection.initiator else _RESPONDER_SECONDS


def _backoff_seconds(last: _Recovery) -> float:
    return min(2.0 ** min(last.attempts - 1, _MAX_DOUBLINGS), _MAX_BACKOFF_SECONDS)
