"""The Leases of agents and controllers on a real API server, with the shipped roles."""

from __future__ import annotations

import json
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
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.errors import Forbidden
from isthmus.model.facts.lease import Lease
from isthmus.model.names import GATEWAY_NAMESPACE, SYSTEM_NAMESPACE, agent_lease
from isthmus.ports import Leases
from tests.contract.leases import OWNER, LeasesContract, lease
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import account_kubeconfig, make_node

NODE, OTHER = "lease-gw-1", "lease-gw-2"
GARBAGE_COLLECTION_SECONDS = 180  # Kubernetes' garbage collector looks for new kinds every 30 s


class TestKubernetesLeases(LeasesContract):
    @pytest.fixture
    def leases(self, installed: ControlPlane) -> Leases:
        make_gateway_node(installed, OWNER)
        return KubernetesLeases(str(installed.kubeconfig), names.CONTROLLER)


@pytest.fixture
def agent(installed: ControlPlane, tmp_path: Path) -> KubernetesLeases:
    make_node(installed, NODE)
    make_gateway_node(installed, NODE)
    path = account_kubeconfig(installed, tmp_path, GATEWAY_NAMESPACE, names.AGENT, NODE)
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


def test_lease_goes_with_its_gateway_node(installed: ControlPlane, agent: KubernetesLeases) -> None:
    """Also if the agent runs on for a while; another GatewayNode of that name gets a Lease of its own."""
    heartbeat = Heartbeat(agent, SystemClock(), NODE)
    assert heartbeat.renew()
    installed.kubectl("delete", "gatewaynode", NODE)
    wait_until(lambda: agent.get_lease(agent_lease(NODE)) is None, GARBAGE_COLLECTION_SECONDS, "no Lease")
    assert not any(heartbeat.renew() for _ in range(3))
    assert agent.get_lease(agent_lease(NODE)) is None
    make_gateway_node(installed, NODE)
    assert heartbeat.renew()


def make_gateway_node(plane: ControlPlane, name: str) -> None:
    """Create a GatewayNode, as the controller does for a Node that is labelled."""
    manifest = GatewayNode(metadata=ObjectMeta(name=name)).to_manifest()
    plane.kubectl("apply", "-f", "-", input=json.dumps(manifest))


def found(leases: KubernetesLeases) -> Lease:
    """The agent's Lease, as a list has it."""
    (only,) = [item for item in leases.list_leases() if item.name == agent_lease(NODE)]
    return only


def test_one_of_two_controllers_is_active_and_the_other_takes_over(controller: KubernetesLeases) -> None:
    # Long enough for a machine on which a renewal is late by some seconds.
    timing = Timing(lease_seconds=8, deadline_seconds=6, retry_seconds=0.2)
    one, two = (Election(controller, SystemClock(), name, timing) for name in ("one", "two"))
    woken = Event()
    assert one.attempt()
    two.start(woken.set)
    ends_at = time.monotonic() + 1.5 * timing.lease_seconds
    while time.monotonic() < ends_at:
        assert one.attempt()
        assert not two.is_active()
        time.sleep(timing.retry_seconds)
    assert woken.wait(60), "one has ended without releasing the Lease"
    assert two.is_active()
    assert not one.is_active()
    assert not one.attempt()
    two.stop()
    assert one.attempt(), "released at the end"
    one.stop()
