"""An HTTP relay in front of a real API server, which a test can cut, or have hold back what arrives on open watches."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from tests.fakes.apiserver import write_kubeconfig
from tests.testbed.kubernetes.cluster import ControlPlane

_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})
_CHUNK_BYTES = 65_536


class Relay(ThreadingHTTPServer):
    """Forwards each request, with its credential, and the response as it comes."""

    daemon_threads = True

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.address = (plane.addresses[0], plane.port)
        self.tls = ssl.create_default_context(cafile=str(plane.ca_certificate))
        self.is_cut = self.is_held = False
        self.statuses: list[int] = []
        """Of all responses, and of the errors on watches."""
        self._watches = 0
        self._silent_below = 0
        self._writing = threading.Lock()

    def cut(self) -> None:
        """End all watches, and answer nothing until `mend`; from now on nothing arrives of what was asked before."""
        with self._writing:
            self.is_cut = True

    def hold(self) -> None:
        """End all watches, and keep requests waiting until `mend`."""
        with self._writing:
            self.is_held = self.is_cut = True

    def mend(self) -> None:
        """Forward again."""
        self.is_held = self.is_cut = False

    def silence(self) -> None:
        """Keep open the watches that are open, and forward nothing of them any more."""
        self._silent_below = self._watches

    def pass_on(self, content: bytes, to: BufferedIOBase) -> bool:
        """Write to a client; False if the relay is cut."""
        with self._writing:
            if not self.is_cut:
                to.write(content)
            return not self.is_cut

    def next_watch(self) -> int:
        """The number of a new watch."""
        self._watches += 1
        return self._watches

    def is_silent(self, watch: int) -> bool:
        """Whether nothing of that watch is forwarded any more."""
        return watch <= self._silent_below

    def kubeconfig(self, directory: Path, user: Mapping[str, Any]) -> str:
        """A kubeconfig for that user that leads through the relay."""
        return write_kubeconfig(directory / "relayed.kubeconfig", {"server": self.url}, user)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Relay

    def do_GET(self) -> None:
        self.close_connection = True
        while self.server.is_held:
            threading.Event().wait(0.1)
        if self.server.is_cut:
            return
        with suppress(OSError, http.client.HTTPException):
            self._forward()

    do_PATCH = do_POST = do_DELETE = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in _HOP | {"accept-encoding"}
        }
        connection = http.client.HTTPSConnection(*self.server.address, context=self.server.tls, timeout=30)
        try:
            connection.request(self.command, self.path, body or None, headers)
            response = self._response(connection)
            self.server.statuses.append(response.status)
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            for name, value in (("Transfer-Encoding", "chunked"), ("Connection", "close")):
                self.send_header(name, value)
            self.end_headers()
            self._copy(response, self.server.next_watch() if "watch=true" in self.path else None)
        finally:
            connection.close()

    def _response(self, connection: http.client.HTTPSConnection) -> http.client.HTTPResponse:
        """An API server answers a watch with its first event."""
        assert connection.sock is not None
        connection.sock.settimeout(30)
        return connection.getresponse()

    def _copy(self, response: http.client.HTTPResponse, watch: int | None) -> None:
        reader = threading.Thread(target=self._copy_all, args=(response, watch), daemon=True)
        reader.start()
        while reader.is_alive() and not self.server.is_cut:
            reader.join(0.1)

    def _copy_all(self, response: http.client.HTTPResponse, watch: int | None) -> None:
        with suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            while content := response.read1(_CHUNK_BYTES):
                self._note_errors(content)
                while watch is not None and self.server.is_silent(watch) and not self.server.is_cut:
                    threading.Event().wait(0.1)
                if not self.server.pass_on(b"%x\r\n%s\r\n" % (len(content), content), self.wfile):
                    return
            self.server.pass_on(b"0\r\n\r\n", self.wfile)

    def _note_errors(self, content: bytes) -> None:
        for line in content.splitlines():
            with suppress(ValueError, TypeError, KeyError):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    self.server.statuses.append(event["object"]["code"])


@contextmanager
def relaying(plane: ControlPlane) -> Iterator[Relay]:
    """A relay that runs until the end of the block."""
    with Relay(plane) as relay:
        threading.Thread(target=relay.serve_forever, args=(0.05,), daemon=True).start()
        yield relay
        relay.mend()
        relay.cut()
        relay.shutdown()
