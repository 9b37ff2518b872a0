"""Logging in to a real API server with all kinds of kubeconfigs."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.errors import Forbidden, Unavailable
from isthmus.model.names import AGENT, GATEWAY_NAMESPACE
from tests.fakes.apiserver import write_kubeconfig
from tests.testbed.assets import ensure
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import make_node, token_of

V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"


@pytest.fixture
def home(installed: ControlPlane) -> dict[str, Any]:
    """The cluster entry of the administrator's kubeconfig."""
    return dict(json.loads(installed.kubeconfig.read_text())["clusters"][0]["cluster"])


@pytest.fixture
def admin(installed: ControlPlane) -> dict[str, Any]:
    """The user entry of the administrator's kubeconfig: a client certificate."""
    return dict(json.loads(installed.kubeconfig.read_text())["users"][0]["user"])


def _plugin(directory: Path, version: str, credential: dict[str, str]) -> dict[str, Any]:
    """A user entry with an exec plugin, as kubeconfigs of managed clusters have it."""
    (directory / "plugin.py").write_text(f"print({json.dumps(_credential(version, credential))!r})\n")
    return {
        "exec": {
            "apiVersion": version,
            "command": sys.executable,
            "args": [str(directory / "plugin.py")],
            "env": [{"name": "PROFILE", "value": "production"}],
            "installHint": "install it",
            "interactiveMode": "IfAvailable",
            "provideClusterInfo": True,
        }
    }


def _credential(version: str, credential: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": version, "kind": "ExecCredential", "status": credential}


def _reads(kubeconfig: str) -> bool:
    KubernetesCluster(kubeconfig, "isthmus").list_objects(CloudPeer)
    return True


@pytest.mark.parametrize("version", [V1, V1BETA1])
def test_plugin_with_token(installed: ControlPlane, home: dict[str, Any], tmp_path: Path, version: str) -> None:
    extensions = [{"name": "minikube.sigs.k8s.io", "extension": {"provider": "minikube.sigs.k8s.io"}}]
    plugin = _plugin(tmp_path, version, {"token": token_of(installed, GATEWAY_NAMESPACE, AGENT)})
    path = write_kubeconfig(tmp_path / "kubeconfig", home | {"extensions": extensions}, plugin)
    assert _reads(path)
    installed.kubectl("get", "cloudpeers", kubeconfig=Path(path))  # kubectl accepts it, too


def test_plugin_with_certificate(home: dict[str, Any], admin: dict[str, Any], tmp_path: Path) -> None:
    certificate, key = (
        base64.b64decode(admin[name]).decode() for name in ("client-certificate-data", "client-key-data")
    )
    credential = {"clientCertificateData": certificate, "clientKeyData": key}
    assert _reads(write_kubeconfig(tmp_path / "kubeconfig", home, _plugin(tmp_path, V1, credential)))


def test_certificates_in_files(home: dict[str, Any], admin: dict[str, Any], tmp_path: Path) -> None:
    named = {"certificate-authority": home, "client-certificate": admin, "client-key": admin}
    for name, holder in named.items():
        (tmp_path / name).write_bytes(base64.b64decode(holder.pop(f"{name}-data")))
        holder[name] = name  # relative to the kubeconfig
    assert _reads(write_kubeconfig(tmp_path / "kubeconfig", home, admin))


def test_several_files_are_merged_as_by_kubectl(
    home: dict[str, Any], admin: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = write_kubeconfig(tmp_path / "elsewhere", {"server": "https://127.0.0.1:1"}, {"token": "t"}, "elsewhere")
    ours = write_kubeconfig(tmp_path / "ours", home, admin, "ours")
    for paths, current in ((f"{ours}:{elsewhere}", "ours"), (f"/absent:{elsewhere}:{ours}", "elsewhere")):
        monkeypatch.setenv("KUBECONFIG", paths)
        assert _current_context() == current
        if current == "ours":
            assert _reads(paths)
        else:
            with pytest.raises(Unavailable, match="refused"):
                _reads(paths)


def _current_context() -> str:
    command = [str(ensure("kubernetes").kubectl), "config", "current-context"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_revoked_token_is_rejected_until_its_file_has_a_new_one(
    installed: ControlPlane, home: dict[str, Any], tmp_path: Path
) -> None:
    make_node(installed, "gone")
    token = tmp_path / "token"
    token.write_text(token_of(installed, GATEWAY_NAMESPACE, AGENT, "gone"))
    path = write_kubeconfig(tmp_path / "kubeconfig", home, {"tokenFile": "token"})
    cluster = KubernetesCluster(path, "isthmus")
    assert cluster.list_objects(CloudPeer) is not None
    installed.kubectl("delete", "node", "gone")
    wait_until(lambda: _is_rejected(cluster), 30, "the token to become invalid with its node")
    token.write_text(token_of(installed, GATEWAY_NAMESPACE, AGENT) + "\n")
    assert cluster.list_objects(CloudPeer) is not None


def _is_rejected(cluster: KubernetesCluster) -> bool:
    try:
        cluster.list_objects(CloudPeer)
    except Forbidden as error:
        return str(error) == "Unauthorized"
    return False


def test_tls_server_name(home: dict[str, Any], admin: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    assert _reads(write_kubeconfig(path, home | {"tls-server-name": "kubernetes.default.svc"}, admin))
    with pytest.raises(Unavailable, match=r"certificate is not valid for 'kube\.example\.net'"):
        _reads(write_kubeconfig(path, home | {"tls-server-name": "kube.example.net"}, admin))


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_unknown_authority_is_rejected_unless_verification_is_off(
    home: dict[str, Any], admin: dict[str, Any], tmp_path: Path
) -> None:
    del home["certificate-authority-data"]
    path = tmp_path / "kubeconfig"
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        _reads(write_kubeconfig(path, home, admin))
    assert _reads(write_kubeconfig(path, home | {"insecure-skip-tls-verify": True}, admin))


def test_corrected_kubeconfig_is_used_by_the_next_request(
    home: dict[str, Any], admin: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "kubeconfig"
    cluster = KubernetesCluster(write_kubeconfig(path, home | {"tls-server-name": "wrong"}, admin), "isthmus")
    with pytest.raises(Unavailable, match="wrong"):
        cluster.list_objects(CloudPeer)
    write_kubeconfig(path, home, {"token": "not-a-token"})
    with pytest.raises(Forbidden, match="Unauthorized"):
        cluster.list_objects(CloudPeer)
    write_kubeconfig(path, home, admin)
    assert cluster.list_objects(CloudPeer) is not None


def test_namespace_of_the_context_is_ignored(home: dict[str, Any], admin: dict[str, Any], tmp_path: Path) -> None:
    path = Path(write_kubeconfig(tmp_path / "kubeconfig", home, admin))
    document = json.loads(path.read_text())
    document["contexts"][0]["context"]["namespace"] = "elsewhere"
    path.write_text(json.dumps(document))
    found = KubernetesCluster(str(path), "isthmus").get_manifest("v1", "ServiceAccount", AGENT, GATEWAY_NAMESPACE)
    assert found is not None
