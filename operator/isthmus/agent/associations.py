"""When to ask charon for SAs, and when to let old ones go.

One side alone asks, so that none are doubled; the other only where that one does not.
"""

from __future__ import annotations

from isthmus.core.node import ipsec
from isthmus.core.node.plan import NodePlan
from isthmus.model.node.ipsec import IkeConnection, IkeView
from isthmus.ports import Clock, Ike

_INITIATOR_SECONDS = 5.0
_RESPONDER_SECONDS = 30.0


class Associations:
    """Remembers since when each connection has been waiting for its SAs."""

    def __init__(self, ike: Ike, clock: Clock) -> None:
        self._ike = ike
        self._clock = clock
        self._due: dict[str, float] = {}

    def advance(self, plan: NodePlan, view: IkeView) -> None:
        """Initiate what is due: an initiator's at once and then every few seconds, a responder's only after long."""
        now = self._clock.monotonic_seconds()
        down = [c for c in plan.connections if c.name in view.loaded and not ipsec.up(c, view)]
        self._due = {c.name: self._due.get(c.name, self._first(c, now)) for c in down}
        for connection in down:
            if now >= self._due[connection.name]:
                self._due[connection.name] = now + self._pause(connection)
                self._ike.initiate(connection.name)
        for connection in plan.connections:
            if ipsec.up(connection, view) and view.states[connection.name].superseded:
                self._ike.retire(connection.name)

    def _first(self, connection: IkeConnection, now: float) -> float:
        return now if connection.initiator else now + _RESPONDER_SECONDS

    def _pause(self, connection: IkeConnection) -> float:
        return _INITIATOR_SECONDS if connection.initiator else _RESPONDER_SECONDS
