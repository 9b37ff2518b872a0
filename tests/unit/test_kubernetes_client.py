"""Requests to an API server that hangs, redirects or returns errors and nonsense, which a real one rarely does."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from isthmus.model.names import API_VERSION
from tests.contract.samples import cloud_peer
from tests.fakes.apiserver import Answer, Request, StubServer, serving, write_kubeconfig

EMPTY = Answer(200, {"kind": "List", "items": [], "metadata": {}})
TIMEOUT_SECONDS = 0.5


@pytest.fixture
def server() -> Iterator[StubServer]:
    """Returns empty lists until a test replaces its answer."""
    with serving(lambda _: EMPTY) as server:
        yield server


@pytest.fixture
def kubeconfig(server: StubServer, tmp_path: Path) -> str:
    (tmp_path / "token").write_text("first\n")
    return write_kubeconfig(tmp_path / "kubeconfig", {"server": server.url}, {"tokenFile": "token"})


@pytest.fixture
def cluster(kubeconfig: str) -> KubernetesCluster:
    return KubernetesCluster(kubeconfig, "isthmus-controller", timeout_seconds=TIMEOUT_SECONDS, page_size=2)


def _answers(*answers: Answer) -> Callable[[Request], Answer]:
    """One after the other."""
    left = iter(answers)
    return lambda _: next(left)


def _status(code: int, message: str, *causes: str) -> Answer:
    details = {"causes": [{"reason": cause} for cause in causes]}
    return Answer(code, {"kind": "Status", "code": code, "message": message, "details": details})


def _page(names: list[str], token: str = "") -> Answer:
    items = [{"metadata": {"name": name}} for name in names]
    return Answer(200, {"kind": "NodeList", "items": items, "metadata": {"continue": token}})


def _nodes(cluster: KubernetesCluster) -> list[str]:
    return [node["metadata"]["name"] for node in cluster.list_manifests("v1", "Node")]


def _seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"no response within 0\.5 s"):
        call()
    return time.monotonic() - began


def test_connects_at_the_first_call(server: StubServer, tmp_path: Path) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [str(tmp_path / "ran")]}
    path = write_kubeconfig(tmp_path / "kubeconfig", {"server": server.url}, {"exec": plugin})
    cluster = KubernetesCluster(path, "isthmus-controller")
    assert not server.requests
    assert not (tmp_path / "ran").exists()
    with pytest.raises(Forbidden, match="exec plugin"):
        cluster.list_objects(CloudPeer)
    assert (tmp_path / "ran").exists()
    assert not server.requests, "no request without a credential"


def test_hanging_server_is_waited_for_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        path = write_kubeconfig(tmp_path / "kubeconfig", {"server": url}, {"token": "t"})
        cluster = KubernetesCluster(path, "isthmus-controller", timeout_seconds=TIMEOUT_SECONDS)
        assert TIMEOUT_SECONDS <= _seconds(lambda: cluster.list_objects(CloudPeer)) < 3 * TIMEOUT_SECONDS
        assert TIMEOUT_SECONDS <= _seconds(lambda: cluster.delete(CloudPeer, "any")) < 3 * TIMEOUT_SECONDS


def test_server_that_hangs_within_a_response_is_waited_for_once(server: StubServer, cluster: KubernetesCluster) -> None:
    server.answer = lambda _: Answer(200, b"{", {"Content-Length": "2"})
    assert TIMEOUT_SECONDS <= _seconds(lambda: cluster.list_objects(CloudPeer)) < 3 * TIMEOUT_SECONDS


def test_refused_connection_has_the_same_message_each_time(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "kubeconfig", {"server": "http://127.0.0.1:1"}, {"token": "t"})
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            KubernetesCluster(path, "isthmus-controller").list_objects(CloudPeer)
        assert str(caught.value) == "the API server does not respond: [Errno 111] Connection refused"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(200, b"<html>"), "not return a JSON object"),
        (Answer(200, []), "not return a JSON object"),
        (Answer(200, {"kind": "Status"}), "not return a list"),
        (Answer(200, {"items": None, "metadata": {}}), "not return a list"),
        (Answer(503, b"busy"), "status 503 without a message"),
        (_status(429, "too many requests"), "too many requests"),
    ],
)
def test_malformed_response_is_not_an_empty_list(
    server: StubServer, cluster: KubernetesCluster, answer: Answer, message: str
) -> None:
    server.answer = lambda _: answer
    with pytest.raises(Unavailable, match=message):
        cluster.list_objects(CloudPeer)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (_status(400, "why"), Invalid),
        (_status(403, "why"), Forbidden),
        (_status(403, "why", "NamespaceTerminating"), Conflict),
        (_status(404, "why"), NotFound),
        (_status(409, "why"), Conflict),
        (_status(422, "why"), Invalid),
        (_status(500, "why"), Unavailable),
    ],
)
def test_error_has_the_message_of_the_status_object(
    server: StubServer, cluster: KubernetesCluster, answer: Answer, kind: type[Exception]
) -> None:
    server.answer = lambda _: answer
    with pytest.raises(kind, match=r"^why$"):
        cluster.list_objects(CloudPeer)
    assert len(server.requests) == 1, "the client must not retry"


def test_redirect_is_not_followed(server: StubServer, cluster: KubernetesCluster) -> None:
    with serving(lambda _: EMPTY) as elsewhere:
        server.answer = lambda _: Answer(307, {}, {"Location": elsewhere.url})
        with pytest.raises(Unavailable, match="status 307"):
            cluster.list_objects(CloudPeer)
        assert not elsewhere.requests


def test_proxy_of_the_environment_is_not_used(
    kubeconfig: str, server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda _: EMPTY) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        KubernetesCluster(kubeconfig, "isthmus-controller").list_objects(CloudPeer)
        assert not proxy.requests
    assert server.requests


def test_proxy_of_the_kubeconfig_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with serving(lambda _: EMPTY) as proxy:
        through = {"server": "http://192.0.2.10:6443", "proxy-url": proxy.url}
        path = write_kubeconfig(tmp_path / "kubeconfig", through, {"token": "t"})
        KubernetesCluster(path, "isthmus-controller").list_objects(CloudPeer)
        assert proxy.requests[0].path.startswith("http://192.0.2.10:6443/apis/isthmus.cloud/")


def test_token_file_is_read_for_each_request(server: StubServer, cluster: KubernetesCluster, tmp_path: Path) -> None:
    for token in ("first", "second"):
        (tmp_path / "token").write_text(f"{token}\n")
        cluster.list_objects(CloudPeer)
        assert server.requests[-1].headers["Authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("content", ["", "\n", "two words", "line\r\nX-Injected: 1", "not-ascii-\u00e9"])
def test_malformed_token_is_neither_sent_nor_quoted(
    server: StubServer, cluster: KubernetesCluster, tmp_path: Path, content: str
) -> None:
    cluster.list_objects(CloudPeer)
    (tmp_path / "token").write_text(content)
    with pytest.raises(Forbidden, match=r"token does not contain a valid token$"):
        cluster.list_objects(CloudPeer)
    (tmp_path / "token").unlink()
    with pytest.raises(Forbidden, match=r"cannot read the token file: .*No such file"):
        cluster.list_objects(CloudPeer)
    assert server.shown == {"Bearer first"}


def test_kubeconfig_is_loaded_again_after_a_401(server: StubServer, cluster: KubernetesCluster, tmp_path: Path) -> None:
    server.answer = _answers(_status(401, "Unauthorized"), EMPTY)
    with pytest.raises(Forbidden, match="Unauthorized"):
        cluster.list_objects(CloudPeer)
    write_kubeconfig(tmp_path / "kubeconfig", {"server": server.url}, {"token": "second"})
    cluster.list_objects(CloudPeer)
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer first", "Bearer second"]


def test_list_includes_all_pages(server: StubServer, cluster: KubernetesCluster) -> None:
    server.answer = _answers(_page(["a", "b"], "more/of+it="), _page(["c"]))
    assert _nodes(cluster) == ["a", "b", "c"]
    queries = [parse_qs(urlsplit(request.path).query) for request in server.requests]
    assert queries == [{"limit": ["2"]}, {"limit": ["2"], "continue": ["more/of+it="]}]


def test_object_that_is_not_understood_fails_only_what_parses_it(
    server: StubServer, cluster: KubernetesCluster
) -> None:
    odd, sound = (cloud_peer(name).to_manifest() for name in ("odd", "sound"))
    odd["spec"]["gatewayCIDRs"] = ["10.0.0.1/8"]
    server.answer = lambda _: Answer(200, {"items": [odd, sound], "metadata": {}})
    with pytest.raises(Invalid, match=r"CloudPeer odd is not understood: spec\.gatewayCIDRs"):
        cluster.list_objects(CloudPeer)
    assert [found["metadata"]["name"] for found in cluster.list_manifests(API_VERSION, "CloudPeer")] == ["odd", "sound"]


def test_expired_list_is_read_again_from_the_start(server: StubServer, cluster: KubernetesCluster) -> None:
    expired = _status(410, "The provided continue parameter is too old")
    server.answer = _answers(_page(["a", "b"], "old"), expired, _page(["b", "c"], "new"), _page(["d"]))
    assert _nodes(cluster) == ["b", "c", "d"], "items of the first attempt must be dropped"


def test_list_that_expires_each_time_is_unavailable(server: StubServer, cluster: KubernetesCluster) -> None:
    server.answer = lambda request: _status(410, "too old") if "continue" in request.path else _page(["a"], "old")
    with pytest.raises(Unavailable, match="expired 3 times"):
        _nodes(cluster)


def test_writes_carry_the_field_manager(server: StubServer, cluster: KubernetesCluster) -> None:
    server.answer = lambda request: Answer(200, json.loads(request.body))
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a b", "namespace": "n"}, "data": {}}
    assert cluster.apply_manifest(manifest) == manifest
    peer = CloudPeer(metadata=ObjectMeta(name="p", resource_version="7"), spec=cloud_peer("p").spec)
    cluster.set_finalizers(peer, ["isthmus.cloud/finalizer"])
    applied, merged = server.requests
    assert applied.path == "/api/v1/namespaces/n/secrets/a%20b?fieldManager=isthmus-controller&force=true"
    assert applied.headers["Content-Type"] == "application/apply-patch+yaml"
    assert applied.headers["User-Agent"] == "isthmus-controller"
    assert merged.path == "/apis/isthmus.cloud/v1alpha1/cloudpeers/p?fieldManager=isthmus-controller"
    assert merged.headers["Content-Type"] == "application/merge-patch+json"
    assert json.loads(merged.body)["metadata"] == {"finalizers": ["isthmus.cloud/finalizer"], "resourceVersion": "7"}
