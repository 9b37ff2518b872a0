"""Two replicas of a controller that run at the same time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from isthmus.controller.backends import Backends
from isthmus.controller.election import Election, guarded
from isthmus.controller.loop import Controller, Outcome
from isthmus.ports import NetworkCloud
from tests.fakes.federation import FakeCloud, FakeFederation, reason


class Interrupted:
    """An OpenStack in which the other replica runs a cycle while a network is being created."""

    def __init__(self, cloud: NetworkCloud) -> None:
        self._cloud = cloud
        self.other: Controller | None = None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._cloud, name)
        if name != "create_network" or self.other is None:
            return method

        def create(*arguments: Any) -> Any:
            other, self.other = self.other, None
            assert other is not None
            other.cycle(resync=True)
            return method(*arguments)

        return create


def replica(cloud: FakeCloud, backends: Backends, identity: str) -> tuple[Controller, Election]:
    election = Election(backends.leases, backends.clock, identity)
    own = replace(
        backends,
        cluster=guarded(backends.cluster, election.require),
        cloud=guarded(backends.cloud, election.require),
    )
    return Controller(cloud.settings, own, election.is_active), election


def test_second_replica_creates_nothing_beside_the_first() -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    federation.agree()
    federation.settle()
    openstack = Interrupted(b.neutron)
    b.controller, first = replica(b, b.with_cloud(cast(NetworkCloud, openstack)), "first")
    openstack.other, second = replica(b, b.backends, "second")
    assert first.attempt()
    assert not second.attempt()
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    assert openstack.other is None, "the second replica has run"
    assert len(b.neutron.networks) == 1
    assert reason(a.expansion()) == "Ready"


def test_replica_that_waits_does_not_even_begin() -> None:
    federation = FakeFederation()
    a, _ = federation.clouds
    _, first = replica(a, a.backends, "first")
    assert first.attempt()
    waiting, _ = replica(a, a.backends, "second")
    before = federation.writes()
    assert waiting.cycle(resync=True) == Outcome()
    assert federation.writes() == before
