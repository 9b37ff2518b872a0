"""The agent's process under its own service account and the shipped roles, on a node that has no Open vSwitch."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.model.names import AGENT, GATEWAY_NAMESPACE
from tests.cluster.accounts import account_kubeconfig
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

NODE = "gw-x1"
OUTAGE_SECONDS = 20


@pytest.fixture
def agent(installed: ControlPlane, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Neither OVSDB nor charon runs on the node."""
    for kind, version in (("Node", "v1"), ("GatewayNode", "isthmus.cloud/v1alpha1")):
        manifest = {"apiVersion": version, "kind": kind, "metadata": {"name": NODE}}
        installed.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    kubeconfig = account_kubeconfig(installed, tmp_path, GATEWAY_NAMESPACE, AGENT, node=NODE)
    settings = {
        "cloud_id": "cloud-x",
        "gateway_cidrs": ["192.0.2.0/24"],
        "kubeconfig": str(kubeconfig),
        "node_name": NODE,
        "ovsdb_socket": f"unix:{tmp_path}/none",
        "vici_socket": f"{tmp_path}/none",
        "resync_seconds": 1,
    }
    (tmp_path / "agent.yaml").write_text(json.dumps(settings))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "isthmus.cli.main", "agent"],
            env=_without_test_variables() | {"ISTHMUS_CONFIG": str(tmp_path / "agent.yaml"), "PYTHONUNBUFFERED": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    yield process
    process.kill()
    process.wait()
    installed.kubectl("delete", "gatewaynode", NODE, "--ignore-not-found")


def _without_test_variables() -> dict[str, str]:
    """Isthmus rejects unknown variables with its prefix, and the tests' variables have that prefix."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")}


def _ready(plane: ControlPlane) -> dict[str, Any]:
    status = json.loads(plane.kubectl("get", "gatewaynode", NODE, "-o", "json")).get("status", {})
    return next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})


def test_agent_reports_what_is_missing_and_exits_cleanly(
    installed: ControlPlane, agent: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    wait_until(lambda: _ready(installed), 120, "a condition of the GatewayNode")
    condition = _ready(installed)
    assert (condition["status"], condition["reason"]) == ("False", "Unavailable")
    assert "Open vSwitch" in condition["message"]
    time.sleep(3)
    assert _ready(installed) == condition, "lastTransitionTime changes only with the status"
    installed.kubectl("wait", f"gatewaynode/{NODE}", "--for=condition=Progressing", "--timeout=60s")
    agent.terminate()
    assert agent.wait(60) == 0
    log = (tmp_path / "log").read_text()
    assert "orbidden" not in log
    assert "Traceback" not in log


def test_api_outage_is_two_lines_of_the_log(
    installed: ControlPlane, agent: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """kopf alone reports every failed attempt of every watch."""
    wait_until(lambda: _ready(installed), 120, "a condition of the GatewayNode")
    before = wait_until(lambda: _lines_at_rest(tmp_path), 60, "the end of what the start logs")
    installed.stop()
    time.sleep(OUTAGE_SECONDS)
    installed.start()
    log = wait_until(lambda: _log_with(tmp_path, "Kubernetes API available again after "), 240, "the end of the outage")
    begin, end = log.splitlines()[before:]
    assert "WARNING" in begin
    assert "Kubernetes API unavailable: " in begin
    after = re.search(r"available again after (\d+) s \((\d+) messages suppressed\)", end)
    assert after is not None
    assert int(after[1]) >= OUTAGE_SECONDS - 5
    assert int(after[2]) > 10
    assert agent.poll() is None


def _lines_at_rest(directory: Path) -> int:
    """How many lines the log has; 0 if some were added during a few of the agent's passes."""
    lines = (directory / "log").read_text().count("\n")
    time.sleep(4)
    return lines if (directory / "log").read_text().count("\n") == lines else 0


def _log_with(directory: Path, text: str) -> str:
    log = (directory / "log").read_text()
    return log if text in log else ""
