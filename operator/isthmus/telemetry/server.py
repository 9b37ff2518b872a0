"""The HTTP server of a process: metrics for Prometheus, and the answers to a kubelet's probes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from errno import EADDRINUSE
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import make_wsgi_app

from isthmus.model.errors import Unavailable

from .health import Health
from .metrics import LAST_COMPLETE_ITERATION, LAST_ITERATION, Metrics


def serve(metrics: Metrics, health: Health, address: str, port: int) -> Callable[[], None]:
    """Serve on threads of its own until the returned function is called, which releases the port; 0 disables it.

    Raises Unavailable if it cannot listen there.
    """
    metrics.follow(LAST_ITERATION, health.ended_timestamps)
    metrics.follow(LAST_COMPLETE_ITERATION, health.complete_timestamps)
    if not port:
        return lambda: None
    try:
        family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        server = _Server(family, (str(place[0]), port))
    except OSError as error:
        cause = "is in use by another process" if error.errno == EADDRINUSE else f"cannot be used: {error.strerror}"
        raise Unavailable(f"metrics_address, metrics_port: TCP port {port} on {address} {cause}") from error
    server.set_app(application(metrics, health))
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop


def application(metrics: Metrics, health: Health) -> WSGIApplication:
    """Serves GET of /metrics, /livez and /readyz (PEP 3333)."""
    exposition = make_wsgi_app(metrics.registry)
    probes = {"/livez": health.stalled, "/readyz": health.unready}

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "GET":
            return _text(start_response, "405 Method Not Allowed", "only GET is allowed", ("Allow", "GET"))
        if path == "/metrics":
            found: Iterable[bytes] = exposition(environ, start_response)
            return found
        if path not in probes:
            return _text(start_response, "404 Not Found", "there are /metrics, /livez and /readyz")
        problem = probes[path]()
        return _text(start_response, "503 Service Unavailable" if problem else "200 OK", problem or "ok")

    return respond


def _text(start_response: StartResponse, status: str, line: str, *headers: tuple[str, str]) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"), *headers])
    return [f"{line}\n".encode()]


class _Handler(WSGIRequestHandler):
    timeout = 10.0  # seconds in which a request must arrive, so that no client keeps a thread

    def log_message(self, format: str, *args: Any) -> None:
        """Log no requests."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, family: int, place: tuple[str, int]) -> None:
        self.address_family = family
        super().__init__(place, _Handler)

    def server_bind(self) -> None:
        """Without http.server's reverse look-up of the address, which waits for a DNS server that is away."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()
