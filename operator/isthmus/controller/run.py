"""The controller's process."""

from __future__ import annotations

import signal
from dataclasses import replace
from types import FrameType

from isthmus.model import names
from isthmus.model.settings import ControllerSettings
from isthmus.telemetry.logs import fold_outages
from isthmus.telemetry.server import serve

from .backends import Backends
from .election import Election, guarded
from .loop import Controller


def run(settings: ControllerSettings, backends: Backends) -> None:
    """Run until SIGTERM or SIGINT; of several replicas one acts. Nothing is withdrawn at the end."""
    published = published_identity(settings)
    election = Election(backends.leases, backends.clock, health=backends.health, annotations=published)
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


def published_identity(settings: ControllerSettings) -> dict[str, str]:
    """Annotations of the Lease: what `kubectl isthmus` has to know of the settings, which only the controller reads."""
    return {
        names.CLOUD_ID_ANNOTATION: settings.cloud_id,
        names.GATEWAY_CIDRS_ANNOTATION: ",".join(settings.gateway_cidrs),
    }
