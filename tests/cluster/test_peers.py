"""Reading a peer: from a real API server, and from hostile servers."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.adapters.peers import RemotePeers
from isthmus.core.federation.namespace import account_manifests, namespace_manifest
from isthmus.model import names
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, ExpansionLinkStatus
from isthmus.model.facts.peer import PeerView
from isthmus.ports import PeerReader
from tests.contract.peers import PEER, PeerReaderContract
from tests.contract.samples import answer_link, peer_link
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane
from tests.testbed.kubernetes.pki import Authority

US = "readers"
POLL_SECONDS = 0.5


class WakeCounter:
    """Counts how often the controller would have been woken."""

    def __init__(self) -> None:
        self.count = 0

    def wake(self) -> None:
        self.count += 1


@pytest.fixture
def wakes() -> WakeCounter:
    return WakeCounter()


@pytest.fixture
def peers(wakes: WakeCounter) -> Iterator[RemotePeers]:
    peers = RemotePeers(US, POLL_SECONDS)
    peers.start(wakes.wake)
    yield peers
    peers.stop()


@pytest.fixture(scope="module")
def publisher(installed: ControlPlane) -> KubernetesCluster:
    """The peer's controller, which publishes for us."""
    cluster = KubernetesCluster(str(installed.kubeconfig), names.CONTROLLER)
    for manifest in (namespace_manifest(US), *account_manifests(US)):
        cluster.apply_manifest(manifest)
    return cluster


@pytest.fixture(scope="module")
def kubeconfig(installed: ControlPlane, publisher: KubernetesCluster) -> bytes:
    """The credential from the peer's administrator."""
    return _handed_over(installed, publisher, US)


class TestRemotePeers(PeerReaderContract):
    @pytest.fixture
    def kubeconfig(self, installed: ControlPlane, publisher: KubernetesCluster, us: str) -> bytes:
        for manifest in (namespace_manifest(us), *account_manifests(us)):
            publisher.apply_manifest(manifest)
        return _handed_over(installed, publisher, us)

    @pytest.fixture
    def peers(self, us: str, wakes: WakeCounter) -> Iterator[PeerReader]:
        peers = RemotePeers(us, POLL_SECONDS)
        peers.start(wakes.wake)
        yield peers
        peers.stop()

    @pytest.fixture
    def cut(self, installed: ControlPlane, peers: PeerReader) -> Callable[[], None]:
        nobody = _kubeconfig("https://127.0.0.1:1", installed.ca_certificate, {"token": "t"})
        return lambda: peers.follow({PEER: nobody})


class TestRealServer:
    def test_published_objects_are_read_and_wake_the_loop_once(
        self, publisher: KubernetesCluster, kubeconfig: bytes, peers: RemotePeers, wakes: WakeCounter
    ) -> None:
        publisher.apply(peer_link(PEER, US))
        publisher.apply(answer_link(PEER, US, mtu=1400))
        peers.follow({PEER: kubeconfig})
        view = _wait(peers, lambda v: v.complete)
        assert view.peer_link is not None
        assert view.peer_link.spec == peer_link(PEER, US).spec
        (name,) = view.links
        count = wakes.count
        publisher.apply(answer_link(PEER, US, mtu=1390))
        changed = _wait(peers, lambda v: v.links[name].generation == 2)
        assert changed.links[name].spec == answer_link(PEER, US, mtu=1390).spec
        assert wakes.count == count + 1
        publisher.apply_status(
            answer_link(PEER, US, mtu=1390).model_copy(update={"status": ExpansionLinkStatus(mtu=1390)})
        )
        publisher.delete(ExpansionLink, name, names.peer_namespace(US))
        gone = _wait(peers, lambda v: not v.links)
        assert gone.complete
        assert wakes.count == count + 2, "a status change does not wake the controller"

    def test_revoked_token_is_reported_and_last_view_is_kept(
        self, publisher: KubernetesCluster, kubeconfig: bytes, peers: RemotePeers
    ) -> None:
        publisher.apply(peer_link(PEER, US))
        peers.follow({PEER: kubeconfig})
        _wait(peers, lambda v: v.complete)
        peers.follow({PEER: kubeconfig.replace(b"eyJ", b"eyK")})
        view = _wait(peers, lambda v: not v.reachable)
        assert view.reason == "PeerForbidden"
        assert not view.complete
        assert view.peer_link is not None
        peers.follow({PEER: kubeconfig})
        _wait(peers, lambda v: v.complete)

    def test_absent_server_is_unreachable(self, installed: ControlPlane, peers: RemotePeers) -> None:
        peers.follow({PEER: _kubeconfig("https://127.0.0.1:1", installed.ca_certificate, {"token": "t"})})
        assert _wait(peers, lambda v: not v.reachable).reason == "PeerUnreachable"

    def test_certificate_of_another_authority_is_rejected(
        self, installed: ControlPlane, tmp_path: Path, peers: RemotePeers
    ) -> None:
        other = Authority(tmp_path)
        other.issue("any", "/CN=any", ["extendedKeyUsage=serverAuth"])
        server = installed.server_at("127.0.0.1")
        peers.follow({PEER: _kubeconfig(server, tmp_path / "ca.crt", {"token": "t"})})
        view = _wait(peers, lambda v: not v.reachable)
        assert view.reason == "PeerUnreachable"
        assert "CERTIFICATE_VERIFY_FAILED" in view.message

    def test_certificate_is_verified_against_tls_server_name(
        self, publisher: KubernetesCluster, kubeconfig: bytes, peers: RemotePeers
    ) -> None:
        publisher.apply(peer_link(PEER, US))
        peers.follow({PEER: _with_cluster(kubeconfig, **{"tls-server-name": "kubernetes.default.svc"})})
        _wait(peers, lambda v: v.complete)
        peers.follow({PEER: _with_cluster(kubeconfig, **{"tls-server-name": "elsewhere.example"})})
        view = _wait(peers, lambda v: not v.reachable)
        assert view.reason == "PeerUnreachable"
        assert "elsewhere.example" in view.message

    def test_public_authorities_are_trusted_if_none_is_given(
        self,
        installed: ControlPlane,
        publisher: KubernetesCluster,
        kubeconfig: bytes,
        peers: RemotePeers,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        publisher.apply(peer_link(PEER, US))
        without = _with_cluster(kubeconfig, **{"certificate-authority-data": None})
        peers.follow({PEER: without})
        view = _wait(peers, lambda v: not v.reachable)
        assert view.reason == "PeerUnreachable"
        assert view.message.endswith(
            "(the kubeconfig has no certificate-authority-data: only public authorities are trusted)"
        )
        monkeypatch.setenv("SSL_CERT_FILE", str(installed.ca_certificate))  # where OpenSSL looks for public authorities
        peers.follow({})
        peers.follow({PEER: without})
        _wait(peers, lambda v: v.complete)

    def test_invalid_kubeconfig_is_reported_by_field(
        self, installed: ControlPlane, tmp_path: Path, peers: RemotePeers
    ) -> None:
        executed = tmp_path / "executed"
        user: dict[str, object] = {"exec": {"command": "touch", "args": [str(executed)]}}
        peers.follow({PEER: _kubeconfig(installed.server_at("127.0.0.1"), installed.ca_certificate, user)})
        view = _wait(peers, lambda v: not v.reachable)
        assert (view.reason, view.message) == ("InvalidKubeconfig", "field not allowed: exec")
        assert not executed.exists()

    def test_peer_no_longer_followed_is_forgotten(self, kubeconfig: bytes, peers: RemotePeers) -> None:
        peers.follow({PEER: kubeconfig})
        _wait(peers, lambda v: v.complete)
        peers.follow({})
        assert peers.views() == {}


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
        yield handler, _kubeconfig(url, tmp_path / "ca.crt", {"token": "t"})
    finally:
        server.shutdown()
        server.server_close()


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
        (200, json.dumps({"items": [{}] * 5_001}).encode(), "InvalidAnswer"),
        (200, b'{"items": [], "metadata": {"continue": "again"}}' + b" " * 20_000_000, "InvalidAnswer"),
    ],
    ids=["401", "403", "404", "500", "html", "array", "items", "item", "deep", "many", "endless"],
)
def test_invalid_response_is_reported(
    hostile: tuple[type[Hostile], bytes], peers: RemotePeers, status: int, body: bytes, reason: str
) -> None:
    handler, kubeconfig = hostile
    handler.status, handler.body = status, body
    peers.follow({PEER: kubeconfig})
    view = _wait(peers, lambda v: not v.reachable)
    assert view.reason == reason
    assert not view.complete


def test_redirect_is_not_followed(hostile: tuple[type[Hostile], bytes], peers: RemotePeers) -> None:
    handler, kubeconfig = hostile
    handler.status, handler.headers_to_send = 302, {"Location": "/elsewhere"}
    peers.follow({PEER: kubeconfig})
    assert _wait(peers, lambda v: not v.reachable).reason == "PeerUnreachable"
    assert "/elsewhere" not in handler.asked


def test_malformed_object_does_not_affect_others(hostile: tuple[type[Hostile], bytes], peers: RemotePeers) -> None:
    handler, kubeconfig = hostile
    good = answer_link(PEER, US, mtu=1400).to_manifest()
    good["metadata"] |= {"uid": "u1", "generation": 1}
    wrong = {"metadata": {"name": "wrong", "uid": "u2", "generation": 1}, "spec": {"mtu": -1}}
    handler.body = json.dumps({"items": [good, wrong]}).encode()
    peers.follow({PEER: kubeconfig})
    view = _wait(peers, lambda v: v.complete)
    assert view.links["wrong"].spec is None
    assert view.links[good["metadata"]["name"]].spec is not None


def _wait(peers: RemotePeers, expected: Callable[[PeerView], bool]) -> PeerView:
    def seen() -> PeerView | None:
        view = peers.views().get(PEER)
        return view if view is not None and expected(view) else None

    found = wait_until(seen, 30, "the expected view of the peer", poll_seconds=0.05)
    assert found is not None
    return found


def _handed_over(plane: ControlPlane, publisher: KubernetesCluster, cloud_id: str) -> bytes:
    token = wait_until(lambda: _token(publisher, cloud_id), 20, "the token")
    return _kubeconfig(plane.server_at("127.0.0.1"), plane.ca_certificate, {"token": token})


def _token(cluster: KubernetesCluster, cloud_id: str) -> str:
    secret = cluster.get_manifest("v1", "Secret", names.PEER_TOKEN, names.peer_namespace(cloud_id)) or {}
    return base64.b64decode(secret.get("data", {}).get("token", "")).decode()


def _with_cluster(kubeconfig: bytes, **fields: object) -> bytes:
    document = json.loads(kubeconfig)
    document["clusters"][0]["cluster"] |= fields
    return json.dumps(document).encode()


def _kubeconfig(server: str, authority: Path, user: dict[str, object] | dict[str, str]) -> bytes:
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority.read_bytes()).decode()}
    document = {
        "clusters": [{"name": "peer", "cluster": cluster}],
        "users": [{"name": "peer", "user": user}],
        "contexts": [{"name": "peer", "context": {"cluster": "peer", "user": "peer"}}],
        "current-context": "peer",
    }
    return json.dumps(document).encode()
