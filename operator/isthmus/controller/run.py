"""The controller's process."""

from __future__ import annotations

import signal
from dataclasses import replace
from types import FrameType

from isthmus.model.settings import ControllerSettings
from isthmus.telemetry.logs import fold_outages
from isthmus.telemetry.server import serve

from .backends import Backends
from .election import Election, guarded
from .loop import Controller


def run(settings: ControllerSettings, backends: Backends) -> None:
    """Run until SIGTERM or SIGINT; of several replicas one acts. Nothing is withdrawn at the end."""
    election = Election(backends.leases, backends.clock, health=backends.health)
    guarded_backends = replace(
        backends,
        cluster=guarded(backends.cluster, election.require),
        cloud=guarded(backends.cloud, election.require),
    )
    controller = Controller(settings, guarded_backends, election.is_active)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        controller.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    fold_outages(backends.outages)
    serve(backends.metrics, backends.health, settings.metrics_address, settings.metrics_port)
    election.start(controller.wake)
    try:
        controller.run()
    finally:
        election.stop(release=controller.has_ended)
