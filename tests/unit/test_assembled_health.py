"""What the processes are assembled from reports its progress, with limits by the resync interval."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from isthmus.agent import assembly as agent
from isthmus.controller import assembly as controller
from isthmus.model.errors import ExternalError
from isthmus.model.settings import AgentSettings, ControllerSettings
from isthmus.telemetry.health import Health


@pytest.fixture
def common(tmp_path: Path) -> dict[str, Any]:
    """Settings by which nothing can be reached."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "home", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "isthmus", "user": {"token": "none"}}],
        "contexts": [{"name": "home", "context": {"cluster": "home", "user": "isthmus"}}],
        "current-context": "home",
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(document))
    return {
        "cloud_id": "cloud-a",
        "gateway_cidrs": ("192.0.2.0/24",),
        "kubeconfig": str(kubeconfig),
        "resync_seconds": 100,
    }


def test_agent(common: dict[str, Any], tmp_path: Path) -> None:
    sockets: dict[str, Any] = {"ovsdb_socket": f"unix:{tmp_path}/db.sock", "vici_socket": f"{tmp_path}/vici"}
    backends = agent.assemble(AgentSettings(node_name="gw-a1", **sockets, **common))
    _check_limits(backends.health)
    assert "loop intents: nothing completed yet" in backends.health.unready()
    for call in (
        backends.ovsdb.view,
        backends.openflow.view,
        backends.ike.view,
        lambda: backends.leases.get_lease("x"),
    ):
        _check_progress(backends.health, call)


def test_controller(common: dict[str, Any], tmp_path: Path) -> None:
    backends = controller.assemble(ControllerSettings(clouds_file=f"{tmp_path}/clouds.yaml", **common))
    _check_limits(backends.health)
    cluster = backends.cluster
    for call in (
        backends.cloud.check,
        backends.leases.list_leases,
        lambda: cluster.get_manifest("v1", "Namespace", "isthmus-system"),
    ):
        _check_progress(backends.health, call)


def _check_limits(health: Health) -> None:
    assert (health.live_seconds, health.ready_seconds) == (300, 300)


def _check_progress(health: Health, call: Callable[[], object]) -> None:
    loop = health.loop("test")
    loop.begin()
    began = loop.progress_at
    assert began is not None
    with pytest.raises(ExternalError):
        call()
    assert loop.progress_at is not None
    assert loop.progress_at > began
