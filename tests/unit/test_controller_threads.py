"""Two controllers with all their threads, fed by watches: several networks at once, and nothing of ours left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from isthmus.adapters.clock import SystemClock
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from tests.fakes.federation import FakeCloud, FakeFederation, reason
from tests.fakes.watch import FakeObjectWatch, one_at_a_time

NETWORKS = 12
TIMEOUT_SECONDS = 60.0


class Running:
    """Both clouds' controllers and agents, each on threads of its own."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.federation = FakeFederation()
        self.a, self.b = self.federation.clouds
        self.stopped = threading.Event()
        self.threads: list[threading.Thread] = []
        for cloud in self.federation.clouds:
            cloud.settings = cloud.settings.model_copy(update={"resync_seconds": 2.0, "absence_grace_seconds": 1.0})
            backends = cloud.backends
            watched = replace(
                backends,
                cluster=one_at_a_time(backends.cluster, self.lock),
                cloud=one_at_a_time(backends.cloud, self.lock),
                peers=one_at_a_time(backends.peers, self.lock),
                watch=FakeObjectWatch(cloud.store, self.lock),
                clock=SystemClock(),
            )
            cloud.restart(watched)

    def start(self) -> None:
        targets = [cloud.controller.run for cloud in self.federation.clouds] + [self._play_agents]
        self.threads = [threading.Thread(target=target, daemon=True) for target in targets]
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        self.stopped.set()
        for cloud in self.federation.clouds:
            cloud.controller.stop()
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()

    def until(self, what: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + TIMEOUT_SECONDS
        while True:
            with self.lock:
                if what():
                    return
            assert time.monotonic() < ends_at, self.reasons()
            time.sleep(0.1)

    def reasons(self) -> list[str | None]:
        with self.lock:
            return [reason(e) for e in self.a.kubectl.list_objects(NetworkExpansion)]

    def _play_agents(self) -> None:
        while not self.stopped.wait(0.1):
            for cloud in self.federation.clouds:
                with self.lock:
                    cloud.play_agent()


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    running.federation.agree()
    running.start()
    yield running
    running.stop()


def _expand_many(cloud: FakeCloud) -> None:
    for number in range(NETWORKS):
        _, network, _ = cloud.tenant(f"shop{number}", f"10.{20 + number}.0.0/24")
        cloud.expand(network.id, "cloud-b", namespace=f"shop{number}")


def test_networks_become_ready_together_and_leave_nothing(running: Running) -> None:
    a, b = running.a, running.b
    with running.lock:
        _expand_many(a)
        untouched = dict(a.neutron.networks), dict(a.neutron.subnets)
    running.until(lambda: running.reasons() == ["Ready"] * NETWORKS)
    with running.lock:
        ids = [link.spec.offer.tunnel_id for link in a.links() if link.spec.offer]
        assert len(ids) == len(set(ids)) == NETWORKS
        assert len(b.neutron.networks) == NETWORKS
        assert {problem.reason for problem in a.controller.engine.failures.values()} == set()
        for number in range(NETWORKS):
            a.kubectl.delete(NetworkExpansion, "web", f"shop{number}")
    running.until(lambda: not running.reasons() and not a.links() and not b.links() and not b.attachments())
    assert (dict(a.neutron.networks), dict(a.neutron.subnets)) == untouched
    assert b.neutron.networks == {}
