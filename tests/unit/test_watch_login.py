"""Watches log in with the current content of the kubeconfig and of the token file."""

from __future__ import annotations

import gc
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from isthmus.adapters import watch
from isthmus.adapters.watch import KopfWatch, Resource, credentials
from tests.testbed.host.process import wait_until

SERVER = "https://192.0.2.10:6443"


class Refusing(ThreadingHTTPServer):
    """An API server that rejects all tokens and records them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Unauthorized)
        self.shown: set[str] = set()
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Unauthorized(BaseHTTPRequestHandler):
    server: Refusing

    def do_GET(self) -> None:
        self.server.shown.add(self.headers.get("Authorization", ""))
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


@pytest.fixture
def refusing() -> Iterator[Refusing]:
    with Refusing() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def _kubeconfig(directory: Path, user: dict[str, str], cluster: dict[str, str] | None = None) -> str:
    cluster = cluster or {"server": SERVER, "certificate-authority": str(directory / "ca.crt")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "home", "cluster": cluster}],
        "users": [{"name": "isthmus", "user": user}],
        "contexts": [{"name": "home", "context": {"cluster": "home", "user": "isthmus"}}],
        "current-context": "home",
    }
    path = directory / "kubeconfig"
    path.write_text(json.dumps(document))
    return str(path)


def _end(watching: KopfWatch) -> None:
    watching.stop()
    for thread in threading.enumerate():
        if thread.name == "watch":
            thread.join(20)
            assert not thread.is_alive()
    gc.collect()


def test_token_in_the_kubeconfig(tmp_path: Path) -> None:
    info = credentials(_kubeconfig(tmp_path, {"token": "written"}))
    assert (info.server, info.ca_path) == (SERVER, str(tmp_path / "ca.crt"))
    assert info.as_http_headers() == {"Authorization": "Bearer written"}


def test_token_file_is_read_at_every_login(tmp_path: Path) -> None:
    token = tmp_path / "token"
    kubeconfig = _kubeconfig(tmp_path, {"token": "written", "tokenFile": str(token)})
    for current in ("first", "second"):
        token.write_text(f"{current}\n")
        assert credentials(kubeconfig).as_http_headers() == {"Authorization": f"Bearer {current}"}


def test_missing_token_file_is_an_error(tmp_path: Path) -> None:
    kubeconfig = _kubeconfig(tmp_path, {"token": "written", "tokenFile": str(tmp_path / "absent")})
    with pytest.raises(FileNotFoundError):
        credentials(kubeconfig)


def test_watch_resumes_with_a_new_token(refusing: Refusing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_RETRY_SECONDS", 0.05)
    # Log records would keep references to kopf's exceptions, whose tracebacks would be printed during other tests.
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    token = tmp_path / "token"
    token.write_text("first")
    kubeconfig = _kubeconfig(tmp_path, {"tokenFile": str(token)}, {"server": refusing.url})
    watching = KopfWatch([Resource("", "v1", "nodes")], kubeconfig)
    given_up = threading.Event()
    watching.start(given_up.set)
    try:
        assert given_up.wait(20)
        token.write_text("second")
        wait_until(lambda: "Bearer second" in refusing.shown, 20, "the next token")
    finally:
        _end(watching)
    assert refusing.shown == {"Bearer first", "Bearer second"}
