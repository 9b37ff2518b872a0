"""A release whose definitions somebody has deleted: hooks end, and say what is missing, on a real API server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from isthmus.model.api.kinds import KINDS
from tests.chart.release import NAMESPACE, Release
from tests.cluster.accounts import account_kubeconfig
from tests.cluster.pluginfile import Plugin
from tests.testbed.assets import ensure
from tests.testbed.host import netns
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Installed, and without definitions."""
    plane = ControlPlane(ensure("kubernetes"), tmp_path_factory.mktemp("control-plane"))
    with netns.anonymous():
        try:
            plane.start()
            installed = Release(plane)
            installed.install()
            # Before the API server can list the objects of a new definition its deletion fails, and is not tried again
            # for minutes.
            plane.wait_served(*(kind.registration.plural for kind in KINDS))
            installed.kubectl("delete", "crd", "-l", "app.kubernetes.io/part-of=isthmus")
            yield installed
        finally:
            plane.stop()


def _hook(release: Release, directory: Path, account: str, command: str) -> tuple[int, list[str], str]:
    """What a hook's container runs, as the account of its pod."""
    kubeconfig = account_kubeconfig(release.plane, directory, NAMESPACE, account)
    arguments = [sys.executable, "-m", "isthmus.cli.main", command]
    environment = os.environ | {"KUBECONFIG": str(kubeconfig)}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_guard_lets_helm_uninstall(release: Release, tmp_path: Path) -> None:
    """There is nothing that could be in use."""
    found = _hook(release, tmp_path, "isthmus-uninstall-guard", "check-unused")
    assert found == (0, ["isthmus: check-unused: no problem found"], "")


def test_helm_test_names_every_definition(release: Release, tmp_path: Path) -> None:
    code, lines, stderr = _hook(release, tmp_path, "isthmus-test", "check-installation")
    assert (code, stderr) == (1, "")
    plurals = [kind.registration.plural for kind in KINDS]
    missing = "not served by the API server; install the chart again"
    assert lines == [f"CustomResourceDefinition {plural}: {missing}" for plural in plurals]


def test_plugin_says_that_isthmus_is_not_installed(release: Release, tmp_path: Path) -> None:
    plugin = Plugin.install(tmp_path / "bin", release.plane.kubeconfig)
    for verb in ("status", "diagnose", "gather"):
        assert plugin.sentence(verb).startswith("Isthmus is not installed in this cluster")


def test_upgrade_creates_them_again(release: Release, tmp_path: Path) -> None:
    release.upgrade()
    release.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
    release.plane.wait_served(*(kind.registration.plural for kind in KINDS))
    code, lines, _ = _hook(release, tmp_path, "isthmus-uninstall-guard", "check-unused")
    assert (code, len(lines)) == (0, 1)


def test_guard_does_not_take_another_version_for_nothing(release: Release, tmp_path: Path) -> None:
    """Definitions as another release may have left them: they serve a version that this one does not know, alone."""
    definitions = [yaml.safe_load(path.read_text()) for path in CRDS.glob("*.yaml") if path.stem != "kustomization"]
    for definition in definitions:
        (ours,) = definition["spec"]["versions"]
        other = {**ours, "name": "v1beta1"}
        definition["spec"]["versions"] = [ours | {"served": False, "storage": False}, other]
    release.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=yaml.safe_dump_all(definitions))

    def refused() -> bool:
        code, lines, stderr = _hook(release, tmp_path, "isthmus-uninstall-guard", "check-unused")
        assert stderr == ""
        kinds = "; ".join(f"{kind} as v1beta1" for kind in ("CloudPeer", "NetworkExpansion", "Attachment"))
        return code == 1 and lines[0].startswith(f"Isthmus may be in use: the API server has {kinds},")

    # Discovery follows a definition within moments.
    wait_until(refused, 60, "the refusal of the guard")
