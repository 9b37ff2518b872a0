"""When to have charon initiate SAs, and when to end superseded ones.

Only the initiator's side initiates, so that SAs are not duplicated; the responder does only if they stay down for long.
"""

from __future__ import annotations

from isthmus.core.node import ipsec
from isthmus.core.node.plan import NodePlan
from isthmus.model.node.ipsec import IkeConnection, IkeView
from isthmus.ports import Clock, Ike

_INITIATOR_SECONDS = 5.0
_RESPONDER_SECONDS = 30.0


class Associations:
    """Initiates connections that are down; keeps the time at which each is due next."""

    def __init__(self, ike: Ike, clock: Clock) -> None:
        self._ike = ike
        self._clock = clock
        self._due: dict[str, float] = {}

    def advance(self, plan: NodePlan, view: IkeView) -> None:
        """Initiate connections that are due: an initiator's at once, then every 5 s; a responder's every 30 s.

        Retires superseded SAs of connections whose new SAs are up. Raises ExternalError if charon is unavailable.
        """
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
