"""Which of several gateway nodes carries a network, and what makes a node usable, waiting or failed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from isthmus.core.placement.gateways import Gateway, active_gateway, carried_by_paths
from isthmus.core.placement.health import NodeHistory, NodeReading, first_seen, health_of, not_counting, seen_again
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection, GatewayNode, GatewayNodeStatus
from isthmus.model.facts.gateway import NodeHealth
from isthmus.model.facts.lease import Lease

FAILOVER, RETURN = 10.0, 300.0
NETWORKS = [f"cloud-a.network-{number}" for number in range(2000)]
NEW, OLD = NodeHealth("Usable", 0.0), NodeHealth("Usable", 1e6)
WAITING, FAILED = NodeHealth("Waiting"), NodeHealth("Failed")
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def nodes(**states: NodeHealth) -> list[Gateway]:
    return [
        Gateway(name, f"host-{name}", f"192.0.2.{number}", 1500, health)
        for number, (name, health) in enumerate(states.items(), start=1)
    ]


def chosen(network: str, candidates: list[Gateway], previous: str | None = None, seconds: float = RETURN) -> str | None:
    found = active_gateway(candidates, network, previous, seconds)
    return found.name if found else None


class TestChoice:
    def test_networks_spread_over_the_nodes(self) -> None:
        counts = Counter(chosen(network, nodes(a=OLD, b=OLD, c=OLD)) for network in NETWORKS)
        assert set(counts) == {"a", "b", "c"}
        assert max(counts.values()) < 1.2 * min(counts.values())

    def test_only_networks_of_a_failed_node_leave_and_they_spread(self) -> None:
        everywhere = nodes(a=OLD, b=OLD, c=OLD)
        without_b = nodes(a=OLD, b=FAILED, c=OLD)
        before = {network: chosen(network, everywhere) for network in NETWORKS}
        after = {network: chosen(network, without_b, before[network]) for network in NETWORKS}
        assert all(after[n] == before[n] for n in NETWORKS if before[n] != "b")
        moved = Counter(after[n] for n in NETWORKS if before[n] == "b")
        assert set(moved) == {"a", "c"}
        assert max(moved.values()) < 1.5 * min(moved.values())

    def test_new_network_gets_a_usable_node_only(self) -> None:
        for network in NETWORKS[:50]:
            assert chosen(network, nodes(a=WAITING, b=OLD, c=FAILED)) == "b"
        assert chosen(NETWORKS[0], nodes(a=WAITING, b=FAILED)) is None
        assert chosen(NETWORKS[0], []) is None

    def test_network_stays_on_a_node_that_has_not_failed(self) -> None:
        for network in NETWORKS[:50]:
            assert chosen(network, nodes(a=WAITING, b=NEW), "a") == "a"

    def test_network_stays_if_no_node_is_usable(self) -> None:
        assert chosen(NETWORKS[0], nodes(a=FAILED, b=WAITING, c=FAILED), "a") == "a"

    def test_network_leaves_a_node_that_is_no_gateway_any_more(self) -> None:
        assert chosen(NETWORKS[0], nodes(b=NEW), "a") == "b"


class TestReturn:
    def preferring_a(self) -> list[str]:
        return [network for network in NETWORKS if chosen(network, nodes(a=OLD, b=OLD)) == "a"]

    def back(self, usable_seconds: float, seconds: float = RETURN) -> int:
        """How many of the networks that prefer `a` and are on `b` are back on `a`."""
        candidates = nodes(a=NodeHealth("Usable", usable_seconds), b=OLD)
        return sum(chosen(network, candidates, "b", seconds) == "a" for network in self.preferring_a())

    def test_none_before_the_node_has_settled(self) -> None:
        assert self.back(RETURN - 0.1) == 0

    def test_one_after_the_other(self) -> None:
        total, done = len(self.preferring_a()), 0
        for part in range(1, 11):
            now = self.back(RETURN * (1 + part / 10))
            assert 0 < now - done < 0.2 * total
            done = now
        assert done == total

    def test_never_if_switched_off(self) -> None:
        assert self.back(1e6, seconds=0) == 0

    def test_networks_of_other_nodes_do_not_move(self) -> None:
        others = [network for network in NETWORKS if chosen(network, nodes(a=OLD, b=OLD)) == "b"]
        assert all(chosen(network, nodes(a=OLD, b=OLD), "b") == "b" for network in others)


def reading(ready: bool = True, transition: str = "t0", lease: Lease | None = None) -> NodeReading:
    return NodeReading(ready, transition, 0.0, lease)


def lease(renewal: int) -> Lease:
    return Lease("isthmus-agent-a", "a", 40, WHEN, WHEN + timedelta(seconds=renewal))


def state(history: NodeHistory, now: float, *, machine_is_ready: bool = True) -> str:
    return health_of(history, now, FAILOVER, machine_is_ready=machine_is_ready).state


class TestReadiness:
    def test_waits_before_it_fails(self) -> None:
        history = seen_again(first_seen(reading(), 0), reading(ready=False, transition="t1"), 100)
        assert [state(history, now) for now in (100, 109.9, 110)] == ["Waiting", "Waiting", "Failed"]

    def test_every_interruption_starts_the_time_again(self) -> None:
        history = first_seen(reading(), 0)
        for now in range(100, 160, 5):  # ready in between, which no reading has shown
            history = seen_again(history, reading(ready=False, transition=f"t{now}"), now)
            assert state(history, now + 4.9) == "Waiting"
        assert state(history, 200) == "Failed"

    def test_after_a_start_the_condition_says_since_when(self) -> None:
        unready = NodeReading(ready=False, transition="t1", transition_age_seconds=60)
        assert state(first_seen(unready, 0), 0) == "Failed"
        assert state(first_seen(replace(unready, transition_age_seconds=3), 0), 0) == "Waiting"
        assert state(first_seen(replace(unready, transition_age_seconds=-3600), 0), 9) == "Waiting", "clocks differ"

    def test_usable_again_counts_from_the_return(self) -> None:
        history = seen_again(first_seen(reading(ready=False), 0), reading(transition="t1"), 50)
        assert health_of(history, 80, FAILOVER, machine_is_ready=True) == NodeHealth("Usable", 30)

    def test_time_without_observation_does_not_count(self) -> None:
        history = seen_again(first_seen(reading(), 0), reading(ready=False, transition="t1"), 100)
        assert state(not_counting(history, 60), 165) == "Waiting"
        assert state(not_counting(history, 60), 170) == "Failed"


class TestLease:
    def test_gone_only_if_neither_agent_nor_kubelet_vouches(self) -> None:
        history = first_seen(reading(lease=lease(0)), 0)
        assert state(history, 39, machine_is_ready=False) == "Usable", "the kubelet is down"
        assert state(history, 40, machine_is_ready=True) == "Waiting", "the agent is down"
        assert state(history, 40, machine_is_ready=False) == "Failed"

    def test_renewed_lease_ends_it(self) -> None:
        history = seen_again(first_seen(reading(lease=lease(0)), 0), reading(lease=lease(50)), 50)
        assert health_of(history, 60, FAILOVER, machine_is_ready=False) == NodeHealth("Usable", 10)

    def test_renewals_in_time_do_not_interrupt(self) -> None:
        history = first_seen(reading(lease=lease(0)), 0)
        for now in range(10, 500, 10):
            history = seen_again(history, reading(lease=lease(now)), now)
        assert health_of(history, 500, FAILOVER, machine_is_ready=True).usable_seconds == 500

    @pytest.mark.parametrize("skew_seconds", [-3600, 3600])
    def test_times_of_other_clocks_do_not_matter(self, skew_seconds: int) -> None:
        history = first_seen(reading(lease=lease(skew_seconds)), 0)
        history = seen_again(history, reading(lease=lease(skew_seconds + 10)), 10)
        assert state(history, 49, machine_is_ready=False) == "Usable"
        assert state(history, 50, machine_is_ready=False) == "Failed"

    def test_time_without_observation_does_not_count(self) -> None:
        history = not_counting(first_seen(reading(lease=lease(0)), 0), 600)
        assert state(history, 630, machine_is_ready=False) == "Usable"

    def test_lease_that_is_gone_is_not_renewed(self) -> None:
        history = seen_again(first_seen(reading(lease=lease(0)), 0), reading(), 20)
        history = seen_again(history, reading(), 30)
        assert state(history, 39, machine_is_ready=False) == "Usable"
        assert state(history, 40, machine_is_ready=False) == "Failed"

    def test_lease_that_was_gone_for_a_moment_does_not_interrupt(self) -> None:
        history = seen_again(first_seen(reading(lease=lease(0)), 0), reading(), 20)
        history = seen_again(history, reading(lease=lease(30)), 30)
        assert health_of(history, 69, FAILOVER, machine_is_ready=False) == NodeHealth("Usable", 69)

    def test_without_a_lease_nothing_follows(self) -> None:
        assert state(first_seen(reading(), 0), 1e6, machine_is_ready=False) == "Usable"


def test_of_a_peer_with_several_gateways_the_path_that_carries_least_counts() -> None:
    """As far as it is known: a network's MTU is that of whichever gateway takes over."""

    def connection(cloud_id: str, gateway: str, carried_mtu: int | None) -> GatewayConnection:
        down = {"up": False, "ike": "Down", "esp": "Missing", "bfd": "Down"}
        found = {"cloudID": cloud_id, "gateway": gateway, "address": "198.51.100.1", "carriedMTU": carried_mtu}
        return GatewayConnection.model_validate(down | found)

    connections = (
        connection("cloud-b", "gw-b1", 1416),
        connection("cloud-b", "gw-b2", 1316),
        connection("cloud-b", "gw-b3", None),
        connection("cloud-c", "gw-c1", None),
        connection("cloud-d", "gw-d1", 1400),
    )
    node = GatewayNode(metadata=ObjectMeta(name="gw-a1"), status=GatewayNodeStatus(connections=connections))
    assert carried_by_paths(node) == {"cloud-b": 1316, "cloud-d": 1400}
