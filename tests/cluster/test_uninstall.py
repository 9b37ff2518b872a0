"""`kubectl isthmus uninstall` with the real kubectl on real API servers, with the controllers of two clouds.

Cloud B is uninstalled as a release of Helm, which a program plays that deletes what Helm would; cloud A then cannot
reach it any more. tests/chart has the real Helm.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model import names
from isthmus.plugin.core.removal.installation import DEFINITIONS, NAMESPACES
from tests.fakes.federation import FakeFederation
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import USERS, account_kubeconfig, make_user
from .conftest import PUBLIC_ADDRESS, SECOND_ADDRESS, install
from .pairedclouds import Clouds, Side, agree, at_terminal, refused, running, side_on

ROLES = ("clusterrole/isthmus-controller", "clusterrole/isthmus-agent")


@pytest.fixture(scope="module")
def clouds(
    installed: ControlPlane, second_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clouds]:
    directory = tmp_path_factory.mktemp("uninstalled")
    one, other = FakeFederation().clouds
    a = side_on(one, installed, directory / "a", installed.server_at(PUBLIC_ADDRESS))
    b = side_on(other, second_plane, directory / "b", second_plane.server_at(SECOND_ADDRESS))
    with running(a, b) as both:
        try:
            yield both
        finally:
            both.stopped.set()
            with both.paused():
                for plane in (installed, second_plane):
                    install(plane)
                    plane.kubectl("delete", "namespace", "shop", "--ignore-not-found")


def test_uninstall(clouds: Clouds, tmp_path: Path) -> None:
    a, b = clouds.a, clouds.b
    _stretch(clouds)
    _refused(b, tmp_path)
    _interrupted_and_hanging(clouds)
    _withdrawn(b)
    _peer_is_gone(a)
    _removed(clouds)


def _stretch(clouds: Clouds) -> None:
    """A network of each cloud to the other one."""
    a, b = clouds.a, clouds.b
    agree(a, b)
    for side, peer, cidr in ((a, "cloud-b", "10.20.0.0/24"), (b, "cloud-a", "10.30.0.0/24")):
        with clouds.paused():
            _, network, _ = side.cloud.tenant(cidr=cidr)
            side.cloud.expand(network.id, peer)
    for side in (a, b):
        side.plane.kubectl("wait", "-n", "shop", "netexp/web", "--for=condition=Ready", "--timeout=180s")
    for role in ROLES:
        helm = ("meta.helm.sh/release-name=mine", f"meta.helm.sh/release-namespace={names.SYSTEM_NAMESPACE}")
        b.plane.kubectl("annotate", role, *helm)


def _refused(b: Side, directory: Path) -> None:
    """Before anything is changed."""
    before = b.trace(), [item["metadata"]["name"] for item in b.objects("netexp", "-A")]
    assert refused(b, "uninstall", code=2) == "nothing was changed: to confirm without a terminal, add --yes"
    assert refused(b, "uninstall", "--yes", "--release", "other", code=2) == "the release is mine, and not other"
    make_user(b.plane, "uninstaller")
    account = account_kubeconfig(b.plane, directory, USERS, "uninstaller")
    assert "no right to get customresourcedefinitions" in b.plugin.sentence("uninstall", "--yes", kubeconfig=account)
    code, shown = at_terminal(b, "uninstall", typed={"[y/N] ": "n"})
    assert code == 1
    assert re.search(r"networks +shop/web\r\n +replicas +1 of peers' networks", shown)
    assert re.search(r"peers +cloud-a\r\n +installation +Helm release isthmus-system/mine", shown)
    assert "nothing was changed" in shown
    assert (b.trace(), [item["metadata"]["name"] for item in b.objects("netexp", "-A")]) == before


def _interrupted_and_hanging(clouds: Clouds) -> None:
    """It is killed after its first change; and without a controller that does anything it names what hangs."""
    b = clouds.b
    with clouds.paused():
        command = [str(b.plugin.directory / "kubectl-isthmus"), "uninstall", "--yes"]
        with subprocess.Popen(command, env=b.plugin.environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert process.stderr.readline() == "NetworkExpansion shop/web: withdrawing\n"
            wait_until(lambda: "deletionTimestamp" in str(b.objects("netexp", "-A")), 60, "the deletion")
            process.send_signal(signal.SIGKILL)
        b.election.attempt()
        done = b.plugin.run("uninstall", "--yes", "--timeout", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("kubectl isthmus: NetworkExpansion shop/web is still there"), done.stderr
    assert f"its finalizer is {names.FINALIZER}" in done.stderr


def _withdrawn(b: Side) -> None:
    """Everything is withdrawn; Helm then fails, and the installation stays."""
    calls = _helm(b, "echo 'Error: no' >&2; exit 1")
    done = b.plugin.run("uninstall", "--yes", "--delete-keys")
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.endswith("kubectl isthmus: helm has not uninstalled mine: Error: no\n")
    assert calls.read_text() == "uninstall mine -n isthmus-system --wait --timeout=300s\n"
    assert b.objects("netexp,cpeer,attachments,expansionlinks,portslices,peerlinks", "-A") == []
    assert [node["status"].get("connections", []) for node in b.objects("gatewaynodes")] == [[]]
    assert not [item for item in b.objects("namespaces") if "isthmus-peer-" in item["metadata"]["name"]]
    assert "peer-cloud-a" in str(b.secrets() and b.objects("secrets", "-n", names.IPSEC_NAMESPACE))


def _peer_is_gone(a: Side) -> None:
    """A's CloudPeer waits for a confirmation that never comes."""
    a.wait("cloud-b", "Reachable=False")
    done = a.plugin.run("uninstall", "--yes", "--timeout", "15")
    assert (done.returncode, done.stdout) == (1, "")
    assert "CloudPeer cloud-b is still there" in done.stderr or "CloudPeer cloud-b (and" in done.stderr, done.stderr
    assert "kubectl isthmus forget cloud-b" in done.stderr
    done = a.plugin.run("uninstall", "--yes", "--forget-unreachable", "-o", "json")
    assert done.returncode == 0, done
    document = json.loads(done.stdout)
    assert "CloudPeer cloud-b" in document["removed"]
    assert [command.split("  #")[0] for command in document["left"]] == ["kubectl delete -k deploy/"]
    assert a.objects("netexp,cpeer,attachments,expansionlinks,portslices,peerlinks", "-A") == []


def _removed(clouds: Clouds) -> None:
    """The rest of B, once its controller is gone; what Helm keeps only if that is said."""
    b = clouds.b
    kubectl = b.plugin.directory / "kubectl"
    _helm(b, f"{kubectl} delete {' '.join(ROLES)} && {kubectl} delete namespace {names.GATEWAY_NAMESPACE}")
    with clouds.paused():
        clouds.stopped.set()
        kept = b.plugin.run("uninstall", "--yes")
        assert (kept.returncode, "Left to you" in kept.stdout) == (0, True), kept
        assert f"kubectl delete namespace {names.SYSTEM_NAMESPACE} {names.IPSEC_NAMESPACE}" in kept.stdout
        b.plane.kubectl("get", "crd", *DEFINITIONS)
        code, shown = at_terminal(b, "uninstall", typed={"[y/N] ": "n"})
        assert (code, "Secrets (peer-cloud-a)" in shown) == (0, True), shown
        b.plane.kubectl("delete", "crd", DEFINITIONS[0])  # as if a run had been interrupted
        code, shown = at_terminal(b, "uninstall", typed={"[y/N] ": "y"})
        assert (code, "Nothing of Isthmus is left in this cluster." in shown) == (0, True), shown
        assert b.plane.kubectl("get", "crd", *DEFINITIONS, "--ignore-not-found", "-o", "name") == ""
        assert b.plane.kubectl("get", "namespace", *NAMESPACES, "--ignore-not-found", "-o", "name") == ""
        again = b.plugin.run("uninstall")
        assert (again.returncode, again.stdout) == (0, "Nothing of Isthmus is left in this cluster.\n")


def _helm(side: Side, script: str) -> Path:
    """A helm that writes its command line to a file, and then does this."""
    calls, path = side.plugin.directory / "helm-calls", side.plugin.directory / "helm"
    calls.unlink(missing_ok=True)
    path.write_text(f'#!/bin/sh\necho "$*" >> {calls}\n{script}\n')
    path.chmod(0o755)
    return calls
