"""`make plugin`: one file that runs on a Python without any package, the same bytes for the same sources."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from isthmus.plugin import archive
from isthmus.plugin.page import ASSETS, content
from tests.fakes.kubectl import FakeKubectl

ROOT = Path(__file__).parents[2]


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "kubectl-isthmus"
    path.write_bytes(archive.build())
    path.chmod(0o755)
    return path


def run(plugin: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run it without site packages and without environment variables of Python."""
    environment = {"PATH": f"{path}:/usr/bin:/bin"} if path else {"PATH": ""}
    return subprocess.run(
        [sys.executable, "-I", "-S", plugin, *arguments], capture_output=True, text=True, env=environment, check=False
    )


def test_two_builds_are_equal(tmp_path: Path) -> None:
    built = []
    for name, umask in (("UTC", 0o022), ("Pacific/Auckland", 0o077)):
        target = tmp_path / name / "kubectl-isthmus"
        command = [sys.executable, "-S", "-m", "isthmus.plugin.archive", str(target)]
        environment = {"TZ": name, "PYTHONPATH": str(ROOT / "operator")}
        subprocess.run(command, env=environment, umask=umask, check=True)
        assert os.access(target, os.X_OK)
        built.append(target.read_bytes())
    assert built[0] == built[1] == archive.build()


def test_runs_without_packages(plugin: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    done = run(plugin, "version", "--client")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"kubectl isthmus {version}, definitions isthmus.cloud/v1alpha1\n",
        "",
    )
    assert run(plugin, "explain", "bfddown").returncode == 0
    assert run(plugin, "status").returncode == 3


def test_reads_a_cluster_without_packages(plugin: Path, tmp_path: Path) -> None:
    kubectl = FakeKubectl(tmp_path)
    for verb, code in (("status", 1), ("peers", 0), ("networks", 0), ("topology", 1), ("version", 0)):
        done = run(plugin, verb, path=kubectl.path)
        assert (done.returncode, done.stderr) == (code, "")
        assert done.stdout


def test_holds_what_it_needs_and_no_more(plugin: Path) -> None:
    with zipfile.ZipFile(plugin) as opened:
        modules = {name.removesuffix(".py").replace("/", ".") for name in opened.namelist() if name.endswith(".py")}
    modules -= {"__main__"}
    code = (
        f"import sys; sys.path[:0] = [{str(plugin)!r}]; import isthmus.plugin.main, isthmus.plugin.core.completion; "
        "import isthmus.plugin.pairing, isthmus.plugin.agreements, isthmus.plugin.approving; "
        "import isthmus.plugin.gather, isthmus.plugin.restart; "
        "import isthmus.plugin.probing, isthmus.plugin.topology, isthmus.plugin.uninstall; "
        "print(*(name for name, module in sys.modules.items() if name.startswith('isthmus')))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert {module.removesuffix(".__init__") for module in modules} == set(done.stdout.split())


@pytest.mark.parametrize("verb", ["status", "peers", "networks", "version"])
def test_verbs_that_show_something_load_nothing_else(plugin: Path, tmp_path: Path, verb: str) -> None:
    """What an agreement needs would cost their users time: TLS, for instance."""
    code = (
        f"import sys; sys.path[:0] = [{str(plugin)!r}]; from isthmus.plugin.main import main; main([{verb!r}]); "
        "print(*sorted({'ssl', 'isthmus.plugin.pairing', 'isthmus.plugin.agreements'} & set(sys.modules)), 'loaded')"
    )
    environment = {"PATH": f"{FakeKubectl(tmp_path).path}:/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.splitlines()[-1] == "loaded"


def test_older_python_is_a_sentence(plugin: Path) -> None:
    code = (
        "import sys, runpy; sys.version_info = (3, 9, 2, 'final', 0); "
        f"runpy.run_path({str(plugin)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "kubectl isthmus: needs Python 3.11 or newer, this is 3.9\n")


def test_holds_the_files_of_the_page(plugin: Path) -> None:
    with zipfile.ZipFile(plugin) as opened:
        for name in ASSETS:
            assert opened.read(f"isthmus/plugin/page/{name}") == content(name)


def test_wheel_holds_the_files_of_the_page(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        assert {f"isthmus/plugin/page/{name}" for name in ASSETS} <= set(opened.namelist())
