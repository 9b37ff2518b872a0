"""The Lease by which an agent shows that it runs."""

from __future__ import annotations

from datetime import timedelta

from isthmus.agent.heartbeat import DURATION_SECONDS, RENEWAL_SECONDS, Heartbeat
from isthmus.model.names import agent_lease
from tests.fakes.agent_harness import ManualClock
from tests.fakes.leases import FakeLeases

NODE = "gw-a1"


def test_renewed_and_never_handed_on() -> None:
    leases, clock = FakeLeases(), ManualClock()
    heartbeat = Heartbeat(leases, clock, NODE)
    assert heartbeat.renew()
    first = leases.stored[agent_lease(NODE)]
    clock.seconds += RENEWAL_SECONDS
    assert heartbeat.renew()
    second = leases.stored[agent_lease(NODE)]
    assert first.renewed is not None
    assert second.renewed == first.renewed + timedelta(seconds=RENEWAL_SECONDS)
    assert (second.acquired, second.transitions, second.holder) == (first.acquired, 0, NODE)


def test_continues_after_an_outage_and_after_other_writers() -> None:
    leases, clock = FakeLeases(), ManualClock()
    heartbeat = Heartbeat(leases, clock, NODE)
    leases.down = True
    assert not heartbeat.renew()
    leases.down = False
    assert heartbeat.renew()
    leases.update_lease(leases.stored[agent_lease(NODE)])  # by an agent that has not ended yet
    assert not heartbeat.renew()
    assert heartbeat.renew()
    leases.stored.clear()
    assert not heartbeat.renew()
    assert heartbeat.renew()


def test_ends_with_the_gateway_node_that_owns_it() -> None:
    leases, clock = FakeLeases(), ManualClock()
    heartbeat = Heartbeat(leases, clock, NODE)
    assert heartbeat.renew()
    assert leases.stored[agent_lease(NODE)].gateway_node == NODE
    leases.absent_gateway_nodes.add(NODE)
    leases.stored.clear()
    assert not any(heartbeat.renew() for _ in range(3))
    assert leases.stored == {}
    leases.absent_gateway_nodes.clear()
    assert heartbeat.renew()


def test_three_renewals_may_be_lost() -> None:
    assert 3 * RENEWAL_SECONDS < DURATION_SECONDS
