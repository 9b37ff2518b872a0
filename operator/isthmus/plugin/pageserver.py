"""HTTP server of the topology page, for the browser of the user who started it and for nobody else.

Other users of the computer, and every web site that the user visits, can send requests to a port of 127.0.0.1. What is
read of the cluster therefore needs a token, which the browser has from the fragment of the address: fragments are never
sent. A host name of a web site that resolves to 127.0.0.1 (DNS rebinding) is not served.
"""

from __future__ import annotations

import hmac
import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from .core.topology import envelope, selection
from .observer import Observer
from .page import ASSETS, content

_AUTHENTICATION: Final = "X-Isthmus-Token"
"""A header that no site may add to a request for another one without being asked (CORS)."""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS: Final = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
_JSON: Final = "application/json"
_IDLE_SECONDS: Final = 10.0


class PageServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1; port 0 is any free one."""

    daemon_threads = True
    block_on_close = False  # kubectl may be running for one of them

    def __init__(self, port: int, token: str, observer: Observer) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.token, self.observer = token, observer
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    def server_bind(self) -> None:
        """HTTPServer would look the name of 127.0.0.1 up, which takes long where no DNS server answers."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes a connection is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "isthmus", ""
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        """Only GET has a method: http.server answers 501 to all others."""
        if self.headers.get("Host") not in self.server.hosts:
            return self._fails(HTTPStatus.FORBIDDEN, "this page is for 127.0.0.1 only")
        url = urlsplit(self.path)
        name = url.path.removeprefix("/") or "page.html"
        if name in ASSETS:
            return self._answers(ASSETS[name], content(name))
        if name not in _DOCUMENTS:
            return self._fails(HTTPStatus.NOT_FOUND, "there is nothing of that name")
        given = self.headers.get(_AUTHENTICATION, "")
        if not hmac.compare_digest(given.encode(), self.server.token.encode()):
            return self._fails(HTTPStatus.UNAUTHORIZED, "open the address that the command has printed")
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        return self._answers(_JSON, _DOCUMENTS[name](self.server.observer, query).encode())

    def _answers(self, content_type: str, body: bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for header, value in (*_HEADERS, ("Content-Type", content_type), ("Content-Length", str(len(body)))):
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def _fails(self, status: HTTPStatus, sentence: str) -> None:
        self.close_connection = True
        self._answers("text/plain; charset=utf-8", f"{sentence}\n".encode(), status)

    def log_message(self, *arguments: object) -> None:
        """Nothing is printed."""


def _topology(observer: Observer, query: dict[str, str]) -> str:
    latest = observer.latest()
    return envelope(latest.observed, query.get("revision", ""), latest.error, latest.age_seconds)


def _diagnosis(observer: Observer, query: dict[str, str]) -> str:
    readings = observer.latest().observed.readings
    return json.dumps(selection(readings, query.get("peer", ""), query.get("network", "")))


_DOCUMENTS: Final = {"topology.json": _topology, "diagnosis.json": _diagnosis}
