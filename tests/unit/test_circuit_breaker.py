"""A service that does not answer costs one time-out; one request after a pause shows whether it answers again."""

from __future__ import annotations

from typing import Any, cast

import pytest

from isthmus.adapters.openstack.api import Api
from isthmus.adapters.openstack.breaker import CircuitBreaker
from isthmus.adapters.openstack.session import Session
from isthmus.model.errors import Forbidden, Unavailable

HANG_SECONDS = 30.0


class Service:
    """A service, and the clock: a request that hangs lasts until its time-out."""

    def __init__(self) -> None:
        self.now = 0.0
        self.requests = 0
        self.status: int | None = None
        self.breaker = CircuitBreaker(lambda: self.now)
        self.api = Api(cast(Session, self), "network")
        self.api._breaker = self.breaker

    def adapter(self, _service: str) -> Any:
        return self

    def request(self, *_: object, **__: object) -> Any:
        self.requests += 1
        if self.status is None:
            self.now += HANG_SECONDS
            raise OSError("timed out")
        return Response(self.status)

    def fails(self) -> str:
        with pytest.raises(Unavailable) as caught:
            self.api.get("/networks")
        return str(caught.value)


class Response:
    content = b"{}"
    text = ""

    def __init__(self, status: int) -> None:
        self.status_code = status

    def json(self) -> dict[str, object]:
        return {}


def test_hanging_service_costs_one_time_out() -> None:
    service = Service()
    texts = {service.fails() for _ in range(1000)}
    assert (service.requests, service.now) == (1, HANG_SECONDS)
    assert texts == {"network: timed out"}, "another text would be a status write for each network"


def test_pause_is_as_long_as_the_time_out_and_one_request_decides() -> None:
    service = Service()
    service.fails()
    service.now += HANG_SECONDS - 1
    service.fails()
    assert service.requests == 1
    service.now += 1
    service.fails()
    assert service.requests == 2, "one request is sent after the pause"
    service.now += HANG_SECONDS
    service.status = 200
    service.api.get("/networks")
    service.api.get("/networks")
    assert service.requests == 4, "closed again"


def test_others_wait_while_one_request_is_decided() -> None:
    service = Service()
    service.fails()
    service.now += HANG_SECONDS
    with service.breaker.guard():
        service.fails()
    assert service.requests == 1
    service.status = 200
    service.api.get("/networks")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_proxy_without_a_service_behind_it_opens(status: int) -> None:
    service = Service()
    service.status = status
    service.fails()
    service.fails()
    assert service.requests == 1
    service.now += 5
    service.status = 200
    service.api.get("/networks")


def test_failure_of_one_request_does_not_open() -> None:
    """500 may be about one object; 403 is an answer."""
    service = Service()
    service.status = 500
    service.fails()
    service.status = 403
    with pytest.raises(Forbidden):
        service.api.get("/networks")
    service.status = 200
    service.api.get("/networks")
    assert service.requests == 3
