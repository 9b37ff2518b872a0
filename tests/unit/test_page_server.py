"""The server of the topology page: who gets an answer, and what is read for it."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from isthmus.plugin.core import resources
from isthmus.plugin.core.answer import Unread
from isthmus.plugin.core.diagnosis.subject import Readings
from isthmus.plugin.core.leases import leases
from isthmus.plugin.kubectl import NotRead
from isthmus.plugin.observer import Observer
from isthmus.plugin.page import ASSETS
from isthmus.plugin.pageserver import PageServer
from tests.fakes.kubectl import lease
from tests.fakes.topologies import stretched_items

TOKEN = "t" * 43
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Cluster:
    """What is read, and how often."""

    def __init__(self) -> None:
        self.items = stretched_items()
        self.failure = ""
        self.readings = 0

    def read(self) -> tuple[Readings, tuple[Unread, ...]]:
        self.readings += 1
        if self.failure:
            raise NotRead(self.failure)
        names = ("isthmus-controller", "isthmus-agent-gw-cloud-a")
        processes = leases([lease(name, "2026-01-01T00:00:00Z") for name in names], NOW)
        return Readings(resources.cloud(self.items), processes, {}), ()


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(cluster: Cluster, clock: Clock) -> Iterator[PageServer]:
    with PageServer(0, TOKEN, Observer(cluster.read, clock)) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def get(server: PageServer, path: str, method: str = "GET", **headers: str | None) -> http.client.HTTPResponse:
    """The answer, with the right token and host unless others are given; None leaves a header out."""
    sent: dict[str, str | None] = {"Host": f"127.0.0.1:{server.server_port}", "X-Isthmus-Token": TOKEN}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders()
    return connection.getresponse()


def document(server: PageServer, path: str) -> Any:
    answer = get(server, path)
    assert answer.status == 200
    return json.load(answer)


def test_no_name_is_looked_up(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda *_: pytest.fail("it was"))
    with PageServer(0, TOKEN, Observer(cluster.read)) as server:
        assert server.hosts == {f"127.0.0.1:{server.server_port}", f"localhost:{server.server_port}"}


def test_listens_on_the_loopback_address_only(server: PageServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("path", ["/", *(f"/{name}" for name in ASSETS)])
def test_assets_need_no_token_and_have_a_policy(server: PageServer, path: str) -> None:
    answer = get(server, path, X_Isthmus_Token=None)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == ASSETS[path.removeprefix("/") or "page.html"]
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert len(answer.read()) > 100


@pytest.mark.parametrize("token", [None, "", "t", "t" * 42 + "x", TOKEN + "t", "é"])
@pytest.mark.parametrize("path", ["/topology.json", "/diagnosis.json?peer=cloud-b"])
def test_what_is_read_needs_the_token(server: PageServer, cluster: Cluster, path: str, token: str | None) -> None:
    answer = get(server, path, X_Isthmus_Token=token)
    assert answer.status == 401
    assert answer.read() == b"open the address that the command has printed\n"
    assert get(server, f"{path}{'&' if '?' in path else '?'}token={TOKEN}", X_Isthmus_Token=token).status == 401
    assert cluster.readings == 0


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}"]
)
@pytest.mark.parametrize("path", ["/", "/topology.json"])
def test_other_hosts_are_not_served(server: PageServer, path: str, host: str | None) -> None:
    sent = None if host is None else host.format(port=server.server_port)
    assert get(server, path, Host=sent).status == 403


def test_localhost_is_served(server: PageServer) -> None:
    assert get(server, "/topology.json", Host=f"localhost:{server.server_port}").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "CONNECT"])
def test_no_method_but_get(server: PageServer, cluster: Cluster, method: str) -> None:
    answer = get(server, "/topology.json", method)
    assert answer.status == 501
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert cluster.readings == 0


@pytest.mark.parametrize(
    "path", ["/../page.js", "/page/page.js", "/%70age.js", "//page.js/x", "/__init__.py", "/etc/passwd"]
)
def test_nothing_else_is_served(server: PageServer, path: str) -> None:
    assert get(server, path).status == 404


def test_the_topology_is_sent_once_for_each_revision(server: PageServer, cluster: Cluster, clock: Clock) -> None:
    first = document(server, "/topology.json")
    assert first["topology"]["peers"][0]["name"] == "cloud-b"
    assert "topology" not in document(server, f"/topology.json?revision={first['revision']}")
    cluster.items = [item for item in cluster.items if item["kind"] != "NetworkExpansion"]
    clock.seconds += 2
    changed = document(server, f"/topology.json?revision={first['revision']}")
    assert changed["topology"]["peers"][0]["networks"] == []


def test_reads_at_most_every_two_seconds(server: PageServer, cluster: Cluster, clock: Clock) -> None:
    for _ in range(3):
        document(server, "/topology.json")
        document(server, "/diagnosis.json?peer=cloud-b")
    assert cluster.readings == 1
    clock.seconds += 2
    document(server, "/topology.json")
    assert cluster.readings == 2


def test_a_failure_is_a_sentence_beside_what_was_read_before(
    server: PageServer, cluster: Cluster, clock: Clock
) -> None:
    document(server, "/topology.json")
    cluster.failure = "the API server does not answer"
    clock.seconds += 5
    failed = document(server, "/topology.json")
    assert (failed["error"], failed["ageSeconds"]) == (cluster.failure, 5.0)
    assert failed["topology"]["peers"][0]["name"] == "cloud-b"
    cluster.failure = ""
    clock.seconds += 2
    assert (document(server, "/topology.json")["error"], cluster.readings) == ("", 3)


def test_diagnosis_is_of_one_peer(server: PageServer) -> None:
    (subject,) = document(server, "/diagnosis.json?peer=cloud-b")["subjects"]
    assert subject["firstLine"] == "cloud-b: all is well"
    (subject,) = document(server, "/diagnosis.json?peer=cloud-b&network=shop/web")["subjects"]
    assert subject["firstLine"] == "cloud-b, network shop/web: all is well"
    assert document(server, "/diagnosis.json?peer=cloud-c&network=shop/web")["subjects"] == []
    unknown = document(server, "/diagnosis.json?peer=%3Cb%3E")
    assert unknown["error"] == "there is no peer and no stretched network '<b>' among what can be read"
