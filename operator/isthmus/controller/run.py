"""The controller's process."""

from __future__ import annotations

import signal
from types import FrameType

from isthmus.model.settings import ControllerSettings
from isthmus.telemetry.logs import fold_outages

from .backends import Backends
from .loop import Controller


def run(settings: ControllerSettings, backends: Backends) -> None:
    """Run until SIGTERM or SIGINT. Nothing is withdrawn then."""
    controller = Controller(settings, backends)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        controller.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    fold_outages(backends.outages)
    backends.metrics.serve(settings.metrics_address, settings.metrics_port)
    controller.run()
