"""The Kubernetes adapter fulfils the contract of ports.Cluster on a real API server."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.adapters.kubernetes.client import Client
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.errors import Forbidden, Invalid, Unavailable
from isthmus.ports import Manifest
from tests.contract.cluster import ClientOf, ClusterContract
from tests.contract.samples import cloud_peer
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane


class TestKubernetesCluster(ClusterContract):
    @pytest.fixture
    def client_of(self, installed: ControlPlane) -> ClientOf:
        return lambda manager: KubernetesCluster(str(installed.kubeconfig), manager)


def test_list_includes_all_pages(installed: ControlPlane) -> None:
    cluster = KubernetesCluster(str(installed.kubeconfig), "isthmus-controller", page_size=2)
    wanted = {f"page-{number}" for number in range(5)}
    for name in wanted:
        cluster.apply(cloud_peer(name))
    found = [peer.metadata.name for peer in cluster.list_objects(CloudPeer)]
    assert set(found) >= wanted
    assert len(set(found)) == len(found)


def test_expired_list_is_read_again_from_the_start(installed: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = KubernetesCluster(str(installed.kubeconfig), "isthmus-controller", page_size=2)
    for number in range(3):
        cluster.apply(cloud_peer(f"expired-{number}"))
    asked: list[str] = []

    def late(client: Client, method: str, path: str, query: dict[str, str]) -> Manifest:
        """Ask for the second page as if the first one were hours old: etcd no longer stores that version."""
        asked.append(query.get("continue", ""))
        if len(asked) == 2:
            _compact()
            query = query | {"continue": _of_the_first_version(query["continue"])}
        return request(client, method, path, query)

    request = Client._request
    monkeypatch.setattr(Client, "_request", late)
    found = {peer.metadata.name for peer in cluster.list_objects(CloudPeer)}
    assert found >= {f"expired-{number}" for number in range(3)}
    assert asked[0] == asked[2] == "", "the first page must be read twice"


def test_hanging_server_is_waited_for_once(installed: ControlPlane) -> None:
    seconds = 4  # so that a busy machine makes nobody believe in a second time
    cluster = KubernetesCluster(str(installed.kubeconfig), "isthmus-controller", timeout_seconds=seconds)
    cluster.list_objects(CloudPeer)
    server = int((installed.kubeconfig.parent / "pids" / "kube-apiserver").read_text().split()[0])
    os.kill(server, signal.SIGSTOP)
    try:
        wait_until(lambda: _is_stopped(server), 60, "the API server to stop")
        for _ in range(2):  # on an open connection, then on a new one
            began = time.monotonic()
            with pytest.raises(Unavailable, match=f"no response within {seconds} s"):
                cluster.list_objects(CloudPeer)
            assert seconds <= time.monotonic() - began < 2 * seconds
    finally:
        os.kill(server, signal.SIGCONT)
    assert cluster.list_objects(CloudPeer) is not None


def _is_stopped(process: int) -> bool:
    """Whether all its threads are: they stop one after the other (proc(5), `T` in `stat`)."""
    states = [path.read_text().rpartition(") ")[2][0] for path in Path(f"/proc/{process}/task").glob("*/stat")]
    return set(states) == {"T"}


def test_object_rejected_by_the_server_is_invalid(installed: ControlPlane) -> None:
    cluster = KubernetesCluster(str(installed.kubeconfig), "isthmus-controller")
    with pytest.raises(Invalid, match="gatewayCIDRs"):
        cluster.apply(cloud_peer("invalid", gateway_cidrs=()))


def test_repeated_event_is_updated(installed: ControlPlane) -> None:
    cluster = KubernetesCluster(str(installed.kubeconfig), "isthmus-controller")
    peer = cluster.apply(cloud_peer("told"))
    for _ in range(3):
        cluster.event(peer, "Warning", "PeerUnreachable", "no answer")
    cluster.event(peer, "Normal", "Reachable", "answers again")
    events = json.loads(installed.kubectl("events", "--for", "cloudpeer/told", "-o", "json"))["items"]
    assert sorted(event["reason"] for event in events) == ["PeerUnreachable", "Reachable"]
    (repeated,) = (event for event in events if event["reason"] == "PeerUnreachable")
    assert repeated["count"] == 3


def test_unreachable_server_is_unavailable(tmp_path: Path, installed: ControlPlane) -> None:
    kubeconfig = tmp_path / "dead.kubeconfig"
    kubeconfig.write_text(installed.kubeconfig.read_text().replace(f":{installed.port}", ":1"))
    with pytest.raises(Unavailable):
        KubernetesCluster(str(kubeconfig), "isthmus-controller").list_objects(CloudPeer)


def test_rejected_token_is_forbidden(tmp_path: Path, installed: ControlPlane) -> None:
    document = json.loads(installed.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": "not-a-token"}
    kubeconfig = tmp_path / "refused.kubeconfig"
    kubeconfig.write_text(json.dumps(document))
    with pytest.raises(Forbidden):
        KubernetesCluster(str(kubeconfig), "isthmus-controller").list_objects(CloudPeer)


def _compact() -> None:
    """Delete all old versions from etcd, as the API server does every five minutes."""
    revision = _etcd("range", {"key": base64.b64encode(b"any").decode()})["header"]["revision"]
    _etcd("compaction", {"revision": revision})


def _etcd(command: str, question: dict[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:2379/v3/kv/{command}", json.dumps(question).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))


def _of_the_first_version(token: str) -> str:
    padded = token + "=" * (-len(token) % 4)
    old = json.loads(base64.urlsafe_b64decode(padded)) | {"rv": 1}
    return base64.urlsafe_b64encode(json.dumps(old).encode()).decode().rstrip("=")


def test_missing_kubeconfig_is_invalid() -> None:
    with pytest.raises(Invalid, match="kubeconfig"):
        KubernetesCluster("/absent/kubeconfig", "isthmus-controller")
