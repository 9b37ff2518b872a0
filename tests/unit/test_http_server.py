"""The HTTP server of a process, on a real socket."""

from __future__ import annotations

import socket
from http.client import HTTPConnection

import pytest

from isthmus.model.errors import Unavailable
from isthmus.telemetry.health import Health
from isthmus.telemetry.metrics import Metrics
from isthmus.telemetry.server import serve
from tests.fakes.httprequests import get


def _free_port(address: str) -> int:
    with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as taken:
        return int(taken.getsockname()[1])


def _request(address: str, port: int, path: str, method: str = "GET") -> tuple[int, str]:
    connection = HTTPConnection(address, port, timeout=5)
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.read().decode()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_metrics_and_probes_on_one_port(address: str) -> None:
    port, health = _free_port(address), Health()
    serve(Metrics(), health, address, port)
    loop = health.loop("node", must_complete=True)
    loop.begin()
    loop.ended()
    assert _request(address, port, "/livez") == (200, "ok\n")
    assert _request(address, port, "/readyz?verbose") == (503, "loop node: nothing completed yet\n")
    status, text = _request(address, port, "/metrics")
    assert (status, 'isthmus_last_iteration_timestamp_seconds{loop="node"} 1.' in text) == (200, True)
    assert "isthmus_last_complete_iteration_timestamp_seconds{" not in text
    assert _request(address, port, "/metrics", "POST")[0] == 405


def test_an_idle_client_keeps_no_probe_waiting() -> None:
    port = _free_port("127.0.0.1")
    serve(Metrics(), Health(), "127.0.0.1", port)
    with socket.create_connection(("127.0.0.1", port)):
        assert _request("127.0.0.1", port, "/livez") == (200, "ok\n")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/"])
def test_get_only(method: str, path: str) -> None:
    assert get(Health(), path, method) == (405, "only GET is allowed\n")


@pytest.mark.parametrize("path", ["/", "/healthz", "/livez/", "/metrics/..", "/favicon.ico"])
def test_nothing_else_is_served(path: str) -> None:
    assert get(Health(), path) == (404, "there are /metrics, /livez and /readyz\n")


def test_port_that_cannot_be_served_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Unavailable) as caught:
            serve(Metrics(), Health(), "127.0.0.1", port)
    place = f"metrics_address, metrics_port: TCP port {port} on"
    assert str(caught.value) == f"{place} 127.0.0.1 is in use by another process"
    with pytest.raises(Unavailable, match=rf"^{place} 192\.0\.2\.1 cannot be used: Cannot assign requested address$"):
        serve(Metrics(), Health(), "192.0.2.1", port)


def test_port_can_be_served_again_at_once() -> None:
    """As by the next agent on a node, while clients of the last one are still connected."""
    port = _free_port("127.0.0.1")
    stop = serve(Metrics(), Health(), "127.0.0.1", port)
    with socket.create_connection(("127.0.0.1", port)):
        assert _request("127.0.0.1", port, "/livez") == (200, "ok\n")
        stop()
        stop_next = serve(Metrics(), Health(), "127.0.0.1", port)
        assert _request("127.0.0.1", port, "/livez") == (200, "ok\n")
        stop_next()


def test_port_0_serves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    serve(Metrics(), Health(), "127.0.0.1", 0)
