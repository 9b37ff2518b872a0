"""`kubectl isthmus restart` on real kubelets: no packet is lost, and it stops before anything is lost."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.pods.administrator import Administrator
from tests.pods.federation import PodFederation
from tests.pods.losses import require_no_loss
from tests.testbed.assets import locate
from tests.testbed.host.process import wait_until
from tests.testbed.workload.tenant import Stretch


@pytest.fixture(scope="module")
def administrator(peers: PodFederation, tmp_path_factory: pytest.TempPathFactory) -> Administrator:
    return Administrator(peers.in_pods.cloud, locate(), tmp_path_factory.mktemp("administrator"))


@pytest.mark.parametrize("component", ["controller", "agent"])
def test_component_is_restarted_without_loss(
    peers: PodFederation, stretched: Stretch, administrator: Administrator, component: str
) -> None:
    pods, before = peers.in_pods, peers.in_pods.uids()
    restart = partial(administrator.succeed, "restart", component, "--yes")
    require_no_loss(stretched, restart, f"`kubectl isthmus restart {component}`")
    pods.wait_taken_over(component, before[component])
    others = {name: uid for name, uid in pods.uids().items() if name != component}
    assert others == {name: uid for name, uid in before.items() if name != component}


def test_charon_is_restarted_without_loss(
    peers: PodFederation, stretched: Stretch, administrator: Administrator
) -> None:
    """When the command has ended, the new charon has SAs of its own."""
    pods, gateway = peers.in_pods, peers.in_pods.cloud.gateway

    def restart() -> None:
        uid, spis = pods.uid("charon"), gateway.spis()
        administrator.succeed("restart", "charon", "--yes")
        wait_until(lambda: pods.uid("charon") != uid and gateway.spis() - spis, 5, "SAs of another charon")

    require_no_loss(stretched, restart, "`kubectl isthmus restart charon`")


def test_new_image_is_on_the_node_before_the_pod_is_deleted(peers: PodFederation, administrator: Administrator) -> None:
    """The node does not list the new name yet, so that a pod asks the kubelet for it."""
    pods, tag = peers.in_pods, "restarted"
    for component in ("controller", "agent", "charon"):
        image = f"localhost/isthmus-{component}"
        pods.worker(component).tag(f"{image}:{pods.version}", f"{image}:{tag}")
    pods.release.upgrade({"image": {"registry": "localhost", "tag": tag}})
    administrator.succeed("restart", "charon", "--yes")
    (container,) = pods.pod("charon")["spec"]["containers"]
    assert container["image"] == f"localhost/isthmus-charon:{tag}"
    left = pods.cloud.kubectl("get", "pods", "-n", "isthmus-gateway", "-l", "app.kubernetes.io/component=image")
    assert left.strip() in ("", "No resources found in isthmus-gateway namespace.")


def test_charon_goes_on_while_its_image_is_missing(
    peers: PodFederation, stretched: Stretch, administrator: Administrator
) -> None:
    pods, uid = peers.in_pods, peers.in_pods.uid("charon")
    pods.release.upgrade({"image": {"registry": "localhost", "digests": {"charon": f"sha256:{'0' * 64}"}}})

    def restart() -> None:
        done = administrator.run("restart", "charon", "--yes", "--timeout", "60")
        assert done.returncode == 1
        assert "does not have the image of charon" in done.stderr

    require_no_loss(stretched, restart, "`kubectl isthmus restart charon`, whose image is missing")
    assert pods.uid("charon") == uid
    pods.release.roll_back()


def test_processes_that_run_natively(peers: PodFederation, tmp_path: Path) -> None:
    other = Administrator(peers.b.cloud, locate(), tmp_path)
    for component in ("controller", "agent", "charon"):
        done = other.run("restart", component, "--yes")
        assert (done.returncode, done.stdout) == (1, "")
        assert "does not run in pods of this cluster" in done.stderr


def test_gathered_archive_has_the_logs(administrator: Administrator) -> None:
    """With the logs of all three components, which only kubelets have."""
    printed = administrator.succeed("gather", "--out", "all.tar.gz", "--since", "1h")
    logs = [line.split()[-1] for line in printed.splitlines() if line.endswith(".log")]
    assert {path.split("/")[-1] for path in logs} >= {"controller.log", "agent.log", "charon.log"}
    assert "not read: " not in printed
