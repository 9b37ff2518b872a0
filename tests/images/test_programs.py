"""The programs of the images start: in a chroot of their content, for which tests need root."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from images.inputs import REPOSITORY, Target
from tests.images.archive import Archive
from tests.testbed.host.process import wait_until

PYTHON = ("/usr/bin/python3", "-P", "-c")


@pytest.fixture
def root(archive: Archive, tmp_path: Path) -> Path:
    """The root file system of an image, with a /dev/null."""
    tmp_path.chmod(0o755)
    archive.unpack(tmp_path)
    subprocess.run(["mknod", "-m", "666", tmp_path / "dev" / "null", "c", "1", "3"], check=True)
    return tmp_path


def _run(root: Path, archive: Archive, *command: str) -> str:
    environment = dict(variable.split("=", 1) for variable in archive.config.get("Env", []))
    user = archive.config["User"]
    chroot = ["chroot", f"--userspec={user}", str(root), *command]
    done = subprocess.run(chroot, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("target", ["controller", "agent"], indirect=True)
def test_process_starts(target: Target, archive: Archive, root: Path) -> None:
    """Everything that it imports is there; it ends at the missing configuration."""
    assert _run(root, archive, *archive.config["Entrypoint"], "--version").startswith("isthmus ")
    imports = f"import isthmus.{target}.assembly, isthmus.{target}.run, sys; print(sys.version_info[:2] >= (3, 13))"
    assert _run(root, archive, *PYTHON, imports) == "True\n"
    refused = subprocess.run(
        ["chroot", str(root), *archive.config["Entrypoint"], target],
        env=dict(variable.split("=", 1) for variable in archive.config["Env"]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert refused.returncode == 78
    assert "/etc/isthmus/config.yaml does not exist; required: cloud_id" in refused.stderr


@pytest.mark.parametrize("target", ["controller", "agent"], indirect=True)
def test_certificate_authorities_are_found(archive: Archive, root: Path) -> None:
    count = "import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])"
    assert int(_run(root, archive, *PYTHON, count)) > 100


@pytest.mark.parametrize("target", ["controller", "agent"], indirect=True)
def test_process_cannot_start_a_shell(archive: Archive, root: Path) -> None:
    attempt = "import subprocess\ntry: subprocess.run('true', shell=True)\nexcept FileNotFoundError: print('none')"
    assert _run(root, archive, *PYTHON, attempt) == "none\n"


@pytest.mark.parametrize("target", ["agent"], indirect=True)
def test_programs_of_the_agent_start(archive: Archive, root: Path) -> None:
    assert "Open vSwitch" in _run(root, archive, "/usr/bin/ovs-ofctl", "--version")
    assert _run(root, archive, "/usr/sbin/nft", "--version").startswith("nftables v")


@pytest.fixture
def charon(archive: Archive, root: Path) -> Iterator[Path]:
    """charon with the settings of its image, in a network of its own; yields the root file system."""
    (root / "run" / "isthmus").mkdir()
    (root / "dev" / "stdout").touch()
    with subprocess.Popen(["unshare", "--net", "chroot", str(root), *archive.config["Entrypoint"]]) as process:
        wait_until(lambda: (root / "run" / "isthmus" / "charon.vici").exists(), 20, "charon's vici socket")
        yield root
        process.kill()


@pytest.mark.parametrize("target", ["charon"], indirect=True)
def test_charon_answers_the_probe_of_the_chart(archive: Archive, charon: Path) -> None:
    daemons = yaml.safe_load_all((REPOSITORY / "tests" / "chart" / "golden" / "minimal.yaml").read_text())
    (daemon,) = [d for d in daemons if d and (d["kind"], d["metadata"]["name"]) == ("DaemonSet", "isthmus-charon")]
    (container,) = daemon["spec"]["template"]["spec"]["containers"]
    assert "uptime" in _run(charon, archive, *container["livenessProbe"]["exec"]["command"])


@pytest.mark.parametrize("target", ["charon"], indirect=True)
def test_charon_can_do_post_quantum_key_exchange(archive: Archive, charon: Path) -> None:
    listed = _run(charon, archive, "/usr/sbin/swanctl", "--list-algs", "--uri", "unix:///run/isthmus/charon.vici")
    assert {"ML_KEM_512", "ML_KEM_768", "ML_KEM_1024", "CURVE_25519", "AES_GCM_16"} <= set(re.findall(r"\w+", listed))
