"""The Leases of agents and controllers on a real API server, with the shipped roles."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from isthmus.adapters.clock import SystemClock
from isthmus.adapters.kubernetes import KubernetesLeases
from isthmus.agent.heartbeat import DURATION_SECONDS, Heartbeat
from isthmus.controller.election import Election
from isthmus.core.election import Timing
from isthmus.model import names
from isthmus.model.errors import Forbidden
from isthmus.model.facts.lease import Lease
from isthmus.model.names import SYSTEM_NAMESPACE, agent_lease
from isthmus.ports import Leases
from tests.contract.leases import LeasesContract, lease
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import account_kubeconfig, make_node

NODE, OTHER = "lease-gw-1", "lease-gw-2"


class TestKubernetesLeases(LeasesContract):
    @pytest.fixture
    def leases(self, installed: ControlPlane) -> Leases:
        return KubernetesLeases(str(installed.kubeconfig), names.CONTROLLER)


@pytest.fixture
def agent(installed: ControlPlane, tmp_path: Path) -> KubernetesLeases:
    make_node(installed, NODE)
    path = account_kubeconfig(installed, tmp_path, SYSTEM_NAMESPACE, names.AGENT, NODE)
    return KubernetesLeases(str(path), f"{names.AGENT}-{NODE}")


@pytest.fixture
def controller(installed: ControlPlane, tmp_path: Path) -> KubernetesLeases:
    path = account_kubeconfig(installed, tmp_path, SYSTEM_NAMESPACE, names.CONTROLLER)
    return KubernetesLeases(str(path), names.CONTROLLER)


def test_agent_renews_its_own_lease(agent: KubernetesLeases, controller: KubernetesLeases) -> None:
    heartbeat = Heartbeat(agent, SystemClock(), NODE)
    assert heartbeat.renew()
    first = found(controller)
    assert (first.holder, first.duration_seconds) == (NODE, DURATION_SECONDS)
    assert heartbeat.renew()
    second = found(controller)
    assert second.renewal != first.renewal
    assert second.acquired == first.acquired
    assert Heartbeat(agent, SystemClock(), NODE).renew(), "an agent that was restarted"


def test_agent_writes_no_other_lease(agent: KubernetesLeases, controller: KubernetesLeases) -> None:
    with pytest.raises(Forbidden, match="its own node only"):
        agent.update_lease(lease(agent_lease(OTHER)))
    election = controller.update_lease(lease("isthmus-controller"))
    with pytest.raises(Forbidden, match="its own node only"):
        agent.update_lease(replace(election, holder="agent"))
    controller.update_lease(replace(election, holder=""))
    with pytest.raises(Forbidden):
        agent.list_leases()


def test_controller_only_reads_leases_of_agents(agent: KubernetesLeases, controller: KubernetesLeases) -> None:
    Heartbeat(agent, SystemClock(), NODE).renew()
    with pytest.raises(Forbidden):
        controller.update_lease(replace(found(controller), holder="controller"))


def found(leases: KubernetesLeases) -> Lease:
    """The agent's Lease, as a list has it."""
    (only,) = [item for item in leases.list_leases() if item.name == agent_lease(NODE)]
    return only


def test_one_of_two_controllers_is_active_and_the_other_takes_over(controller: KubernetesLeases) -> None:
    timing = Timing(lease_seconds=3, deadline_seconds=2, retry_seconds=0.2)
    one, two = (Election(controller, SystemClock(), name, timing) for name in ("one", "two"))
    woken = Event()
    assert one.attempt()
    two.start(woken.set)
    ends_at = time.monotonic() + 2 * timing.lease_seconds
    while time.monotonic() < ends_at:
        assert one.attempt()
        assert not two.is_active()
        time.sleep(timing.retry_seconds)
    assert woken.wait(2 * timing.lease_seconds), "one has ended without releasing the Lease"
    assert two.is_active()
    assert not one.is_active()
    assert not one.attempt()
    two.stop()
    assert one.attempt(), "released at the end"
    one.stop()
