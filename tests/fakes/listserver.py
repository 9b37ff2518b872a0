"""An API server in a process of its own that lists any number of objects, and keeps watches open without an event."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qs, urlsplit

from isthmus.adapters.kubernetes import Resource
from isthmus.ports import Manifest

Listed = Mapping[Resource, Callable[[], Iterator[Manifest]]]
VERSION = "1000000"
_BOOKMARK_SECONDS = 10.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listed: Listed) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.listed = {resource.path(): manifests for resource, manifests in listed.items()}
        self.resources = tuple(listed)
        self.rest: dict[str, Iterator[Manifest]] = {}
        """By the token of its next page, the rest of a list that somebody is reading."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path not in self.server.listed:
            self._send(self._discovery(url.path))
        elif query.get("watch") == "true":
            self._keep_open()
        else:
            self._send(self._page(url.path, int(query.get("limit", "500")), query.get("continue", "")))

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""

    def _discovery(self, path: str) -> dict[str, Any]:
        groups = sorted({(r.group, r.version) for r in self.server.resources if r.group})
        versions = [{"groupVersion": f"{group}/{version}", "version": version} for group, version in groups]
        of_groups = [
            {"name": group, "versions": [version], "preferredVersion": version}
            for (group, _), version in zip(groups, versions, strict=True)
        ]
        found = [r for r in self.server.resources if r.root == path]
        resources = [
            {
                "name": r.plural,
                "kind": r.plural.capitalize(),
                "singularName": r.plural,
                "namespaced": r.namespaced,
                "verbs": ["get", "list", "watch", "patch"],
            }
            for r in found
        ]
        return {"versions": ["v1"], "groups": of_groups, "resources": resources}

    def _page(self, path: str, limit: int, token: str) -> dict[str, Any]:
        rest = self.server.rest.pop(token) if token else self.server.listed[path]()
        items = list(islice(rest, limit))
        following = str(time.monotonic_ns()) if len(items) == limit else ""
        if following:
            self.server.rest[following] = rest
        return {"kind": "List", "metadata": {"resourceVersion": VERSION, "continue": following}, "items": items}

    def _send(self, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _keep_open(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        event = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": VERSION}}}
        line = json.dumps(event).encode() + b"\n"
        while True:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            time.sleep(_BOOKMARK_SECONDS)


@contextmanager
def listing(listed: Listed) -> Iterator[str]:
    """The URL of a server that runs until the end of the block."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(listed, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()


def _serve(listed: Listed, started: Connection) -> None:
    with _Server(listed) as server:
        started.send(server.server_port)
        server.serve_forever()
