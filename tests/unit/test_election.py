"""One active replica of the controller: clocks that differ, outages, crashes, clean ends."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.controller.election import LEASE, Election, NotActive, guarded, new_identity
from isthmus.core.election import Timing
from isthmus.model.errors import ExternalError
from isthmus.model.facts.lease import Lease
from isthmus.ports import NetworkCloud
from tests.fakes.agent_harness import ManualClock
from tests.fakes.leases import FakeLeases
from tests.fakes.networkcloud import FakeNetworkCloud

TIMING = Timing()


class SkewedClock:
    """A machine whose wall clock is wrong, and whose monotonic clock began at another time."""

    def __init__(self, real: ManualClock, skew_seconds: float) -> None:
        self._real, self._skew = real, skew_seconds

    def now(self) -> datetime:
        return self._real.now() + timedelta(seconds=self._skew)

    def monotonic_seconds(self) -> float:
        return self._real.monotonic_seconds() + 1000 * self._skew


class Replicas:
    """Two replicas and their API server."""

    def __init__(self, skew_seconds: float = 3600) -> None:
        self.clock, self.leases = ManualClock(), FakeLeases()
        self.one = Election(self.leases, self.clock, "one")
        self.two = Election(self.leases, SkewedClock(self.clock, skew_seconds), "two")

    def pass_time(self, seconds: float, *running: Election) -> None:
        for _ in range(round(seconds / TIMING.retry_seconds)):
            self.clock.seconds += TIMING.retry_seconds
            for election in running:
                election.attempt()
            assert not (self.one.is_active() and self.two.is_active())


@pytest.fixture
def replicas() -> Replicas:
    return Replicas()


def test_second_replica_waits(replicas: Replicas) -> None:
    assert replicas.one.attempt()
    assert not replicas.two.attempt()
    replicas.pass_time(600, replicas.one, replicas.two)
    assert replicas.one.is_active()


def test_lease_is_annotated() -> None:
    leases, clock = FakeLeases(), ManualClock()
    election = Election(leases, clock, "one", annotations={"isthmus.cloud/cloud-id": "cloud-a"})
    assert election.attempt()
    assert leases.stored[LEASE].annotations == {"isthmus.cloud/cloud-id": "cloud-a"}
    election.stop()
    assert leases.stored[LEASE].annotations == {"isthmus.cloud/cloud-id": "cloud-a"}


def test_second_replica_takes_over_from_a_dead_one(replicas: Replicas) -> None:
    replicas.one.attempt()
    replicas.two.attempt()
    replicas.pass_time(TIMING.lease_seconds - 2, replicas.two)
    assert not replicas.one.is_active(), "it must stop before another one may begin"
    assert not replicas.two.is_active()
    replicas.pass_time(4, replicas.two)
    assert replicas.two.is_active()
    assert replicas.leases.stored[LEASE].transitions == 1


def test_clean_end_releases_the_lease(replicas: Replicas) -> None:
    replicas.one.attempt()
    replicas.two.attempt()
    replicas.one.stop()
    assert not replicas.one.is_active()
    assert replicas.two.attempt()


def test_lease_is_kept_while_a_request_is_in_progress(replicas: Replicas) -> None:
    replicas.one.attempt()
    replicas.two.attempt()
    replicas.one.stop(release=False)
    assert not replicas.two.attempt()


def test_replica_that_waits_releases_nothing(replicas: Replicas) -> None:
    replicas.one.attempt()
    replicas.two.attempt()
    replicas.two.stop()
    assert replicas.leases.stored[LEASE].holder == "one"


def test_given_up_at_once_when_it_cannot_be_renewed(replicas: Replicas) -> None:
    replicas.one.attempt()
    replicas.leases.down = True
    replicas.pass_time(TIMING.deadline_seconds - 2, replicas.one)
    assert replicas.one.is_active()
    replicas.pass_time(2, replicas.one)
    assert not replicas.one.is_active()
    with pytest.raises(NotActive):
        replicas.one.require()
    replicas.leases.down = False
    assert replicas.one.attempt(), "nobody else has taken it"


def test_replica_that_was_asleep_does_not_act(replicas: Replicas) -> None:
    """A suspended machine: no thread runs, and the deadline passes all the same."""
    replicas.one.attempt()
    replicas.two.attempt()
    replicas.clock.seconds += 60
    with pytest.raises(NotActive):
        replicas.one.require()
    assert replicas.two.attempt()
    assert not replicas.one.attempt()


def test_lost_answer_to_a_claim_is_found_again(replicas: Replicas) -> None:
    class LosesAnswers(FakeLeases):
        def update_lease(self, lease: Lease) -> Lease:
            super().update_lease(lease)
            raise ExternalError("no answer")

    lossy = LosesAnswers()
    lossy.stored = replicas.leases.stored
    unlucky = Election(lossy, replicas.clock, "one")
    assert not unlucky.attempt()
    assert replicas.leases.stored[LEASE].holder == "one"
    assert replicas.one.attempt(), "the same replica, when answers arrive again"


def test_deleted_lease_is_made_again(replicas: Replicas) -> None:
    replicas.one.attempt()
    del replicas.leases.stored[LEASE]
    replicas.pass_time(4, replicas.one)
    assert replicas.one.is_active()


def test_no_effect_after_the_deadline(replicas: Replicas) -> None:
    cloud = FakeNetworkCloud()
    guard: NetworkCloud = guarded(cloud, replicas.one.require)
    with pytest.raises(NotActive):
        guard.create_network("project", "web", 1450, "")
    assert guard.get_network("absent") is None, "reading is allowed"
    replicas.one.attempt()
    guard.create_network("project", "web", 1450, "")
    replicas.clock.seconds += TIMING.deadline_seconds
    with pytest.raises(NotActive):
        guard.create_network("project", "again", 1450, "")
    assert [network.name for network in cloud.networks.values()] == ["web"]


def test_thread_reports_changes_and_releases() -> None:
    leases, changes = FakeLeases(), threading.Event()
    election = Election(leases, ManualClock(), "one", Timing(retry_seconds=0.01))
    election.start(changes.set)
    assert changes.wait(5)
    assert election.is_active()
    election.stop()
    assert leases.stored[LEASE].holder == ""


def test_identities_differ() -> None:
    assert new_identity() != new_identity()


STEPS = st.lists(st.tuples(st.sampled_from(["one", "two", "outage", "wait"]), st.floats(0, 20)), max_size=60)


@given(STEPS, st.floats(-1e5, 1e5))
def test_never_two_active(steps: list[tuple[str, float]], skew_seconds: float) -> None:
    replicas = Replicas(skew_seconds)
    for step, seconds in steps:
        match step:
            case "one":
                replicas.one.attempt()
            case "two":
                replicas.two.attempt()
            case "outage":
                replicas.leases.down = not replicas.leases.down
            case "wait":
                replicas.clock.seconds += seconds
        assert not (replicas.one.is_active() and replicas.two.is_active())
