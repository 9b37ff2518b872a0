"""Two gateway nodes in one cloud: what moves a network from one to the other, what does not, and how it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from isthmus.model.names import agent_lease
from tests.fakes.federation import reason
from tests.fakes.twonodes import TwoNodes


@pytest.fixture(params=["origin", "receiver"])
def two(request: pytest.FixtureRequest) -> TwoNodes:
    return TwoNodes(request.param)


def test_node_that_is_not_ready_for_a_moment_keeps_its_networks(two: TwoNodes) -> None:
    ports = two.ports()
    with two.first.not_ready():
        two.pass_time(9)
    two.pass_time(60)
    two.check_stayed()
    assert two.ports() == ports


def test_networks_of_a_node_that_is_not_ready_move(two: TwoNodes) -> None:
    with two.first.not_ready():
        two.pass_time(12)
        two.check_moved()


def test_nothing_moves_if_no_other_node_is_usable(two: TwoNodes) -> None:
    two.second.ready = False
    with two.first.not_ready():
        two.pass_time(60)
        two.check_stayed()


def test_agent_that_is_down_moves_nothing(two: TwoNodes) -> None:
    two.first.agent_runs = False
    two.pass_time(120)
    two.check_stayed()


def test_kubelet_that_is_down_moves_nothing(two: TwoNodes) -> None:
    two.first.machine("Unknown")
    two.pass_time(120)
    two.check_stayed()


def test_networks_of_a_dead_node_move(two: TwoNodes) -> None:
    two.first.die()
    two.pass_time(30)
    two.check_stayed()
    two.pass_time(12)
    two.check_moved()


def test_networks_of_a_dead_node_move_though_its_lease_was_deleted(two: TwoNodes) -> None:
    """The garbage collector may be late with the Lease of a GatewayNode that was deleted, and exists again."""
    two.pass_time(10)
    two.first.die()
    del two.cloud.leases.stored[agent_lease(two.first.name)]
    two.pass_time(30)
    two.check_stayed()
    two.pass_time(12)
    two.check_moved()


def test_outage_of_the_api_moves_nothing(two: TwoNodes) -> None:
    """Nor does its end: the agents need some time to renew their Leases."""
    for gateway in two.gateways.values():
        gateway.machine("Unknown")  # no kubelet could report either
    two.federation.clock.move(600)
    two.second.play()  # the other node's agent is the first one to return
    two.cloud.cycle()
    two.check_stayed()
    two.federation.clock.move(9)
    two.cloud.cycle()
    two.check_stayed()
    two.pass_time(60)
    two.check_stayed()


def test_restarted_controller_moves_nothing(two: TwoNodes) -> None:
    two.first.agent_runs = False
    two.pass_time(120)
    two.cloud.restart()
    two.pass_time(120)
    two.check_stayed()


@pytest.mark.parametrize("what", ["deleted", "bound elsewhere"])
def test_port_that_somebody_takes_is_made_again_on_the_same_node(two: TwoNodes, what: str) -> None:
    """On both nodes: on one of them it is not the network's preference that keeps it there."""
    for _ in ("the preferred node", "the other one"):
        active, (port,) = two.active, two.ports()
        if what == "deleted":
            two.cloud.neutron.delete_port(port.id)
        else:
            two.cloud.neutron.ports[port.id] = replace(port, host="elsewhere")
        two.settle()
        assert two.active is active
        assert [p.host for p in two.ports()] == [active.host]
        with active.not_ready():
            two.pass_time(12)
    repaired = [reason_ for _, _, reason_, _ in two.cloud.store.events if reason_ == "Repaired"]
    assert len(repaired) == (2 if what == "deleted" else 0), "a move is no repair"


def test_removing_the_label_drains_a_node(two: TwoNodes) -> None:
    two.cloud.kubectl.apply_manifest({"apiVersion": "v1", "kind": "Node", "metadata": {"name": two.first.name}})
    two.settle()
    two.check_moved()


class TestReturn:
    def fail_and_return(self, two: TwoNodes) -> Callable[[], bool]:
        """Whether the network is on the node that it prefers, which has failed and just came back."""
        with two.first.not_ready():
            two.pass_time(12)
        two.settle()
        two.check_moved()
        return lambda: two.active is two.first

    def test_network_returns_after_the_settling_time(self, two: TwoNodes) -> None:
        returned = self.fail_and_return(two)
        two.pass_time(290, step=10)
        assert not returned()
        two.pass_time(320, step=10)
        assert returned()
        assert reason(two.a.expansion()) == "Ready"
        assert [port.host for port in two.ports()] == [two.first.host]

    def test_another_failure_starts_the_time_again(self, two: TwoNodes) -> None:
        returned = self.fail_and_return(two)
        two.pass_time(280, step=10)
        with two.first.not_ready():
            two.pass_time(4)
        two.pass_time(290, step=10)
        assert not returned()

    def test_never_if_switched_off(self, two: TwoNodes) -> None:
        two.cloud.settings = two.cloud.settings.model_copy(update={"gateway_return_seconds": 0})
        two.cloud.restart()
        returned = self.fail_and_return(two)
        two.pass_time(3600, step=14)
        assert not returned()
