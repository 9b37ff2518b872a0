"""What is replaced or restarted in pods loses no packet: a ping every 10 ms through the stretched network counts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.chart.helm import HelmError
from tests.pods.federation import PodFederation
from tests.pods.installation import NAMESPACES, PodInstallation, is_ready
from tests.pods.losses import require_no_loss
from tests.testbed.host.process import wait_until
from tests.testbed.node import openvswitch
from tests.testbed.workload.tenant import Stretch

# Longer than the kubelet's pauses between two looks at its containers.
_KUBELET_AWAY_SECONDS = 15


@pytest.fixture
def pods(peers: PodFederation) -> PodInstallation:
    """The installation of cloud A."""
    return peers.in_pods


@pytest.fixture(scope="module")
def tags(peers: PodFederation) -> Iterator[str]:
    """Further tags of the images, so that each upgrade replaces pods."""
    numbered = (f"upgrade-{number}" for number in itertools.count(1))

    def tagged() -> Iterator[str]:
        for tag in numbered:
            for component in NAMESPACES:
                image = f"localhost/isthmus-{component}"
                peers.in_pods.worker(component).tag(f"{image}:{peers.in_pods.version}", f"{image}:{tag}")
            yield tag

    return tagged()


def test_upgrade_replaces_controller_and_agent(pods: PodInstallation, stretched: Stretch, tags: Iterator[str]) -> None:
    charon = pods.uid("charon")
    replace = partial(replace_both, pods, lambda: pods.release.upgrade(image(next(tags))))
    require_no_loss(stretched, replace, "`helm upgrade` of controller and agent")
    assert pods.uid("charon") == charon, "charon is replaced on deletion only"


def test_rollback_replaces_controller_and_agent(pods: PodInstallation, stretched: Stretch) -> None:
    replace = partial(replace_both, pods, pods.release.roll_back)
    require_no_loss(stretched, replace, "`helm rollback` of both")


def replace_both(pods: PodInstallation, change: Callable[[], None]) -> None:
    """Change the release, and wait until new pods of controller and agent do their work."""
    before = pods.uids()
    change()
    for component in ("controller", "agent"):
        pods.wait_taken_over(component, before[component])


def test_failed_upgrade_changes_nothing_that_runs(pods: PodInstallation, stretched: Stretch) -> None:
    before = pods.uids()

    def fail() -> None:
        with pytest.raises(HelmError):
            pods.release.upgrade(image("missing"), timeout_seconds=20)

    require_no_loss(stretched, fail, "`helm upgrade` to an image that is missing")
    for component, uid in before.items():
        assert any(pod["metadata"]["uid"] == uid and is_ready(pod) for pod in pods.pods(component)), component
    pods.release.roll_back()
    assert pods.uids() == before


def test_replaced_charon_takes_over(pods: PodInstallation, stretched: Stretch) -> None:
    """SAs of the old charon carry traffic until the new one has its own."""
    gateway = pods.cloud.gateway

    def replace() -> None:
        before = gateway.spis()
        pods.delete_pod("charon")
        wait_until(lambda: gateway.spis() and not gateway.spis() & before, 90, "only new SAs")

    require_no_loss(stretched, replace, "charon's pod is replaced")


def test_deleted_agent_pod(pods: PodInstallation, stretched: Stretch) -> None:
    def replace() -> None:
        before = pods.uid("agent")
        pods.delete_pod("agent")
        pods.wait_taken_over("agent", before)

    require_no_loss(stretched, replace, "the agent's pod is deleted")


@pytest.mark.parametrize("component", ["agent", "controller"], ids=["gateway-node", "control-node"])
def test_kubelet_killed_and_restarted(pods: PodInstallation, stretched: Stretch, component: str) -> None:
    worker = pods.worker(component)
    before = pods.uids(), pods.restarts()

    def replace() -> None:
        worker.kill_kubelet()
        time.sleep(_KUBELET_AWAY_SECONDS)
        worker.start_kubelet()
        worker.wait_ready()

    require_no_loss(stretched, replace, f"the kubelet of {worker.name} is killed and started again")
    assert (pods.uids(), pods.restarts()) == before


def test_agent_finds_an_open_vswitch_in_a_new_directory(pods: PodInstallation, stretched: Stretch) -> None:
    """Its mount is of a deleted directory: it ends, and the kubelet mounts the new one."""
    before, restarts = pods.uids(), pods.restarts()
    openvswitch.restart_in_new_directory(pods.cloud.gateway)
    wait_until(lambda: pods.restarts()["agent"] > restarts["agent"], 120, "the agent to end and be started again")
    assert stretched.wait_for_ping(90).all_answered
    pods.wait_until_ready()
    assert pods.uids() == before
    assert pods.restarts() == {**restarts, "agent": restarts["agent"] + 1}


def image(tag: str) -> dict[str, dict[str, str]]:
    """Values for images with a tag."""
    return {"image": {"registry": "localhost", "tag": tag}}
