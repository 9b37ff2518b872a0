"""What `make plugin` writes for krew: an archive, and a manifest by krew's rules."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from isthmus.plugin import archive, krew
from isthmus.plugin.core.completion import SCRIPT

ROOT = Path(__file__).parents[2]
RELEASE = "https://downloads.example.org/isthmus/v0.1.0"
SEMANTIC_VERSION = r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?"


def written(directory: Path, *options: str, umask: int = 0o022) -> Any:
    """The manifest that the command writes, as krew parses it."""
    command = [sys.executable, "-S", "-m", "isthmus.plugin.krew", str(directory), *options]
    environment = {"PYTHONPATH": str(ROOT / "operator")}
    subprocess.run(command, env=environment, umask=umask, check=True)
    return yaml.safe_load((directory / "isthmus.yaml").read_text())


def test_manifest_is_one_that_krew_accepts(tmp_path: Path) -> None:
    """By `ValidatePlugin` and the types of krew 0.4, and its guide to names: lower case, no kube prefix."""
    manifest = written(tmp_path, "--release", f"{RELEASE}/")
    assert set(manifest) == {"apiVersion", "kind", "metadata", "spec"}
    assert manifest["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2"
    assert (manifest["kind"], manifest["metadata"]) == ("Plugin", {"name": "isthmus"})
    spec = manifest["spec"]
    assert set(spec) == {"version", "shortDescription", "description", "caveats", "platforms"}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert spec["version"] == f"v{version}"
    assert re.fullmatch(SEMANTIC_VERSION, spec["version"])
    assert len(spec["shortDescription"]) <= 50
    assert "\n" not in spec["shortDescription"]
    (platform,) = spec["platforms"]
    assert set(platform) == {"selector", "uri", "sha256", "bin"}
    assert platform["uri"] == f"{RELEASE}/kubectl-isthmus.tar.gz"
    assert platform["sha256"] == hashlib.sha256((tmp_path / "kubectl-isthmus.tar.gz").read_bytes()).hexdigest()
    (expression,) = platform["selector"]["matchExpressions"]
    assert expression == {"key": "os", "operator": "In", "values": ["darwin", "linux"]}


def test_archive_holds_the_plugin_its_completion_and_the_licence(tmp_path: Path) -> None:
    bin_ = written(tmp_path)["spec"]["platforms"][0]["bin"]
    with tarfile.open(tmp_path / "kubectl-isthmus.tar.gz") as opened:
        modes = {entry.name: entry.mode for entry in opened}
        opened.extractall(tmp_path, filter="data")
    assert modes == {"LICENSE": 0o644, bin_: 0o755, "kubectl_complete-isthmus": 0o755}
    assert (tmp_path / bin_).read_bytes() == archive.build()
    assert (tmp_path / "kubectl_complete-isthmus").read_text() == SCRIPT
    assert (tmp_path / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_it_runs_through_the_link_that_krew_makes(tmp_path: Path) -> None:
    written(tmp_path)
    with tarfile.open(tmp_path / "kubectl-isthmus.tar.gz") as opened:
        opened.extractall(tmp_path / "store", filter="data")
    (tmp_path / "kubectl-isthmus").symlink_to(tmp_path / "store" / "kubectl-isthmus")
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [str(tmp_path / "kubectl-isthmus"), "explain", "BFDDown"]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def test_two_builds_are_equal(tmp_path: Path) -> None:
    manifests = [written(tmp_path / str(umask), umask=umask) for umask in (0o022, 0o077)]
    assert manifests[0] == manifests[1]
    assert manifests[0]["spec"]["platforms"][0]["uri"] == "kubectl-isthmus.tar.gz"


@pytest.mark.parametrize(
    "release", ["http://downloads.example.org", "downloads.example.org", "https://", "https://x/?a", "https://x/\n"]
)
def test_other_addresses_are_refused(tmp_path: Path, release: str) -> None:
    command = [sys.executable, "-m", "isthmus.plugin.krew", str(tmp_path), "--release", release]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "must be the https URL of the directory that will hold the archive" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_file_has_the_name_of_the_plugin(tmp_path: Path) -> None:
    manifest = yaml.safe_load(krew.manifest(b"", RELEASE))
    assert manifest["metadata"]["name"] == krew.MANIFEST.removesuffix(".yaml")
    assert re.fullmatch(r"[a-z][a-z0-9-]*", manifest["metadata"]["name"])
    krew.write(tmp_path, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["isthmus.yaml", "kubectl-isthmus.tar.gz"]
