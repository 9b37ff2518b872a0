"""`kubectl isthmus` with the real kubectl on a real API server, as one file without packages."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from isthmus.model.names import CONTROLLER, peer_namespace
from isthmus.plugin import kubectl as edge
from isthmus.plugin.core.verbs import VERBS
from tests.contract.samples import NETWORK_ID, answer_link, cloud_peer, gateway_node
from tests.fakes.kubectl import MISSING_KIND, active_lease, forbidden
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import USERS, account_kubeconfig, make_user
from .kubelet import set_status
from .pluginfile import Plugin
from .realcloud import remove_everything

SHOP = "plugin-shop"
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


@pytest.fixture(scope="module")
def plugin(installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    directory = tmp_path_factory.mktemp("plugin")
    remove_everything(installed)
    _make_objects(installed)
    made = Plugin.install(directory, installed.kubeconfig)
    script = directory / "kubectl_complete-isthmus"
    script.write_text(made.run("completion").stdout)
    script.chmod(0o755)
    return made


def test_kubectl_runs_it_as_its_plugin(plugin: Plugin) -> None:
    done = plugin.run("isthmus", "status", program="kubectl")
    assert (done.returncode, done.stderr) == (1, "")
    assert "controller active" in done.stdout
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line}
    assert rows["plugin-gw"].split() == ["plugin-gw", "yes", "192.0.2.11", "host", "3.1.0", "5.9.8", "0.1.0"]
    assert rows["plugin-b"].split()[:7] == ["plugin-b", "NO", "yes", "yes", "1/1", "1/1", "0/1"]


def test_problem_is_explained(plugin: Plugin) -> None:
    done = plugin.run("peers")
    assert done.returncode == 1
    assert "CloudPeer plugin-b: BFDDown (transient)\n  no answer\n  kubectl isthmus explain BFDDown\n" in done.stdout
    assert plugin.run("explain", "BFDDown").returncode == 0


def test_fault_is_diagnosed(plugin: Plugin) -> None:
    done = plugin.run("diagnose", "plugin-b", "-o", "json")
    assert (done.returncode, done.stderr) == (1, "")
    (subject,) = json.loads(done.stdout)["subjects"]
    states = {layer["layer"]: layer["state"] for layer in subject["layers"]}
    assert (states["reach"], states["agreement"], states["ike"]) == ("fine", "fine", "notLookedAt")
    assert [fault["code"] for fault in subject["faults"]] == ["AgentNotRunning"], "its Lease does not exist"
    assert "'nothing-of-that-name'" in plugin.sentence("diagnose", "nothing-of-that-name", code=2)
    assert plugin.sentence("diagnose", "", code=2) == "the name of the peer or network is empty"


def test_topology_is_a_tree(plugin: Plugin) -> None:
    done = plugin.run("topology")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[1:5] == [
        "|-- node plugin-gw (192.0.2.11): DOWN AgentNotRunning",
        "`-- peer plugin-b: DOWN BFDDown",
        "    |-- tunnel plugin-gw to gw (198.51.100.1): unknown AgentNotRunning",
        "    `-- network plugin-shop/web (网络 web) to the peer: unknown",
    ]


def test_tenant_reads_the_networks_of_the_namespace(installed: ControlPlane, plugin: Plugin, tmp_path: Path) -> None:
    tenant = _account(installed, tmp_path, "plugin-tenant")
    installed.kubectl(
        "create", "rolebinding", "tenant", "--clusterrole=view", f"--serviceaccount={USERS}:plugin-tenant", "-n", SHOP
    )
    wait_until(lambda: plugin.run("networks", "-n", SHOP, kubeconfig=tenant).returncode == 0, 60, "the right to list")
    document = json.loads(plugin.run("networks", "-n", SHOP, "-o", "json", kubeconfig=tenant).stdout)
    assert [network["networkName"] for network in document["networks"]] == ["网络 web"]
    hint = "if you have rights in one namespace, name it: -n NAMESPACE"
    refused = "networkexpansions: no right to list them at the cluster scope"
    assert plugin.sentence("networks", kubeconfig=tenant) == f"{refused}; {hint}"
    assert re.fullmatch(
        r"gatewaynodes, (\w+, ){3}attachments: no right to list them at the cluster scope; .*networks -n NAMESPACE",
        plugin.sentence("status", kubeconfig=tenant),
    )
    done = plugin.run("diagnose", "web", "-n", SHOP, kubeconfig=tenant)
    waiting = "not decided yet at port: network plugin-shop/web: nothing has been reported of it yet"
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, f"plugin-b, network web: {waiting}")
    assert len([line for line in done.stdout.splitlines() if line.startswith("not read: ")]) == 5
    unknown = plugin.sentence("diagnose", "nothing-of-that-name", "-n", SHOP, kubeconfig=tenant)
    assert unknown.startswith("there is no peer and no stretched network 'nothing-of-that-name' among what can be read")
    assert plugin.sentence("diagnose", kubeconfig=tenant).startswith("gatewaynodes, cloudpeers, peerlinks, ")


def test_what_may_be_read_is_shown(installed: ControlPlane, plugin: Plugin, tmp_path: Path) -> None:
    reader = _account(installed, tmp_path, "plugin-reader")
    installed.kubectl("create", "clusterrole", "plugin-reader", "--verb=list", "--resource=cloudpeers.isthmus.cloud")
    installed.kubectl(
        "create", "clusterrolebinding", "plugin-reader", "--clusterrole=plugin-reader",
        f"--serviceaccount={USERS}:plugin-reader",
    )  # fmt: skip
    wait_until(lambda: "plugin-b" in plugin.run("status", kubeconfig=reader).stdout, 60, "the right to list")
    done = plugin.run("status", kubeconfig=reader)
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("not read: ")] == [
        *(
            f"not read: {plural}: no right to list them at the cluster scope"
            for plural in ("gatewaynodes", "peerlinks", "networkexpansions", "attachments")
        ),
        'not read: leases: no right to list them in the namespace "isthmus-system"',
    ]


def test_approver_of_one_peer_decides_about_its_network(
    installed: ControlPlane, plugin: Plugin, tmp_path: Path
) -> None:
    """By the shipped role; of what is refused, or belongs to another peer, nothing is written."""
    home, other = peer_namespace("plugin-b"), peer_namespace("plugin-c")
    for namespace, cloud in ((home, "plugin-b"), (other, "plugin-c")):
        _offer(installed, namespace, cloud)
    approver = _account(installed, tmp_path, "plugin-approver")
    installed.kubectl(
        "create", "rolebinding", "approver", "--clusterrole=isthmus-approver",
        f"--serviceaccount={USERS}:plugin-approver", "-n", home,
    )  # fmt: skip
    wait_until(lambda: plugin.run("approve", "-n", home, kubeconfig=approver).returncode == 0, 60, "the right to list")
    listed = json.loads(plugin.run("approve", "-n", home, "-o", "json", kubeconfig=approver).stdout)
    assert [network["name"] for network in listed["awaiting"]] == [f"plugin-b.{NETWORK_ID}"]
    assert "with rights for one peer, name its namespace" in plugin.sentence("approve", kubeconfig=approver)
    unknown = plugin.sentence("approve", "-n", home, "no-such-network", kubeconfig=approver, code=2)
    assert unknown.startswith("no peer offers a network 'no-such-network'")
    assert _approvals(installed) == []

    refused = ("refuse", "-n", home, NETWORK_ID, "--reason", "nicht in diesem Quartal: 网络")
    for changed in (True, False):
        done = plugin.run(*refused, "-o", "json", kubeconfig=approver)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["networks"][0]["changed"] is changed
        ((namespace, spec),) = _approvals(installed)
        assert (namespace, spec) == (home, {"decision": "Refuse", "message": refused[-1]})
    assert plugin.run("approve", "-n", home, NETWORK_ID, kubeconfig=approver).returncode == 0
    assert _approvals(installed) == [(home, {"decision": "Accept", "message": ""})]
    assert plugin.sentence("approve", NETWORK_ID, code=2).endswith(f"plugin-b.{NETWORK_ID}, plugin-c.{NETWORK_ID}")
    assert plugin.run("approve", f"plugin-c.{NETWORK_ID}").returncode == 0
    assert [namespace for namespace, _ in _approvals(installed)] == [home, other]
    assert plugin.run("approve").stdout == "no network awaits a decision\n"


def test_other_identity_is_passed_on(installed: ControlPlane, plugin: Plugin) -> None:
    nobody = make_user(installed, "plugin-nobody")
    assert plugin.sentence("peers", "--as", nobody) == "cloudpeers: no right to list them at the cluster scope"


def test_fake_writes_what_kubectl_writes(installed: ControlPlane, plugin: Plugin) -> None:
    nobody = make_user(installed, "plugin-nobody")
    path = "/apis/isthmus.cloud/v1alpha1/cloudpeers"
    refused = plugin.run("get", "--raw", path, "--as", nobody, program="kubectl")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.replace(nobody, "somebody").splitlines() == [forbidden("cloudpeers")]
    missing = plugin.run("get", "--raw", path.replace("v1alpha1", "v9"), program="kubectl")
    assert (missing.returncode, missing.stderr.strip()) == (1, MISSING_KIND)


def test_wrong_kubeconfigs_are_sentences(plugin: Plugin, installed: ControlPlane, tmp_path: Path) -> None:
    assert plugin.sentence("status", "--context", "nope") == (
        "the kubeconfig has no context 'nope'; list them with: kubectl config get-contexts"
    )
    for option, sentence in (
        ("--cluster", "the kubeconfig has no cluster 'nope'; list them with: kubectl config get-clusters"),
        ("--user", "the kubeconfig has no user 'nope'; list them with: kubectl config get-users"),
    ):
        assert plugin.sentence("status", option, "nope") == sentence
    absent = str(tmp_path / "absent")
    sentence = f"the kubeconfig {absent} cannot be read: no such file or directory"
    assert plugin.sentence("peers", "--kubeconfig", absent) == sentence
    (tmp_path / "malformed").write_text("a: b: c\n")
    assert plugin.sentence("peers", "--kubeconfig", str(tmp_path / "malformed")).startswith(
        f"the kubeconfig {tmp_path}/malformed cannot be read: yaml: "
    )
    document = json.loads(installed.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": "wrong"}
    assert plugin.sentence("peers", kubeconfig=_written(tmp_path, document)).startswith(
        "the API server rejects the cred"
    )
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    assert plugin.sentence("peers", kubeconfig=_written(tmp_path, document)).startswith(
        "the API server does not answer"
    )


def test_missing_definitions_are_sentences(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin asks for what this cluster lacks: other kinds, another version, another API group."""
    monkeypatch.setenv("PATH", f"{plugin.directory}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(plugin.directory))
    kubectl = edge.Kubectl([f"--kubeconfig={plugin.kubeconfig}"])
    for constant, value, sentence in (
        ("VERSION", "v1alpha1", "not all definitions of isthmus.cloud/v1alpha1 are installed"),
        ("VERSION", "v9", "this plugin reads isthmus.cloud/v9, and the cluster serves v1alpha1"),
        ("GROUP", "absent.example", "Isthmus is not installed in this cluster"),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(edge, constant, value)
            request = kubectl.get(("cloudpeers", "inventions"))
            with pytest.raises(edge.NotRead, match=f"^{sentence}"):
                request.result()


def test_kubectl_completes_its_verbs(plugin: Plugin) -> None:
    done = plugin.run("__complete", "isthmus", "", program="kubectl")
    assert [line.split("\t")[0] for line in done.stdout.splitlines()][: len(VERBS)] == [verb.name for verb in VERBS]


def _offer(plane: ControlPlane, namespace: str, cloud_id: str) -> None:
    """Our link in which a network of that peer awaits a decision."""
    link = answer_link("plugin-a", cloud_id, 1500).to_manifest()
    link["spec"]["answer"] |= {"verdict": "Refused", "reason": "AwaitingApproval"}
    plane.kubectl("create", "namespace", namespace)
    plane.kubectl("apply", "-f", "-", input=json.dumps(link))


def _approvals(plane: ControlPlane) -> list[tuple[str, Any]]:
    """Namespace and spec of every ExpansionApproval."""
    items = json.loads(plane.kubectl("get", "expansionapprovals", "-A", "-o", "json"))["items"]
    return [(item["metadata"]["namespace"], item["spec"]) for item in items]


def _account(plane: ControlPlane, directory: Path, name: str) -> Path:
    make_user(plane, name)
    return account_kubeconfig(plane, directory, USERS, name)


def _written(directory: Path, document: Any) -> Path:
    path = directory / "kubeconfig"
    path.write_text(json.dumps(document))
    return path


def _make_objects(plane: ControlPlane) -> None:
    """A node, a peer and a network with statuses, and the Lease of an active controller."""
    connection = {"cloudID": "plugin-b", "gateway": "gw", "address": "198.51.100.1", "up": False, "reason": "BFDDown"}
    node = {
        "conditions": [READY],
        "addresses": [{"address": "192.0.2.11", "mtu": 1500}],
        "neutronHost": "host",
        "software": {"openvswitch": "3.1.0", "strongswan": "5.9.8", "isthmus": "0.1.0"},
        "connections": [connection | {"ike": "Established", "esp": "Installed", "bfd": "Down"}],
    }
    down = READY | {"status": "False", "reason": "BFDDown", "message": "no answer"}
    others = [READY | {"type": type_, "reason": type_} for type_ in ("Reachable", "Agreed")]
    network = {
        "apiVersion": "isthmus.cloud/v1alpha1",
        "kind": "NetworkExpansion",
        "metadata": {"name": "web", "namespace": SHOP},
        "spec": {"networkID": NETWORK_ID, "peers": [{"name": "plugin-b"}]},
    }
    lease = active_lease(CONTROLLER)
    plane.kubectl("create", "namespace", SHOP)
    for manifest in (gateway_node("plugin-gw").to_manifest(), cloud_peer("plugin-b").to_manifest(), network, lease):
        plane.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    set_status(plane, "gatewaynode/plugin-gw", node)
    set_status(plane, "cloudpeer/plugin-b", {"conditions": [down, *others]})
    set_status(plane, "networkexpansion/web", {"conditions": [READY], "networkName": "网络 web"}, SHOP)
