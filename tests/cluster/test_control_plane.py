"""Prerequisites of the other tests of this tier: the control plane enforces rules and deletes objects."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane, KubectlError

_THING: Final[dict[str, Any]] = {
    "apiVersion": "probe.isthmus.cloud/v1",
    "kind": "Thing",
    "metadata": {"name": "one"},
    "spec": {"identity": "first"},
}


def _thing_definition() -> dict[str, Any]:
    identity = {
        "type": "string",
        "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "identity is immutable"}],
    }
    spec = {"type": "object", "required": ["identity"], "properties": {"identity": identity}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.probe.isthmus.cloud"},
        "spec": {
            "group": "probe.isthmus.cloud",
            "scope": "Cluster",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
            "versions": [version],
        },
    }


def _apply(plane: ControlPlane, document: dict[str, Any]) -> None:
    plane.kubectl("apply", "-f", "-", input=json.dumps(document))


def test_version_is_the_one_that_was_built(control_plane: ControlPlane) -> None:
    assert control_plane.kubectl("get", "--raw", "/readyz") == "ok"
    server = json.loads(control_plane.kubectl("version", "-o", "json"))["serverVersion"]
    assert (int(server["major"]), int(server["minor"])) >= (1, 34)


def test_transition_rule_is_enforced(control_plane: ControlPlane) -> None:
    _apply(control_plane, _thing_definition())
    control_plane.kubectl("wait", "--for=condition=Established", "crd/things.probe.isthmus.cloud", "--timeout=120s")
    try:
        control_plane.wait_served("things.probe.isthmus.cloud")
        _apply(control_plane, _THING)
        with pytest.raises(KubectlError, match="identity is immutable"):
            _apply(control_plane, {**_THING, "spec": {"identity": "second"}})
        assert control_plane.kubectl("get", "thing", "one", "-o", "jsonpath={.spec.identity}") == "first"
    finally:
        control_plane.kubectl("delete", "crd", "things.probe.isthmus.cloud")


def test_admission_policy_is_enforced(control_plane: ControlPlane) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "probe"},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "object.metadata.name != 'refused'", "message": "not this name"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "probe"},
        "spec": {"policyName": "probe", "validationActions": ["Deny"]},
    }

    def refuses() -> bool:
        try:
            control_plane.kubectl("create", "configmap", "refused", "--dry-run=server")
        except KubectlError as error:
            return "not this name" in str(error)
        return False

    try:
        for document in (policy, binding):
            _apply(control_plane, document)
        wait_until(refuses, 60, "the policy refuses")
        control_plane.kubectl("create", "configmap", "admitted", "--dry-run=server")
    finally:
        control_plane.kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "probe")


def test_namespace_is_deleted(control_plane: ControlPlane) -> None:
    control_plane.kubectl("create", "namespace", "goes")
    control_plane.kubectl("create", "configmap", "inside", "-n", "goes")
    control_plane.kubectl("delete", "namespace", "goes", "--timeout=120s")
    with pytest.raises(KubectlError, match="not found"):
        control_plane.kubectl("get", "namespace", "goes")
    control_plane.kubectl("create", "namespace", "goes")
    assert "inside" not in control_plane.kubectl("get", "configmaps", "-n", "goes", "-o", "name")
    control_plane.kubectl("delete", "namespace", "goes", "--wait=false")


def test_token_reads_only_what_its_role_grants(control_plane: ControlPlane) -> None:
    kubectl = control_plane.kubectl
    kubectl("create", "namespace", "tokens")
    kubectl("create", "configmap", "readable", "-n", "tokens")
    kubectl("create", "serviceaccount", "reader", "-n", "tokens")
    kubectl("create", "role", "reader", "-n", "tokens", "--verb=get,list", "--resource=configmaps")
    kubectl("create", "rolebinding", "reader", "-n", "tokens", "--role=reader", "--serviceaccount=tokens:reader")
    token = kubectl("create", "token", "reader", "-n", "tokens").strip()
    assert "configmap/readable" in _as_bearer(control_plane, token, "get", "configmaps", "-n", "tokens", "-o", "name")
    for refused in (
        ("get", "configmaps", "-n", "default"),
        ("get", "secrets", "-n", "tokens"),
        ("get", "namespaces"),
        ("delete", "configmap", "readable", "-n", "tokens"),
    ):
        with pytest.raises(KubectlError, match="forbidden"):
            _as_bearer(control_plane, token, *refused)
    kubectl("delete", "namespace", "tokens", "--wait=false")


def test_token_secret_is_populated(control_plane: ControlPlane) -> None:
    kubectl = control_plane.kubectl
    kubectl("create", "namespace", "secrets")
    kubectl("create", "serviceaccount", "holder", "-n", "secrets")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": "holder",
            "namespace": "secrets",
            "annotations": {"kubernetes.io/service-account.name": "holder"},
        },
    }
    _apply(control_plane, secret)
    read = ("get", "secret", "holder", "-n", "secrets", "--template={{with .data}}{{.token | base64decode}}{{end}}")
    token = wait_until(lambda: kubectl(*read), 60, "a token in the Secret")
    assert "secrets:holder" in _as_bearer(control_plane, token, "auth", "whoami")
    kubectl("delete", "namespace", "secrets", "--wait=false")


def _as_bearer(plane: ControlPlane, token: str, *arguments: str) -> str:
    """kubectl arguments that authenticate with a token only."""
    who = [f"--token={token}", f"--server={plane.server_at('127.0.0.1')}"]
    who.append(f"--certificate-authority={plane.ca_certificate}")
    return plane.kubectl(*who, *arguments, kubeconfig=Path("/dev/null"))


def test_objects_and_tokens_survive_a_restart(control_plane: ControlPlane) -> None:
    kubectl = control_plane.kubectl
    kubectl("create", "configmap", "kept")
    token = kubectl("create", "token", "default").strip()
    control_plane.stop()
    with pytest.raises(KubectlError, match="refused"):
        kubectl("get", "configmap", "kept")
    control_plane.start()
    kubectl("delete", "configmap", "kept")
    assert "system:serviceaccount:default:default" in _as_bearer(control_plane, token, "auth", "whoami")
