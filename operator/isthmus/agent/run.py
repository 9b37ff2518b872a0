"""The agent's process."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from isthmus.adapters.linux.exclusion import Exclusion
from isthmus.model.settings import AgentSettings
from isthmus.telemetry.logs import fold_outages
from isthmus.telemetry.server import serve

from .backends import Backends
from .heartbeat import Heartbeat
from .loop import Agent


def run(settings: AgentSettings, backends: Backends) -> None:
    """Run until SIGTERM or SIGINT, once no other agent runs on the node. The data plane is left as it is."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    fold_outages(backends.outages)
    exclusion = Exclusion(settings.ovsdb_socket)
    if not exclusion.acquire(stop):
        return
    agent = Agent(settings, backends)
    stop_serving = serve(backends.metrics, backends.health, settings.metrics_address, settings.metrics_port)
    heartbeat = Heartbeat(backends.leases, backends.clock, settings.node_name, backends.health)
    heartbeat.start()
    try:
        agent.run(stop)
    finally:
        heartbeat.stop()
        # Before another agent starts, which has the same port.
        stop_serving()
        exclusion.release()
