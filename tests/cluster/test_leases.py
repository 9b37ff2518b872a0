"""The Leases of agents and controllers on a real API server, with the shipped roles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.adapters.clock import SystemClock
from isthmus.adapters.kubernetes import KubernetesLeases
from isthmus.agent.heartbeat import DURATION_SECONDS, Heartbeat
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
    controller.update_lease(replace(election, holder="controller"))
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
