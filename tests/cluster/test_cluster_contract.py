"""The Kubernetes adapter fulfils the contract of ports.Cluster on a real API server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.adapters.kubernetes import LightkubeCluster
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.errors import Forbidden, Invalid, Unavailable
from tests.contract.cluster import ClientOf, ClusterContract
from tests.contract.samples import cloud_peer
from tests.testbed.kubernetes.cluster import ControlPlane


class TestLightkubeCluster(ClusterContract):
    @pytest.fixture
    def client_of(self, installed: ControlPlane) -> ClientOf:
        return lambda manager: LightkubeCluster(str(installed.kubeconfig), manager)


def test_list_includes_all_pages(installed: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.adapters.kubernetes._PAGE", 2)
    cluster = LightkubeCluster(str(installed.kubeconfig), "isthmus-controller")
    wanted = {f"page-{number}" for number in range(5)}
    for name in wanted:
        cluster.apply(cloud_peer(name))
    assert {peer.metadata.name for peer in cluster.list_objects(CloudPeer)} >= wanted


def test_object_rejected_by_the_server_is_invalid(installed: ControlPlane) -> None:
    cluster = LightkubeCluster(str(installed.kubeconfig), "isthmus-controller")
    with pytest.raises(Invalid, match="gatewayCIDRs"):
        cluster.apply(cloud_peer("invalid", gateway_cidrs=()))


def test_repeated_event_is_updated(installed: ControlPlane) -> None:
    cluster = LightkubeCluster(str(installed.kubeconfig), "isthmus-controller")
    peer = cluster.apply(cloud_peer("told"))
    for _ in range(3):
        cluster.event(peer, "Warning", "PeerUnreachable", "no answer")
    cluster.event(peer, "Normal", "Reachable", "answers again")
    events = json.loads(installed.kubectl("events", "--for", "cloudpeer/told", "-o", "json"))["items"]
    assert sorted(event["reason"] for event in events) == ["PeerUnreachable", "Reachable"]


def test_unreachable_server_is_unavailable(tmp_path: Path, installed: ControlPlane) -> None:
    kubeconfig = tmp_path / "dead.kubeconfig"
    kubeconfig.write_text(installed.kubeconfig.read_text().replace(f":{installed.port}", ":1"))
    with pytest.raises(Unavailable):
        LightkubeCluster(str(kubeconfig), "isthmus-controller").list_objects(CloudPeer)


def test_rejected_token_is_forbidden(tmp_path: Path, installed: ControlPlane) -> None:
    document = json.loads(installed.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": "not-a-token"}
    kubeconfig = tmp_path / "refused.kubeconfig"
    kubeconfig.write_text(json.dumps(document))
    with pytest.raises(Forbidden):
        LightkubeCluster(str(kubeconfig), "isthmus-controller").list_objects(CloudPeer)


def test_missing_kubeconfig_is_invalid() -> None:
    with pytest.raises(Invalid, match="kubeconfig"):
        LightkubeCluster("/absent/kubeconfig", "isthmus-controller")
