"""Renews the Lease by which the controller knows that this agent runs."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import Final

from isthmus.model.errors import ExternalError
from isthmus.model.facts.lease import Lease
from isthmus.model.names import agent_lease
from isthmus.ports import Clock, Leases
from isthmus.telemetry.health import Health

_LOG = logging.getLogger(__name__)
RENEWAL_SECONDS: Final = 10.0
DURATION_SECONDS: Final = 40  # as a kubelet's Lease: three renewals may be lost
_RETRY_SECONDS: Final = 2.0


class Heartbeat:
    """Renews the Lease on a thread of its own, so that neither a node nor an API that is slow looks like a dead agent.

    It is not released at the end: an agent that is restarted is no event for anybody. It is owned by the node's
    GatewayNode, so that it goes with that, and is not created again by an agent that runs a little longer.
    """

    def __init__(self, leases: Leases, clock: Clock, node: str, health: Health | None = None) -> None:
        """`health` records that the thread makes progress."""
        self._leases = leases
        self._clock = clock
        self._node = node
        self._stop = threading.Event()
        self._last: Lease | None = None
        self._loop = (health or Health()).loop("lease")

    def start(self) -> None:
        """Start renewing; called once."""
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def stop(self) -> None:
        """Stop soon."""
        self._stop.set()

    def renew(self) -> bool:
        """Renew once; False if that failed, which is not logged: whoever watches the API reports its outages."""
        try:
            self._last = self._leases.update_lease(self._renewed())
        except ExternalError as error:
            _LOG.debug("heartbeat: %s", error)
            self._last = None  # read it again: perhaps somebody else has written it
            return False
        return True

    def _run(self) -> None:
        self._loop.begin()
        while not self._stop.is_set():
            renewed = self.renew()
            self._loop.ended()
            self._stop.wait(RENEWAL_SECONDS if renewed else _RETRY_SECONDS)

    def _renewed(self) -> Lease:
        now, name = self._clock.now(), agent_lease(self._node)
        before = self._last or self._leases.get_lease(name) or Lease(name, gateway_node=self._node)
        return replace(
            before,
            holder=self._node,
            duration_seconds=DURATION_SECONDS,
            acquired=before.acquired or now,
            renewed=now,
        )
