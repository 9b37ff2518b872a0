"""OpenStack failures affect one network only, and their cause is reported to the failing cloud only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from isthmus.model.errors import Conflict, Unavailable
from isthmus.ports import NetworkCloud
from tests.fakes.federation import FakeCloud, FakeFederation, reason


@pytest.fixture
def federation() -> FakeFederation:
    federation = FakeFederation()
    federation.agree()
    federation.settle()
    return federation


def _broken(cloud: FakeCloud, **methods: Callable[..., object]) -> None:
    """Restart the cloud's controller on an OpenStack in which these calls fail."""

    class Broken:
        def __getattr__(self, name: str) -> Any:
            return methods.get(name, getattr(cloud.neutron, name))

    cloud.restart(cloud.with_cloud(cast(NetworkCloud, Broken())))


@pytest.mark.parametrize(
    ("trouble", "expected"), [(Unavailable("no answer"), "Unavailable"), (KeyError("network"), "InternalError")]
)
def test_failure_of_one_network_does_not_affect_another(
    federation: FakeFederation, trouble: Exception, expected: str
) -> None:
    a, _ = federation.clouds
    _, first, _ = a.tenant()
    _, second, _ = a.tenant("bakery")
    a.expand(first.id, "cloud-b")
    a.expand(second.id, "cloud-b", namespace="bakery")

    def get_network(network_id: str) -> object:
        if network_id == first.id:
            raise trouble
        return a.neutron.get_network(network_id)

    _broken(a, get_network=get_network)
    federation.settle()
    assert reason(a.expansion("shop")) == expected
    assert reason(a.expansion("bakery")) == "Ready"


def test_receivers_failure_is_reported_without_its_cause_and_clears(federation: FakeFederation) -> None:
    a, b = federation.clouds
    _, network, _ = a.tenant()

    def create_network(*_: object) -> object:
        raise Conflict("no segment is left on rack 7")

    _broken(b, create_network=create_network)
    a.expand(network.id, "cloud-b")
    federation.settle()
    assert reason(a.expansion()) == "ReplicaFailed"
    (answer,) = b.links()
    assert "rack 7" not in str(answer.to_wire())
    assert "rack 7" in next(c.message for c in b.attachments()[0].status.conditions if c.type == "Ready")
    before = federation.writes()
    federation.settle()
    assert federation.writes() == before
    b.restart()
    federation.settle()
    assert reason(a.expansion()) == "Ready"
