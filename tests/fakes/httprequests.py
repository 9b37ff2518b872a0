"""Requests to a process's HTTP server without a socket."""

from __future__ import annotations

from typing import Any
from wsgiref.util import setup_testing_defaults

from isthmus.telemetry.health import Health
from isthmus.telemetry.metrics import Metrics
from isthmus.telemetry.server import application


def get(health: Health, path: str, method: str = "GET", metrics: Metrics | None = None) -> tuple[int, str]:
    """Status code and body of the answer."""
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ |= {"PATH_INFO": path, "REQUEST_METHOD": method}
    statuses: list[str] = []

    def start_response(status: str, *_: object) -> Any:
        statuses.append(status)

    body = b"".join(application(metrics or Metrics(), health)(environ, start_response))
    return int(statuses[0].split()[0]), body.decode()
