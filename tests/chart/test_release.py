"""The chart on a real API server. There are no nodes, so that no pod runs and no hook ends.

Tests run in the order of this file: install, upgrade, uninstall.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from isthmus.cli import checks
from isthmus.model.api.kinds import KINDS
from tests.chart.helm import REPOSITORY, HelmError
from tests.chart.release import NAMESPACE, Release, commands_of_readme
from tests.cluster.pluginfile import Plugin
from tests.contract.samples import cloud_peer
from tests.testbed.assets import ensure
from tests.testbed.host import netns
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane, KubectlError

CREATE = ("create", "--dry-run=server", "--validate=strict", "-f", "-")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """An empty cluster; clients in this process reach it on its loopback address."""
    plane = ControlPlane(ensure("kubernetes"), tmp_path_factory.mktemp("control-plane"))
    with netns.anonymous():
        try:
            plane.start()
            yield Release(plane)
        finally:
            plane.stop()


@pytest.fixture(scope="module")
def notes(cluster: Release) -> str:
    """What Helm prints after the installation."""
    return cluster.install()


@pytest.fixture
def release(cluster: Release, notes: str) -> Release:
    """The installed release."""
    assert notes
    return cluster


def test_notes_say_what_is_missing_as_the_readme_does(notes: str) -> None:
    missing = [command.replace("gw-a1", "NODE") for command in commands_of_readme()[2:]]
    assert [command.split()[0:2] for command in missing] == [
        ["kubectl", "create"],
        ["kubectl", "label"],
        ["helm", "test"],
    ]
    assert [command for command in missing if command not in notes] == []


def test_api_server_knows_every_field(release: Release) -> None:
    """It refuses unknown and duplicate fields."""
    manifest = release.helm("get", "manifest", "isthmus")
    apply = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
    release.kubectl(*apply, input=manifest)
    misspelt = manifest.replace("allowPrivilegeEscalation", "allowPriviledgeEscalation")
    with pytest.raises(KubectlError, match="allowPriviledgeEscalation"):
        release.kubectl(*apply, input=misspelt)


def test_api_server_accepts_the_hooks(release: Release) -> None:
    hooks = release.hooks()
    assert {hook["kind"] for hook in hooks} == {"Job", "Pod"}
    for hook in hooks:
        release.kubectl(*CREATE, input=json.dumps(hook))


def test_pods_in_the_namespace_of_the_release_are_restricted(release: Release) -> None:
    level = "pod-security.kubernetes.io/enforce=restricted"
    release.kubectl("label", "--overwrite", "namespace", NAMESPACE, level)
    deployment = json.loads(release.kubectl("get", "deployment", "-n", NAMESPACE, "isthmus-controller", "-o", "json"))
    specs = [hook["spec"] if hook["kind"] == "Pod" else hook["spec"]["template"]["spec"] for hook in release.hooks()]
    specs.append(deployment["spec"]["template"]["spec"])
    for spec in specs:
        release.kubectl(*CREATE, input=json.dumps(_pod(spec)))
    with pytest.raises(KubectlError, match="violates PodSecurity"):
        release.kubectl(*CREATE, input=json.dumps(_pod({**specs[0], "hostNetwork": True})))


def _pod(spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried", "namespace": NAMESPACE}, "spec": spec}


def test_account_of_the_test_can_check_the_installation(release: Release, tmp_path: Path) -> None:
    problems = checks.installation(release.account(tmp_path, "isthmus-test"), lambda _: None)
    # Nothing runs here; definitions and policies are there.
    assert [problem.partition(":")[0] for problem in problems] == ["controller", "gateway nodes"]


def test_policy_without_effect_is_named(release: Release, tmp_path: Path) -> None:
    release.kubectl("delete", "validatingadmissionpolicybinding", "isthmus-agent")
    release.kubectl("delete", "validatingadmissionpolicy", "isthmus-project-binding")
    problems = checks.installation(release.account(tmp_path, "isthmus-test"), lambda _: None)
    assert problems[0].startswith("ValidatingAdmissionPolicy isthmus-agent: no binding")
    assert problems[1].startswith("ValidatingAdmissionPolicy isthmus-project-binding: does not exist")
    release.upgrade()
    problems = checks.installation(release.account(tmp_path, "isthmus-test"), lambda _: None)
    assert problems[0].startswith("controller: ")


def test_account_of_the_guard_sees_what_is_left(release: Release, tmp_path: Path) -> None:
    guard = release.account(tmp_path, "isthmus-uninstall-guard")
    assert checks.unused(guard) == []
    release.kubectl("apply", "-f", "-", input=json.dumps(cloud_peer("cloud-b").to_manifest()))
    assert checks.unused(guard)[0].startswith("Isthmus is in use: CloudPeer cloud-b.")
    release.kubectl("delete", "cloudpeer", "cloud-b")


def test_upgrade_upgrades_the_definitions(release: Release) -> None:
    """As if an earlier release had been installed."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    earlier = json.dumps({"spec": {"versions": [version]}})
    release.kubectl("patch", "crd", "portslices.isthmus.cloud", "--type=merge", "-p", earlier)
    release.upgrade("--force-conflicts")
    definition = json.loads(release.kubectl("get", "crd", "portslices.isthmus.cloud", "-o", "json"))
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert "x-kubernetes-preserve-unknown-fields" not in schema
    assert "spec" in schema["properties"]


def test_uninstall_waits_for_the_guard(release: Release) -> None:
    """Without nodes the guard does not end: nothing is deleted."""
    with pytest.raises(HelmError):
        release.uninstall("--timeout", "5s")
    assert "isthmus-controller" in release.kubectl("get", "deployments", "-n", NAMESPACE, "-o", "name")
    release.kubectl("delete", "job", "-n", NAMESPACE, "isthmus-uninstall-guard")


def test_uninstall_keeps_definitions_and_keys(release: Release) -> None:
    release.uninstall("--no-hooks", "--wait")
    definitions = release.kubectl("get", "crd", "-o", "name").split()
    ours = [name for name in definitions if name.endswith(".isthmus.cloud")]
    assert len(ours) == len(KINDS)
    # as docs/install.md deletes them
    assert release.kubectl("get", "crd", "-l", "app.kubernetes.io/part-of=isthmus", "-o", "name").split() == ours
    namespaces = release.kubectl("get", "namespaces", "-o", "name").split()
    assert "namespace/isthmus-ipsec" in namespaces
    kinds = "serviceaccounts,roles,rolebindings,deployments,daemonsets,jobs,pods,configmaps,networkpolicies,secrets"
    assert "isthmus" not in release.kubectl("get", kinds, "-n", NAMESPACE, "-o", "name")
    kinds = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"
    assert "isthmus" not in release.kubectl("get", kinds, "-o", "name")


def test_it_can_be_installed_again(release: Release) -> None:
    release.install()
    release.uninstall("--no-hooks", "--wait")


def test_it_takes_over_what_kubectl_has_installed(release: Release) -> None:
    release.kubectl("apply", "--server-side", "-k", str(REPOSITORY / "deploy"))
    release.install("--take-ownership", "--force-conflicts")


def test_command_uninstalls_the_release(release: Release, tmp_path: Path) -> None:
    """With the real Helm; what it keeps goes last, and only if that is said."""
    plugin = Plugin.install(tmp_path / "bin", release.plane.kubeconfig)
    (plugin.directory / "helm").symlink_to(ensure("helm").helm)
    refused = plugin.run("uninstall", "--yes", "--delete-keys", "--timeout", "5")
    assert (refused.returncode, refused.stdout) == (1, ""), "without nodes the guard does not end"
    assert "kubectl isthmus: helm has not uninstalled isthmus: " in refused.stderr
    release.kubectl("delete", "job", "-n", NAMESPACE, "isthmus-uninstall-guard")
    with ThreadPoolExecutor() as pool:
        guard = pool.submit(_complete_guard, release)
        kept = plugin.run("uninstall", "--yes", "-o", "json")
        guard.result()
    assert kept.returncode == 0, kept
    document = json.loads(kept.stdout)
    assert document["removed"] == ["Helm release isthmus-system/isthmus"]
    assert document["left"][1] == "kubectl delete namespace isthmus-system isthmus-ipsec"
    assert "isthmus" not in release.kubectl("get", "clusterroles", "-o", "name")
    done = plugin.run("uninstall", "--delete-keys")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Nothing of Isthmus is left in this cluster."), done
    assert "isthmus" not in release.kubectl("get", "crd,namespaces", "-o", "name")


def _complete_guard(release: Release) -> None:
    """Write the status of the hook's Job, as if its pod had found nothing."""
    job, moment = ("job", "isthmus-uninstall-guard", "-n", NAMESPACE), "2026-01-01T00:00:00Z"
    wait_until(lambda: release.kubectl("get", *job, "--ignore-not-found"), 60, "the hook")
    conditions = [{"type": type_, "status": "True"} for type_ in ("SuccessCriteriaMet", "Complete")]
    status = {"startTime": moment, "completionTime": moment, "succeeded": 1, "conditions": conditions}
    patch = json.dumps({"status": status})
    release.kubectl("patch", *job, "--subresource=status", "--type=merge", "-p", patch)
