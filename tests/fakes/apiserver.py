"""An HTTP server whose responses a test chooses, for behaviour that a real API server cannot be made to show."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """A client's request."""

    method: str
    path: str
    """Including the query."""
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """The server's response."""

    status: int
    document: Any = None
    """Sent as JSON; bytes are sent as they are."""
    headers: Mapping[str, str] | None = None


class StubServer(ThreadingHTTPServer):
    """Listens on the loopback address and records every request."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.requests: list[Request] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    @property
    def shown(self) -> set[str]:
        """The Authorization headers received."""
        return {request.headers.get("Authorization", "") for request in self.requests}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StubServer

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self.command, self.path, dict(self.headers), self.rfile.read(length))
        self.server.requests.append(request)
        answer = self.server.answer(request)
        content = answer.document if isinstance(answer.document, bytes) else json.dumps(answer.document).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(content)), **(answer.headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_PATCH = do_DELETE = do_CONNECT = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


@contextmanager
def serving(answer: Callable[[Request], Answer]) -> Iterator[StubServer]:
    """A server that runs until the end of the block."""
    with StubServer(answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def write_kubeconfig(path: Path, cluster: Mapping[str, Any], user: Mapping[str, Any], name: str = "home") -> str:
    """Write a kubeconfig with one context; returns its path."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.write_text(json.dumps(document))
    return str(path)
