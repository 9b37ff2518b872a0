"""The shipped roles: each process has exactly the rights that it needs; checked with real tokens."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.cli.handover import hand_over
from isthmus.cli.main import main
from isthmus.core.federation.namespace import account_manifests, namespace_manifest
from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.attachment import Attachment, NodeObservation
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import (
    ExpansionApproval,
    ExpansionApprovalSpec,
    ExpansionApprovalStatus,
)
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.errors import Forbidden, NotFound
from isthmus.model.names import FINALIZER, GATEWAY_NAMESPACE, IPSEC_NAMESPACE, SYSTEM_NAMESPACE
from isthmus.model.peerkubeconfig import PeerCredential
from isthmus.model.peertoken import lifetime_of
from isthmus.ports import Manifest
from tests.contract.samples import attachment, cloud_peer, condition, gateway_node
from tests.testbed.assets import ensure
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import USERS, Right, account_kubeconfig, make_node, make_user, rights, wait_allowed

PEER = "roles-b"
HOME = names.peer_namespace(PEER)
OF_THE_PEER = frozenset(
    Right(verb, f"{kind}.isthmus.cloud")
    for kind in ("expansionlinks", "peerlinks", "portslices", "memberlinks")
    for verb in ("get", "list", "watch")
)


@pytest.fixture(scope="module")
def controller(installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> KubernetesCluster:
    """The controller's own account, which has already created the peer's namespace with its content."""
    path = account_kubeconfig(installed, tmp_path_factory.mktemp("controller"), SYSTEM_NAMESPACE, names.CONTROLLER)
    cluster = KubernetesCluster(str(path), names.CONTROLLER)
    cluster.apply_manifest(namespace_manifest(PEER))
    for manifest in account_manifests(PEER):
        _apply_when_allowed(cluster, manifest)
    return cluster


@pytest.fixture(scope="module")
def peer_kubeconfig(
    installed: ControlPlane, controller: KubernetesCluster, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The other cloud's credential, as `isthmus peer-kubeconfig` makes it for the account of the controller."""
    assert controller
    path = tmp_path_factory.mktemp("peer") / "kubeconfig"
    path.write_text(wait_until(lambda: _handed_over(installed), 60, "the peer's kubeconfig"))
    for kind in ("expansionlinks", "peerlinks", "portslices", "memberlinks"):
        wait_allowed(
            installed, f"system:serviceaccount:{HOME}:{names.PEER_ACCOUNT}", "list", f"{kind}.isthmus.cloud", HOME
        )
    return path


def test_controller_has_the_rights_it_needs(installed: ControlPlane, controller: KubernetesCluster) -> None:
    installed.kubectl("apply", "-f", "-", input=json.dumps(cloud_peer(PEER).to_manifest()))
    peer = controller.get(CloudPeer, PEER)
    assert peer is not None
    controller.set_finalizers(peer, [FINALIZER])
    controller.set_finalizers(controller.get(CloudPeer, PEER) or peer, [])
    status = peer.status.model_copy(update={"conditions": (condition(),)})
    controller.apply_status(peer.model_copy(update={"status": status}))
    seen = json.loads(installed.kubectl("get", "cloudpeer", PEER, "-o", "json"))
    controller.set_conditions(CloudPeer, PEER, None, seen["status"]["conditions"], seen["metadata"]["resourceVersion"])
    controller.apply(gateway_node("roles-gw"))
    controller.apply(attachment(PEER))
    controller.apply_status(attachment(PEER, (), condition()))
    controller.event(peer, "Normal", "Ready", "reported by the controller's own account")
    assert "reported by the controller" in installed.kubectl("events", "--for", f"cloudpeer/{PEER}")
    controller.list_manifests("v1", "Node")
    assert controller.get_manifest("v1", "Node", "absent") is None
    controller.list_manifests("v1", "Secret", SYSTEM_NAMESPACE)
    controller.delete(Attachment, attachment(PEER).metadata.name, SYSTEM_NAMESPACE)
    controller.delete(GatewayNode, "roles-gw")


def test_controller_reports_what_becomes_of_a_decision(installed: ControlPlane, controller: KubernetesCluster) -> None:
    decided = _approval("roles-decided", HOME)
    installed.kubectl("apply", "-f", "-", input=json.dumps(decided.to_manifest()))
    assert "roles-decided" in {approval.metadata.name for approval in controller.list_objects(ExpansionApproval)}
    controller.apply_status(decided.model_copy(update={"status": ExpansionApprovalStatus(conditions=(condition(),))}))
    table = installed.kubectl("get", "expansionapprovals", "-n", HOME)
    assert table.splitlines()[0].split()[:4] == ["NAME", "DECISION", "READY", "REASON"]
    installed.kubectl("delete", "expansionapproval", "roles-decided", "-n", HOME)


def test_approver_decides_for_the_peer_whose_namespace_the_role_is_bound_in(
    installed: ControlPlane, controller: KubernetesCluster, tmp_path: Path
) -> None:
    assert controller
    make_user(installed, "approver")
    subject = f"--serviceaccount={USERS}:approver"
    installed.kubectl("create", "rolebinding", "approver", "-n", HOME, "--clusterrole=isthmus-approver", subject)
    approver = KubernetesCluster(str(account_kubeconfig(installed, tmp_path, USERS, "approver")), "kubectl")
    decided = _approval("roles-approved", HOME)
    _apply_when_allowed(approver, decided.to_manifest())
    assert approver.get(ExpansionApproval, "roles-approved", HOME) is not None
    assert approver.list_objects(ExpansionLink, HOME) == []
    with pytest.raises(Forbidden):
        approver.apply(_approval("roles-approved", "default"))
    approver.delete(ExpansionApproval, "roles-approved", HOME)


def test_controller_sees_the_token_of_an_earlier_release_and_nothing_else(
    installed: ControlPlane, controller: KubernetesCluster
) -> None:
    assert controller.get_manifest("v1", "Secret", names.PEER_TOKEN, HOME) is None
    for verb, name in (
        ("create", ""),
        ("patch", f"/{names.PEER_TOKEN}"),
        ("delete", f"/{names.PEER_TOKEN}"),
        ("get", ""),
    ):
        assert not _can(installed, names.CONTROLLER, verb, f"secrets{name}", ["-n", HOME])


def test_controller_makes_no_token(installed: ControlPlane) -> None:
    account = f"serviceaccounts/{names.PEER_ACCOUNT}"
    assert not _can(installed, names.CONTROLLER, "create", account, ["--subresource=token", "-n", HOME])


def test_token_of_the_peer_ends(peer_kubeconfig: Path) -> None:
    lifetime = lifetime_of(PeerCredential.parse(peer_kubeconfig.read_bytes()).token)
    assert lifetime is not None
    assert lifetime.ends - lifetime.begins == timedelta(days=1)


def test_command_prints_a_kubeconfig_and_renews_it(
    installed: ControlPlane,
    peer_kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(installed.kubeconfig))
    before = PeerCredential.parse(peer_kubeconfig.read_bytes())
    assert main(["peer-kubeconfig", PEER, "--renew", "--days", "2"]) == 0
    printed = capsys.readouterr()
    renewed = PeerCredential.parse(printed.out.encode())
    assert printed.err.startswith("isthmus: valid until 20")
    assert renewed.token not in printed.err
    assert (renewed.host, renewed.port, renewed.authority) == (before.host, before.port, before.authority)
    assert renewed.token != before.token
    account = json.loads(installed.kubectl("get", "serviceaccount", names.PEER_ACCOUNT, "-n", HOME, "-o", "json"))
    lifetime = lifetime_of(renewed.token)
    assert lifetime is not None
    assert account["metadata"]["annotations"][names.HANDED_OVER_ANNOTATION] == f"{lifetime.ends:%Y-%m-%dT%H:%M:%SZ}"


def test_permission_check_can_succeed(installed: ControlPlane) -> None:
    for verb in ("get", "list", "watch"):
        assert _can(installed, names.CONTROLLER, verb, "secrets", ["-n", SYSTEM_NAMESPACE])
    assert _can(installed, names.AGENT, "watch", "secrets", ["-n", IPSEC_NAMESPACE])


@pytest.mark.parametrize(
    ("verb", "resource", "place"),
    [
        ("get", "secrets", ["-n", IPSEC_NAMESPACE]),
        ("list", "secrets", ["-n", IPSEC_NAMESPACE]),
        ("create", "secrets", ["-n", SYSTEM_NAMESPACE]),
        ("get", "secrets", ["-n", "default"]),
        ("list", "secrets", ["-A"]),
        ("create", "pods", ["-n", SYSTEM_NAMESPACE]),
        ("patch", "nodes", []),
        ("create", "networkexpansions.isthmus.cloud", ["-n", "default"]),
        ("delete", "cloudpeers.isthmus.cloud", []),
        ("create", "expansionapprovals.isthmus.cloud", ["-n", HOME]),
        ("patch", "expansionapprovals.isthmus.cloud", ["-n", HOME]),
        ("delete", "expansionapprovals.isthmus.cloud", ["-n", HOME]),
        ("patch", "gatewaynodes.isthmus.cloud", ["--subresource=status"]),
        ("create", "clusterrolebindings", []),
        ("patch", "roles/other", ["-n", "default"]),
        ("impersonate", "users", []),
        ("create", "serviceaccounts", ["--subresource=token", "-n", SYSTEM_NAMESPACE]),
    ],
)
def test_controller_has_no_other_rights(
    installed: ControlPlane, verb: str, resource: str, place: Sequence[str]
) -> None:
    assert not _can(installed, names.CONTROLLER, verb, resource, place)


def test_agent_has_the_rights_it_needs(installed: ControlPlane, controller: KubernetesCluster, tmp_path: Path) -> None:
    make_node(installed, "roles-gw-1")
    controller.apply(gateway_node("roles-gw-1"))
    controller.apply(attachment("roles-a"))
    agent = _agent(installed, tmp_path, "roles-gw-1")
    for kind in (CloudPeer, PeerLink, Attachment, GatewayNode):
        agent.list_objects(kind)
    agent.apply_status(_reporting(gateway_node("roles-gw-1")))
    agent.apply_status(attachment("roles-a", (NodeObservation(node="roles-gw-1", plugged=True),)))
    agent.apply_status(attachment("roles-a"))
    agent.list_manifests("v1", "Secret", IPSEC_NAMESPACE)


@pytest.mark.parametrize(
    ("verb", "resource", "place"),
    [
        ("get", "secrets", ["-n", SYSTEM_NAMESPACE]),
        ("get", "secrets", ["-n", HOME]),
        ("list", "secrets", ["-A"]),
        ("list", "secrets", ["-n", SYSTEM_NAMESPACE]),
        ("patch", "secrets", ["-n", IPSEC_NAMESPACE]),
        ("patch", "attachments.isthmus.cloud", ["-n", SYSTEM_NAMESPACE]),
        ("patch", "peerlinks.isthmus.cloud", ["--subresource=status", "-n", HOME]),
        ("patch", "gatewaynodes.isthmus.cloud", []),
        ("list", "networkexpansions.isthmus.cloud", ["-A"]),
        ("patch", "nodes", []),
        ("create", "events", ["-n", SYSTEM_NAMESPACE]),
    ],
)
def test_agent_has_no_other_rights(installed: ControlPlane, verb: str, resource: str, place: Sequence[str]) -> None:
    assert not _can(installed, names.AGENT, verb, resource, place)


def test_peer_reads_our_links(peer_kubeconfig: Path) -> None:
    peer = KubernetesCluster(str(peer_kubeconfig), "peer")
    assert peer.list_objects(PeerLink, HOME) == []
    assert peer.list_objects(ExpansionLink, HOME) == []


def test_peer_is_denied_everything_else(peer_kubeconfig: Path) -> None:
    peer = KubernetesCluster(str(peer_kubeconfig), "peer")
    for refused in (
        lambda: peer.list_objects(PeerLink),
        lambda: peer.list_objects(PeerLink, "default"),
        lambda: peer.list_objects(Attachment, SYSTEM_NAMESPACE),
        lambda: peer.list_objects(NetworkExpansion),
        lambda: peer.list_objects(ExpansionApproval, HOME),
        lambda: peer.list_objects(CloudPeer),
        lambda: peer.list_manifests("v1", "Secret", HOME),
        lambda: peer.list_manifests("v1", "Namespace"),
        lambda: peer.delete(PeerLink, "any", HOME),
    ):
        with pytest.raises(Forbidden):
            refused()


def test_peer_has_exactly_these_rights_beyond_every_accounts(
    installed: ControlPlane, peer_kubeconfig: Path, tmp_path: Path
) -> None:
    make_user(installed, "nobody")
    nobody = account_kubeconfig(installed, tmp_path, USERS, "nobody")
    namespaces = installed.kubectl("get", "namespaces", "-o", "name").split()
    for namespace in (name.removeprefix("namespace/") for name in namespaces):
        everybodys = rights(installed, nobody, namespace)
        assert everybodys, "listing one's own rights is not permitted"
        own = OF_THE_PEER if namespace == HOME else frozenset()
        assert rights(installed, peer_kubeconfig, namespace) - everybodys == own, namespace


def _apply_when_allowed(cluster: KubernetesCluster, manifest: Manifest) -> None:
    """Retry: a new right takes a moment to reach the authoriser."""

    def applied() -> bool:
        try:
            cluster.apply_manifest(manifest)
        except Forbidden:
            return False
        return True

    wait_until(applied, 60, f"{manifest['kind']} {manifest['metadata']['name']} to be allowed")


def _approval(name: str, namespace: str) -> ExpansionApproval:
    spec = ExpansionApprovalSpec(decision="Refuse", message="not now")
    return ExpansionApproval(metadata=ObjectMeta(name=name, namespace=namespace), spec=spec)


def _handed_over(plane: ControlPlane) -> str:
    with suppress(NotFound):  # Kubernetes publishes its authority in a new namespace a moment later
        return hand_over(
            KubernetesCluster(str(plane.kubeconfig), "isthmus"), PEER, plane.server_at("127.0.0.1"), 1
        ).kubeconfig
    return ""


def _can(plane: ControlPlane, account: str, verb: str, resource: str, place: Sequence[str]) -> bool:
    """Answer of `kubectl auth can-i`. An error is not a "no"."""
    home = GATEWAY_NAMESPACE if account == names.AGENT else SYSTEM_NAMESPACE
    who = f"--as=system:serviceaccount:{home}:{account}"
    where = [f"--kubeconfig={plane.kubeconfig}", f"--cache-dir={plane.kubeconfig.parent / 'kubectl-cache'}"]
    command = [str(ensure("kubernetes").kubectl), *where, "auth", "can-i", verb, resource, *place, who]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    answer = done.stdout.split(maxsplit=1)[:1]
    assert (answer, done.returncode) in ((["yes"], 0), (["no"], 1)), f"{done.stdout}{done.stderr}"
    assert "doesn't have a resource type" not in done.stderr, done.stderr
    return answer == ["yes"]


def _agent(plane: ControlPlane, directory: Path, node: str) -> KubernetesCluster:
    path = account_kubeconfig(plane, directory, GATEWAY_NAMESPACE, names.AGENT, node)
    return KubernetesCluster(str(path), f"{names.AGENT}-{node}")


def _reporting(node: GatewayNode) -> GatewayNode:
    return node.model_copy(update={"status": node.status.model_copy(update={"neutron_host": node.metadata.name})})
