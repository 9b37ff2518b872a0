"""The shipped admission policies, on a real API server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.core.federation.namespace import account_manifests, namespace_manifest
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment, NodeObservation
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.errors import Forbidden
from isthmus.model.names import GATEWAY_NAMESPACE, PROJECT_ANNOTATION, SYSTEM_NAMESPACE
from isthmus.ports import Manifest
from tests.contract.samples import attachment, cloud_peer, condition, gateway_node
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane, KubectlError

from .accounts import USERS, account_kubeconfig, make_user

CONTROLLER = f"--as=system:serviceaccount:{SYSTEM_NAMESPACE}:{names.CONTROLLER}"
TENANT = f"--as=system:serviceaccount:{USERS}:tenant"
BINDER = f"--as=system:serviceaccount:{USERS}:binder"
PROJECT = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def admin(installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> KubernetesCluster:
    """May do everything; the policies are in effect."""
    _wait_until_policies_work(installed, tmp_path_factory.mktemp("probe"))
    return KubernetesCluster(str(installed.kubeconfig), "admin")


@pytest.fixture(scope="module")
def controller(
    installed: ControlPlane, admin: KubernetesCluster, tmp_path_factory: pytest.TempPathFactory
) -> KubernetesCluster:
    """The controller's own account."""
    assert admin
    path = account_kubeconfig(installed, tmp_path_factory.mktemp("controller"), SYSTEM_NAMESPACE, names.CONTROLLER)
    return KubernetesCluster(str(path), names.CONTROLLER)


class TestController:
    """The controller has rights in every namespace; the policy restricts it to those of peers."""

    def test_peer_namespace_may_be_created_and_deleted(self, controller: KubernetesCluster) -> None:
        controller.apply_manifest(namespace_manifest("made"))
        controller.delete_manifest("v1", "Namespace", names.peer_namespace("made"))

    @pytest.mark.parametrize(
        ("name", "labels"),
        [
            ("tenant", {names.PEER_LABEL: "tenant"}),
            ("isthmus-peer-bare", {}),
            ("isthmus-peer-one", {names.PEER_LABEL: "other"}),
            (SYSTEM_NAMESPACE, {names.PEER_LABEL: "system"}),
        ],
    )
    def test_other_namespaces_may_not_be_created(
        self, controller: KubernetesCluster, name: str, labels: dict[str, str]
    ) -> None:
        with pytest.raises(Forbidden, match="only in namespaces isthmus-peer-"):
            controller.apply_manifest(_namespace(name, labels=labels))

    def test_other_namespaces_may_not_be_deleted(self, admin: KubernetesCluster, controller: KubernetesCluster) -> None:
        admin.apply_manifest(_namespace("isthmus-peer-kept"))
        for name in ("isthmus-peer-kept", "default", names.IPSEC_NAMESPACE):
            with pytest.raises(Forbidden):
                controller.delete_manifest("v1", "Namespace", name)

    @pytest.mark.parametrize("position", range(4))
    def test_accounts_and_roles_may_not_be_created_elsewhere(
        self, admin: KubernetesCluster, controller: KubernetesCluster, position: int
    ) -> None:
        admin.apply_manifest(_namespace("isthmus-peer-foreign"))
        manifest = account_manifests("foreign")[position]
        for place in ("default", "kube-system", SYSTEM_NAMESPACE, "isthmus-peer-foreign"):
            moved = manifest | {"metadata": manifest["metadata"] | {"namespace": place}}
            with pytest.raises(Forbidden, match="only in namespaces isthmus-peer-"):
                controller.apply_manifest(moved)


class TestFinalizers:
    """The controller may patch objects of administrators and tenants; the policy restricts it to its finalizer."""

    @pytest.fixture
    def peer(self, admin: KubernetesCluster) -> CloudPeer:
        return admin.apply(cloud_peer("finalized"))

    def test_own_finalizer_may_be_added_and_removed(self, controller: KubernetesCluster, peer: CloudPeer) -> None:
        controller.set_finalizers(peer, [names.FINALIZER])
        held = controller.get(CloudPeer, "finalized")
        assert held is not None
        assert held.metadata.finalizers == (names.FINALIZER,)
        controller.set_finalizers(held, [])

    @pytest.mark.parametrize(
        "patch",
        [
            {"spec": {"gatewayCIDRs": ["203.0.113.0/24"]}},
            {"metadata": {"annotations": {names.FORGET_ANNOTATION: "true"}}},
            {"metadata": {"labels": {"team": "a"}}},
            {"metadata": {"finalizers": ["example.com/other"]}},
        ],
        ids=["spec", "annotation", "label", "another finalizer"],
    )
    def test_nothing_else_may_be_changed(
        self, installed: ControlPlane, peer: CloudPeer, patch: dict[str, dict[str, object]]
    ) -> None:
        change = ("patch", "cloudpeer", peer.metadata.name, "--type=merge", "-p", json.dumps(patch))
        with pytest.raises(KubectlError, match="only its finalizer"):
            installed.kubectl(*change, CONTROLLER)
        installed.kubectl(*change, "--dry-run=server")


class TestProjectBinding:
    """A user who may edit a namespace may not bind it to a project."""

    @pytest.fixture
    def tenant(self, installed: ControlPlane, admin: KubernetesCluster, tmp_path: Path) -> KubernetesCluster:
        assert admin
        return _user(installed, tmp_path, "tenant", "namespace-editor")

    @pytest.fixture
    def binder(self, installed: ControlPlane, tenant: KubernetesCluster, tmp_path: Path) -> KubernetesCluster:
        assert tenant
        binder = _user(installed, tmp_path, "binder", "namespace-editor", "isthmus-project-binder")
        # A new right takes a moment to reach the authoriser.
        wait_until(lambda: _may_bind(installed), 60, "the right to bind")
        return binder

    def test_tenant_may_edit_everything_else(self, tenant: KubernetesCluster) -> None:
        tenant.apply_manifest(_namespace("edited", labels={"team": "a"}, note="mine"))
        tenant.apply_manifest(_namespace("edited", labels={"team": "b"}))

    def test_tenant_may_not_set_the_annotation(self, admin: KubernetesCluster, tenant: KubernetesCluster) -> None:
        with pytest.raises(Forbidden, match="projectbindings"):
            tenant.apply_manifest(_namespace("claimed-new", project=PROJECT))
        admin.apply_manifest(_namespace("claimed"))
        with pytest.raises(Forbidden, match="projectbindings"):
            tenant.apply_manifest(_namespace("claimed", project=PROJECT))

    @pytest.mark.parametrize("subresource", ["status", "finalize"])
    def test_tenant_may_not_set_the_annotation_through_subresources(
        self, installed: ControlPlane, admin: KubernetesCluster, tenant: KubernetesCluster, subresource: str
    ) -> None:
        admin.apply_manifest(_namespace("subresource"))
        path = f"/api/v1/namespaces/subresource/{subresource}"
        document = _namespace("subresource", project=PROJECT) | {"spec": {"finalizers": ["kubernetes"]}}
        with pytest.raises(KubectlError, match="projectbindings"):
            installed.kubectl("replace", "--raw", path, "-f", "-", TENANT, input=json.dumps(document))

    def test_tenant_may_not_change_or_remove_the_annotation(
        self, installed: ControlPlane, binder: KubernetesCluster, tenant: KubernetesCluster
    ) -> None:
        binder.apply_manifest(_namespace("bound", project=PROJECT))
        with pytest.raises(Forbidden, match="projectbindings"):
            tenant.apply_manifest(_namespace("bound", project="f" * 32))
        with pytest.raises(KubectlError, match="projectbindings"):
            installed.kubectl("annotate", "namespace", "bound", f"{PROJECT_ANNOTATION}-", TENANT)
        tenant.apply_manifest(_namespace("bound", labels={"team": "a"}))
        left = tenant.get_manifest("v1", "Namespace", "bound")
        assert left is not None
        assert left["metadata"]["annotations"][PROJECT_ANNOTATION] == PROJECT

    def test_user_with_verb_bind_may_bind_and_unbind(self, binder: KubernetesCluster) -> None:
        binder.apply_manifest(_namespace("free", project=PROJECT))
        left = binder.apply_manifest(_namespace("free"))
        assert PROJECT_ANNOTATION not in left["metadata"].get("annotations", {})


class TestAgent:
    """An agent writes the status of the node that its token is bound to."""

    @pytest.fixture
    def agent(self, installed: ControlPlane, admin: KubernetesCluster, tmp_path: Path) -> KubernetesCluster:
        for name in ("gw-own", "gw-other"):
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
            installed.kubectl("apply", "-f", "-", input=json.dumps(node))
            admin.apply(gateway_node(name))
        admin.apply(attachment("agents"))
        admin.apply_status(attachment("agents", (), condition("False", "Waiting")))
        other = KubernetesCluster(str(installed.kubeconfig), "isthmus-agent-gw-other")
        other.apply_status(attachment("agents", (NodeObservation(node="gw-other", plugged=True),)))
        path = account_kubeconfig(installed, tmp_path, GATEWAY_NAMESPACE, names.AGENT, "gw-own")
        return KubernetesCluster(str(path), "isthmus-agent-gw-own")

    def test_agent_may_report_on_its_own_node(self, agent: KubernetesCluster) -> None:
        agent.apply_status(_reporting("gw-own"))
        seen = agent.apply_status(attachment("agents", (NodeObservation(node="gw-own"),)))
        assert {n.node for n in seen.status.nodes} == {"gw-own", "gw-other"}
        left = agent.apply_status(attachment("agents"))
        assert {n.node for n in left.status.nodes} == {"gw-other"}

    @pytest.mark.parametrize(
        "report",
        [
            lambda agent: agent.apply_status(_reporting("gw-other")),
            lambda agent: agent.apply_status(attachment("agents", (NodeObservation(node="gw-other"),))),
            lambda agent: agent.apply_status(attachment("agents", (), condition())),
        ],
        ids=["another node", "another node's entry", "the controller's condition"],
    )
    def test_agent_may_not_report_on_other_nodes(
        self, agent: KubernetesCluster, report: Callable[[KubernetesCluster], GatewayNode | Attachment]
    ) -> None:
        with pytest.raises(Forbidden, match="own"):
            report(agent)

    def test_token_without_node_may_not_report(
        self, installed: ControlPlane, agent: KubernetesCluster, tmp_path: Path
    ) -> None:
        path = account_kubeconfig(installed, tmp_path, GATEWAY_NAMESPACE, names.AGENT)
        with pytest.raises(Forbidden, match="bound to its node"):
            KubernetesCluster(str(path), "isthmus-agent-gw-own").apply_status(_reporting("gw-own"))


def _namespace(name: str, project: str = "", labels: dict[str, str] | None = None, **annotations: str) -> Manifest:
    all_annotations = annotations | ({PROJECT_ANNOTATION: project} if project else {})
    metadata = {"name": name, "labels": labels or {}, "annotations": all_annotations}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _reporting(name: str) -> GatewayNode:
    node = gateway_node(name)
    return node.model_copy(update={"status": node.status.model_copy(update={"neutron_host": name})})


def _user(plane: ControlPlane, directory: Path, name: str, *roles: str) -> KubernetesCluster:
    """A user with these ClusterRoles."""
    create = ("create", "clusterrole", "namespace-editor", "--verb=*", "--resource=namespaces")
    _apply(plane, *create, "--resource=namespaces/status", "--resource=namespaces/finalize")
    user = make_user(plane, name)
    for role in roles:
        _apply(plane, "create", "clusterrolebinding", f"{name}-{role}", f"--clusterrole={role}", f"--user={user}")
    return KubernetesCluster(str(account_kubeconfig(plane, directory, USERS, name)), name)


def _apply(plane: ControlPlane, *create: str) -> None:
    plane.kubectl("apply", "-f", "-", input=plane.kubectl(*create, "--dry-run=client", "-o", "yaml"))


def _wait_until_policies_work(plane: ControlPlane, directory: Path) -> None:
    """Wait until the API server has loaded the policies: try what each rejects."""
    administrator = KubernetesCluster(str(plane.kubeconfig), "admin")
    administrator.apply(gateway_node("probe"))
    administrator.apply(cloud_peer("probe"))
    agent = KubernetesCluster(str(account_kubeconfig(plane, directory, GATEWAY_NAMESPACE, names.AGENT)), "probe")
    _user(plane, directory, "tenant", "namespace-editor")

    def refused() -> bool:
        return (
            _is_denied(plane, "create", "namespace", "probe", "--dry-run=server", CONTROLLER)
            and _is_denied(plane, "annotate", "cloudpeer", "probe", "probe=x", "--dry-run=server", CONTROLLER)
            and _is_denied(
                plane, "annotate", "namespace", "default", f"{PROJECT_ANNOTATION}=x", "--dry-run=server", TENANT
            )
            and _is_forbidden(agent)
        )

    wait_until(refused, 60, "the admission policies to be in effect", poll_seconds=0.5)


def _may_bind(plane: ControlPlane) -> bool:
    try:
        plane.kubectl("annotate", "namespace", "default", f"{PROJECT_ANNOTATION}={PROJECT}", "--dry-run=server", BINDER)
    except KubectlError:
        return False
    return True


def _is_forbidden(agent: KubernetesCluster) -> bool:
    try:
        agent.apply_status(_reporting("probe"))
    except Forbidden:
        return True
    return False


def _is_denied(plane: ControlPlane, *arguments: str) -> bool:
    try:
        plane.kubectl(*arguments)
    except KubectlError as error:
        return "ValidatingAdmissionPolicy" in str(error)
    return False
