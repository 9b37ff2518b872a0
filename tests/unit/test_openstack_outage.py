"""OpenStack as a whole cannot be used: one condition, one line, and nothing internal for tenants."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest

from isthmus.model.api.objects import Condition, condition_of
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.errors import ExternalError, Forbidden, Unavailable
from isthmus.ports import NetworkCloud
from tests.fakes.federation import FakeCloud, FakeFederation, reason

REJECTED = "clouds file /etc/openstack/clouds.yaml, entry isthmus: the credential was rejected (HTTP 401)"
AWAY = "clouds file /etc/openstack/clouds.yaml, entry isthmus: unable to connect to http://10.0.0.5:5000/v3/auth/tokens"
NETWORKS = 5


class Switchable:
    """OpenStack that fails as a whole while `error` is set; counts the calls."""

    def __init__(self, cloud: NetworkCloud) -> None:
        self.error: Callable[[], BaseException] | None = None
        self.calls: list[str] = []
        self._cloud = cloud

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            if self.error is not None:
                raise self.error()
            return getattr(self._cloud, name)(*arguments, **named)

        return call


@pytest.fixture
def federation() -> FakeFederation:
    federation = FakeFederation()
    federation.agree()
    federation.settle()
    return federation


@pytest.fixture
def openstack(federation: FakeFederation) -> Switchable:
    """Cloud A's OpenStack."""
    a, _ = federation.clouds
    switchable = Switchable(a.neutron)
    a.restart(a.with_cloud(cast(NetworkCloud, switchable)))
    return switchable


def available(cloud: FakeCloud) -> Condition:
    found = condition_of(cloud.peer("cloud-b").status.conditions, "OpenStackAvailable")
    assert found is not None
    return found


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Warnings since the last call."""
    found = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    caplog.clear()
    return found


@pytest.mark.parametrize(("kind", "text"), [(Forbidden, REJECTED), (Unavailable, AWAY)])
def test_outage_is_one_condition_and_one_line_and_ends(
    federation: FakeFederation,
    openstack: Switchable,
    caplog: pytest.LogCaptureFixture,
    kind: type[ExternalError],
    text: str,
) -> None:
    caplog.set_level(logging.INFO, "isthmus")
    a, _ = federation.clouds
    networks = [a.tenant(f"shop{number}")[1] for number in range(NETWORKS)]
    openstack.error = lambda: kind(text)
    for number, network in enumerate(networks):
        a.expand(network.id, "cloud-b", namespace=f"shop{number}")
    for _ in range(10):
        a.cycle(resync=True)
    assert warnings(caplog) == [f"OpenStack unavailable: {text}"]
    assert set(openstack.calls) == {"check"}, "no network waits for an OpenStack that does not answer"
    assert (available(a).status, available(a).reason, available(a).message) == ("False", kind.reason, text)
    assert reason(a.peer("cloud-b")) == "Ready", "the agreement with the peer needs no OpenStack"
    for number in range(NETWORKS):
        expansion = a.expansion(f"shop{number}")
        assert reason(expansion) == kind.reason
        wire = str(expansion and expansion.to_wire())
        assert "The administrators of this cloud see the details." in wire
        assert "10.0.0.5" not in wire
        assert "clouds.yaml" not in wire
    openstack.error = None
    federation.settle()
    assert (available(a).status, available(a).reason) == ("True", "Available")
    assert {reason(a.expansion(f"shop{number}")) for number in range(NETWORKS)} == {"Ready"}
    (end,) = (r.getMessage() for r in caplog.records if "OpenStack available" in r.getMessage())
    assert end.startswith("OpenStack available again after ")


def test_unavailable_openstack_is_reported_at_start_and_blocks_nothing(
    federation: FakeFederation, caplog: pytest.LogCaptureFixture
) -> None:
    """Without any network."""
    caplog.set_level(logging.INFO, "isthmus")
    a, _ = federation.clouds
    broken = Switchable(a.neutron)
    broken.error = lambda: Forbidden(REJECTED)
    a.restart(a.with_cloud(cast(NetworkCloud, broken)))
    outcome = a.cycle()
    assert [line for line in warnings(caplog) if "OpenStack" in line] == [f"OpenStack unavailable: {REJECTED}"]
    assert available(a).message == REJECTED
    assert outcome.failures, "the check is repeated soon"
    broken.error = None
    assert a.cycle(resync=False).failures == {}
    assert available(a).status == "True"
    calls = len(broken.calls)
    assert a.cycle(resync=False).failures == {}
    assert len(broken.calls) == calls, "what works is checked at a resync only"


def test_outage_after_the_check_is_waited_for_once(
    federation: FakeFederation, openstack: Switchable, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "isthmus")
    a, _ = federation.clouds
    for number in range(NETWORKS):
        a.expand(a.tenant(f"shop{number}")[1].id, "cloud-b", namespace=f"shop{number}")
    federation.settle()
    warnings(caplog)
    openstack.calls.clear()
    is_first_check = iter([True])

    def error() -> BaseException:
        return Unavailable(AWAY)

    def check() -> None:
        if not next(is_first_check, False):
            raise error()

    openstack.check = check  # type: ignore[attr-defined]
    openstack.error = error
    a.cycle(resync=True)
    assert len(openstack.calls) == 1
    (outage,) = warnings(caplog)
    assert outage == f"OpenStack unavailable: {AWAY}"
    for _ in range(3):
        a.cycle(resync=True)
    assert (len(openstack.calls), warnings(caplog)) == (1, [])


def test_unexpected_answer_does_not_end_the_loop(federation: FakeFederation) -> None:
    a, _ = federation.clouds
    broken = Switchable(a.neutron)
    broken.error = lambda: KeyError("project")
    a.restart(a.with_cloud(cast(NetworkCloud, broken)))
    a.cycle()
    assert (available(a).reason, "KeyError" in available(a).message) == ("Unavailable", True)


def test_failure_of_one_network_is_logged_once_and_at_its_end(
    federation: FakeFederation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "isthmus")
    a, _ = federation.clouds
    _, network, _ = a.tenant()
    is_broken = True

    class Broken:
        def __getattr__(self, name: str) -> Any:
            return getattr(a.neutron, name)

        def get_network(self, network_id: str) -> object:
            if is_broken:
                raise Unavailable("network: an internal error on node ctl-3")
            return a.neutron.get_network(network_id)

    a.restart(a.with_cloud(cast(NetworkCloud, Broken())))
    a.expand(network.id, "cloud-b")
    for _ in range(5):
        a.cycle()
    assert warnings(caplog) == [f"cloud-a.{network.id} failed: Unavailable: network: an internal error on node ctl-3"]
    assert available(a).status == "True"
    assert "ctl-3" not in str(a.expansion())
    is_broken = False
    a.cycle()
    assert [r.getMessage() for r in caplog.records].count(f"cloud-a.{network.id}: no longer failing") == 1


def test_life_of_a_network_is_logged(federation: FakeFederation, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "isthmus")
    a, _ = federation.clouds
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    a.kubectl.delete(NetworkExpansion, "web", "shop")
    federation.settle()
    logged = [r.getMessage() for r in caplog.records if " -> " in r.getMessage()]
    expansion = [line.partition(": ")[2] for line in logged if line.startswith("NetworkExpansion shop/web:")]
    assert expansion[0].startswith("absent -> ")
    assert any(line.endswith(" -> Ready") for line in expansion)
    assert expansion[-1].endswith(" -> absent")
    received = [line for line in logged if line.startswith(f"Attachment isthmus-system/cloud-a.{network.id}:")]
    assert any(line.endswith(" -> Ready") for line in received)
    assert received[-1].endswith(" -> absent")
    for line, following in pairwise(expansion):
        assert line.split(" -> ")[1].split(": ")[0] == following.split(" -> ")[0], "states follow one another"
