"""`kubectl isthmus restart` with the real kubectl on a real API server. Its nodes are played."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.contract.samples import gateway_node
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import USERS, account_kubeconfig, make_user
from .kubelet import set_status
from .playednodes import Nodes, played
from .pluginfile import Plugin
from .realcloud import remove_everything

NODES = ("restart-1", "restart-2")


@pytest.fixture(scope="module")
def plugin(installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    remove_everything(installed)
    for name in NODES:
        installed.kubectl("apply", "-f", "-", input=json.dumps(gateway_node(name).to_manifest()))
        connection = {"cloudID": "cloud-b", "gateway": "gw-b1", "address": "198.51.100.1", "up": True}
        states = {"ike": "Established", "esp": "Installed", "bfd": "Up"}
        set_status(installed, f"gatewaynode/{name}", {"connections": [connection | states]})
    made = Plugin.install(tmp_path_factory.mktemp("restart") / "bin", installed.kubeconfig)
    made.record_calls()
    return made


def test_native_processes_cannot_be_restarted(plugin: Plugin) -> None:
    for component in ("controller", "agent", "charon"):
        assert "does not run in pods of this cluster" in plugin.sentence("restart", component, "--yes", code=1)


def test_charon_is_replaced_on_every_node(installed: ControlPlane, plugin: Plugin) -> None:
    with played(installed, "charon", *NODES) as nodes:
        before = nodes.uids()
        assert "add --yes" in plugin.sentence("restart", "charon", code=2)
        assert "there is on restart-1, restart-2" in plugin.sentence("restart", "charon", "--node", "x", code=2)
        done = plugin.run("restart", "charon", "--yes")
        assert (done.returncode, done.stdout) == (0, "Restarted charon on restart-1, restart-2.\n"), done
        lines = done.stderr.splitlines()
        steps = [line.split(" registry")[0] for line in lines]
        assert steps == [
            f"{name}: {step}"
            for name in NODES
            for step in ("pulling", "replacing the pod of charon", "ready, connections up: 1")
        ], "nothing was done on the second node before the first was as before"
        assert set(nodes.uids()) == set(NODES)
        assert not set(nodes.uids().values()) & set(before.values())
        assert [pod for pod in nodes.pods() if "image" in pod["metadata"]["name"]] == []


def test_charon_stays_where_its_image_cannot_be_pulled(installed: ControlPlane, plugin: Plugin) -> None:
    with played(installed, "charon", *NODES) as nodes:
        before = nodes.uids()
        nodes.without_image = {"restart-1"}
        done = plugin.run("restart", "charon", "--yes")
        assert (done.returncode, done.stdout) == (1, "")
        assert "restart-1 does not have the image of charon: ImagePullBackOff: not found" in done.stderr
        assert nodes.uids() == before


def test_second_node_is_not_touched_after_a_failure(installed: ControlPlane, plugin: Plugin) -> None:
    with played(installed, "charon", *NODES) as nodes:
        before = nodes.uids()
        nodes.broken = {"restart-1"}
        done = plugin.run("restart", "charon", "--yes", "--timeout", "20")
        assert (done.returncode, done.stdout) == (1, "")
        assert "is not ready, 20 s after the pod of charon was deleted. Nothing was done on restart-2." in done.stderr
        after = nodes.uids()
        assert (after["restart-1"] != before["restart-1"], after["restart-2"]) == (True, before["restart-2"])
        nodes.broken = set()
        _let_run(nodes)
        assert plugin.run("restart", "charon", "--yes").returncode == 0, "the command again"


def test_agents_are_rolled_out(installed: ControlPlane, plugin: Plugin) -> None:
    with played(installed, "agent", *NODES) as nodes:
        before = nodes.uids()
        done = plugin.run("restart", "agent", "--yes")
        assert (done.returncode, done.stdout) == (0, "Restarted the agent on restart-1, restart-2.\n"), done
        assert not set(nodes.uids().values()) & set(before.values())
        one = nodes.uids()
        assert plugin.run("restart", "agent", "--node", "restart-2", "--yes").returncode == 0
        assert (nodes.uids()["restart-1"], nodes.uids()["restart-2"] != one["restart-2"]) == (one["restart-1"], True)


def test_rights_that_are_missing(installed: ControlPlane, plugin: Plugin, tmp_path: Path) -> None:
    make_user(installed, "restarter")
    account = account_kubeconfig(installed, tmp_path, USERS, "restarter")
    assert plugin.sentence("restart", "charon", "--yes", kubeconfig=account) == (
        "gatewaynodes: no right to list them at the cluster scope"
    )


def _let_run(nodes: Nodes) -> None:
    """Start pods that were broken."""
    for pod in nodes.of_workload():
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        set_status(nodes.plane, f"pod/{pod['metadata']['name']}", ready, "isthmus-gateway")
