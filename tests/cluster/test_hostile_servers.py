"""Reading a peer whose server is hostile or broken."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from isthmus.adapters.peers import RemotePeers
from tests.cluster.reading import POLL_SECONDS, US, peer_kubeconfig, wait_for_view
from tests.contract.peers import PEER
from tests.contract.samples import answer_link
from tests.testbed.kubernetes.cluster import ControlPlane
from tests.testbed.kubernetes.pki import Authority


@pytest.fixture
def peers() -> Iterator[RemotePeers]:
    peers = RemotePeers(US, POLL_SECONDS)
    peers.start(lambda: None)
    yield peers
    peers.stop()


class Hostile(BaseHTTPRequestHandler):
    """Answers every request with the test's response."""

    protocol_version = "HTTP/1.1"
    status = 200
    headers_to_send: ClassVar[dict[str, str]] = {}
    body = b""
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.status)
        for name, value in {"Content-Length": str(len(self.body)), **self.headers_to_send}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):  # the bounded reader closes the connection early
            self.wfile.write(self.body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


@pytest.fixture
def hostile(installed: ControlPlane, tmp_path: Path) -> Iterator[tuple[type[Hostile], bytes]]:
    """A server in the tests' network namespace, with a certificate of its own authority."""
    assert installed
    certificate, key = Authority(tmp_path).issue(
        "server", "/CN=hostile", ["subjectAltName=IP:127.0.0.1", "extendedKeyUsage=serverAuth"]
    )
    handler = type("Handler", (Hostile,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"https://127.0.0.1:{server.server_address[1]}"
        yield handler, peer_kubeconfig(url, tmp_path / "ca.crt", {"token": "t"})
    finally:
        server.shutdown()
        server.server_close()


def _named(number: int) -> dict[str, object]:
    return {"metadata": {"name": f"o{number}", "uid": "u", "generation": 1}, "spec": {}}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, b"", "PeerForbidden"),
        (403, b"", "PeerForbidden"),
        (404, b"", "PeerNotPublishing"),
        (500, b"", "PeerUnreachable"),
        (200, b"<html>", "InvalidAnswer"),
        (200, b"[]", "InvalidAnswer"),
        (200, b'{"items": {}}', "InvalidAnswer"),
        (200, b'{"items": [1]}', "InvalidAnswer"),
        (200, b"[" * 200_000, "InvalidAnswer"),
        (200, json.dumps({"items": [_named(n) for n in range(50_001)]}).encode(), "InvalidAnswer"),
        (200, b'{"items": [], "metadata": {"continue": "again"}}', "InvalidAnswer"),
        (200, b'{"items": [], "metadata": {"continue": "again"}}' + b" " * 20_000_000, "InvalidAnswer"),
    ],
    ids=["401", "403", "404", "500", "html", "array", "items", "item", "deep", "many", "pages", "endless"],
)
def test_invalid_response_is_reported(
    hostile: tuple[type[Hostile], bytes], peers: RemotePeers, status: int, body: bytes, reason: str
) -> None:
    handler, kubeconfig = hostile
    handler.status, handler.body = status, body
    peers.follow({PEER: kubeconfig})
    view = wait_for_view(peers, lambda v: not v.reachable, 120)  # some of them are large
    assert view.reason == reason
    assert not view.complete


def test_redirect_is_not_followed(hostile: tuple[type[Hostile], bytes], peers: RemotePeers) -> None:
    handler, kubeconfig = hostile
    handler.status, handler.headers_to_send = 302, {"Location": "/elsewhere"}
    peers.follow({PEER: kubeconfig})
    assert wait_for_view(peers, lambda v: not v.reachable).reason == "PeerUnreachable"
    assert "/elsewhere" not in handler.asked


def test_ten_thousand_networks_of_one_peer_are_read(hostile: tuple[type[Hostile], bytes], peers: RemotePeers) -> None:
    """With a status as long as that of an object with managed fields: 40 MB in all."""
    handler, kubeconfig = hostile
    links = [_link(number) | {"status": {"padding": "x" * 3_000}} for number in range(10_000)]
    pages = [links[start : start + 100] for start in range(0, len(links), 100)]

    def answer(request: Hostile) -> None:
        query = parse_qs(urlsplit(request.path).query)
        number = int(query.get("continue", ["0"])[0])
        following = {"continue": str(number + 1)} if number + 1 < len(pages) else {}
        items = pages[number] if "/expansionlinks" in request.path and "watch" not in query else []
        request.body = json.dumps({"items": items, "metadata": following if items else {}}).encode()
        Hostile.do_GET(request)

    handler.do_GET = answer  # type: ignore[method-assign, assignment]
    handler.wbufsize = -1  # one segment for head and body
    peers.follow({PEER: kubeconfig})
    view = wait_for_view(peers, lambda v: v.complete, 240)
    assert len(view.links) == 10_000
    assert not view.not_understood


def _link(number: int) -> dict[str, object]:
    network = f"{number:08x}-0000-0000-0000-000000000000"
    link = answer_link(PEER, US, mtu=1400).to_manifest()
    link["spec"]["origin"]["networkID"] = network
    link["metadata"] |= {"name": f"{US}.{network}", "uid": f"u{number}", "generation": 1}
    return link


def test_malformed_object_does_not_affect_others(hostile: tuple[type[Hostile], bytes], peers: RemotePeers) -> None:
    handler, kubeconfig = hostile
    good = answer_link(PEER, US, mtu=1400).to_manifest()
    good["metadata"] |= {"uid": "u1", "generation": 1}
    wrong = {"metadata": {"name": "wrong", "uid": "u2", "generation": 1}, "spec": {"mtu": -1}}
    handler.body = json.dumps({"items": [good, wrong]}).encode()
    peers.follow({PEER: kubeconfig})
    view = wait_for_view(peers, lambda v: v.complete)
    assert view.links["wrong"].spec is None
    assert view.links[good["metadata"]["name"]].spec is not None
