"""`kubectl isthmus gather` on a real API server that is full of secrets: none of them is in the archive."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.model import names
from tests.contract.samples import NETWORK_ID, cloud_peer, gateway_node
from tests.gathered import texts
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import USERS, account_kubeconfig, make_user, token_of
from .conftest import PUBLIC_ADDRESS
from .kubelet import RESTRICTED, kubelet, set_status
from .pluginfile import Plugin
from .realcloud import remove_everything

SHOP, NODE, POD = "gather-shop", "gather-node", "isthmus-agent-gather"
CANARIES = [f"canary-{number}-5f0c2d7a9b" for number in range(7)]
LABELS = {"app.kubernetes.io/part-of": "isthmus"}


@pytest.fixture(scope="module")
def plugin(installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    remove_everything(installed)
    made = Plugin.install(tmp_path_factory.mktemp("gather") / "bin", installed.kubeconfig)
    made.record_calls()
    token = token_of(installed, names.SYSTEM_NAMESPACE, names.CONTROLLER)
    log = f"2026-11-26T00:00:00Z started\n2026-11-26T00:00:01Z Authorization: Bearer {token}\n"
    with kubelet(installed, NODE, PUBLIC_ADDRESS, log):
        for manifest in _secrets() + _others(token):
            installed.kubectl("apply", "-f", "-", input=json.dumps(manifest))
        running = {"name": "agent", "ready": True, "restartCount": 1, "image": "x", "imageID": "x", "state": {}}
        set_status(installed, f"pod/{POD}", {"containerStatuses": [running]}, names.GATEWAY_NAMESPACE)
        CANARIES.append(token)
        try:
            yield made
        finally:
            _remove(installed)


def test_archive_has_no_secret(plugin: Plugin) -> None:
    done = plugin.run("gather", "--out", "all.tar.gz")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert oct((plugin.directory / "all.tar.gz").stat().st_mode) == "0o100600"
    found = texts(plugin.directory / "all.tar.gz")
    assert next(iter(found)) == "contents.txt"
    assert "gather-b" in found["objects/cloudpeers.json"]
    assert "gather event psk=[redacted]" in found["events/of-our-kinds.json"]
    assert "cloud_id: cloud-a" in found["settings/agent.json"]
    assert "v1alpha1" in found["cluster/definitions.json"]
    assert "isthmus-project-binding" in found["cluster/admission-policies.json"]
    for suffix in ("log", "previous.log"):
        assert found[f"logs/{names.GATEWAY_NAMESPACE}/{POD}/agent.{suffix}"].splitlines() == [
            "2026-11-26T00:00:00Z started",
            "2026-11-26T00:00:01Z Authorization: Bearer [redacted]",
        ]
    everything = "\n".join([*found, *found.values(), done.stdout, (plugin.directory / "calls").read_text()])
    assert [secret for secret in CANARIES if secret in everything or _encoded(secret) in everything] == []
    assert "secret" not in (plugin.directory / "calls").read_text()


def test_file_is_not_overwritten(plugin: Plugin) -> None:
    (plugin.directory / "mine.tar.gz").write_text("mine")
    assert "exists already" in plugin.sentence("gather", "--out", "mine.tar.gz", code=2)
    assert (plugin.directory / "mine.tar.gz").read_text() == "mine"


def test_partial_rights_give_a_partial_archive(installed: ControlPlane, plugin: Plugin, tmp_path: Path) -> None:
    make_user(installed, "gatherer")
    account = account_kubeconfig(installed, tmp_path, USERS, "gatherer")
    assert "no right to list them at the cluster scope" in plugin.sentence("gather", kubeconfig=account)
    assert list(plugin.directory.glob("isthmus-*.tar.gz")) == []
    subject = f"--serviceaccount={USERS}:gatherer"
    what = "cloudpeers.isthmus.cloud,gatewaynodes.isthmus.cloud"
    installed.kubectl("create", "clusterrole", "gatherer", "--verb=list", f"--resource={what}")
    installed.kubectl("create", "clusterrolebinding", "gatherer", "--clusterrole=gatherer", subject)
    installed.kubectl("create", "rolebinding", "gatherer", "-n", names.GATEWAY_NAMESPACE, "--clusterrole=view", subject)
    wait_until(lambda: plugin.run("peers", kubeconfig=account).returncode != 3, 60, "the right to list")
    done = plugin.run("gather", "--out", "some.tar.gz", kubeconfig=account)
    assert (done.returncode, done.stderr) == (3, "")
    found = texts(plugin.directory / "some.tar.gz")
    assert "gather-b" in found["objects/cloudpeers.json"]
    assert POD in found[f"workloads/{names.GATEWAY_NAMESPACE}.json"]
    gaps = [line for line in found["contents.txt"].splitlines() if line.startswith("not read: ")]
    assert "not read: attachments: no right to list them at the cluster scope" in gaps
    assert f'not read: leases: no right to list them in the namespace "{names.SYSTEM_NAMESPACE}"' in gaps
    assert "not read: cluster/nodes: no right to list them at the cluster scope" in gaps
    assert [line for line in gaps if line not in done.stdout] == []


def _secrets() -> list[dict[str, Any]]:
    """Applied by kubectl, which also writes them into an annotation."""
    places = (names.SYSTEM_NAMESPACE, names.IPSEC_NAMESPACE, names.GATEWAY_NAMESPACE)
    return [
        _object("Secret", "gather-canary", namespace, labels=LABELS) | {"stringData": {"psk": canary}}
        for namespace, canary in zip(places, CANARIES, strict=False)
    ]


def _others(token: str) -> list[dict[str, Any]]:
    """Objects with secrets where there should be none, and ConfigMaps that are not ours."""
    kubeconfig = {"kubeconfig": f"users: [{{name: x, user: {{password: {CANARIES[3]}}}}}]"}
    container = {"name": "agent", "image": "x", "securityContext": RESTRICTED}
    environment = [{"name": "OS_PASSWORD", "value": CANARIES[4]}]
    peer = cloud_peer("gather-b").to_manifest()
    peer["metadata"]["annotations"] = {"note": f"token: {CANARIES[5]}", "other": token}
    regarding = {"apiVersion": names.API_VERSION, "kind": "NetworkExpansion", "name": "web", "namespace": SHOP}
    expansion = _object("NetworkExpansion", "web", SHOP) | {"apiVersion": names.API_VERSION}
    return [
        _object("Namespace", SHOP),
        _object("ConfigMap", "gather-other", names.SYSTEM_NAMESPACE, labels=LABELS) | {"data": kubeconfig},
        _object("ConfigMap", names.AGENT, names.GATEWAY_NAMESPACE) | {"data": {"config.yaml": "cloud_id: cloud-a"}},
        _object("Pod", POD, names.GATEWAY_NAMESPACE, labels=LABELS)
        | {"spec": {"nodeName": NODE, "containers": [container | {"env": environment}]}},
        gateway_node(NODE).to_manifest(),
        peer,
        expansion | {"spec": {"networkID": NETWORK_ID, "peers": [{"name": "gather-b"}]}},
        _object("Event", "gather-event", SHOP)
        | {"involvedObject": regarding, "reason": "x", "message": f"gather event psk={CANARIES[6]}", "type": "Normal"},
    ]


def _object(kind: str, name: str, namespace: str = "", labels: dict[str, str] | None = None) -> dict[str, Any]:
    where = {"namespace": namespace} if namespace else {}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels or {}, **where}}


def _remove(plane: ControlPlane) -> None:
    remove_everything(plane)
    plane.kubectl("delete", "pod", POD, "-n", names.GATEWAY_NAMESPACE, "--grace-period=0", "--force")
    plane.kubectl("delete", "configmap", names.AGENT, "-n", names.GATEWAY_NAMESPACE)
    plane.kubectl("delete", "configmap", "gather-other", "-n", names.SYSTEM_NAMESPACE)
    for namespace in (names.SYSTEM_NAMESPACE, names.IPSEC_NAMESPACE, names.GATEWAY_NAMESPACE):
        plane.kubectl("delete", "secret", "gather-canary", "-n", namespace)
    plane.kubectl("delete", "namespace", SHOP, "--wait=false")


def _encoded(secret: str) -> str:
    return base64.b64encode(secret.encode()).decode()
