"""Kubeconfigs of service accounts and of users, with the shipped roles."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane, KubectlError

USERS = "users"
_REVIEW = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}


class Right(NamedTuple):
    """A verb on a resource (`peerlinks.isthmus.cloud`, `pods.` for the core group) or on a URL of the API server."""

    verb: str
    what: str
    name: str = ""
    """Name of the only object that it applies to; empty: all objects."""


def account_kubeconfig(
    plane: ControlPlane, directory: Path, namespace: str, name: str, node: str | None = None
) -> Path:
    """A kubeconfig with a token of that account."""
    user = {"token": token_of(plane, namespace, name, node)}
    return _kubeconfig(plane, directory / f"{namespace}.{name}.{node}.kubeconfig", user)


def token_of(plane: ControlPlane, namespace: str, name: str, node: str | None = None) -> str:
    """A token of that account. One that is bound to a node, like a pod's, becomes invalid with that Node object."""
    bound = ["--bound-object-kind=Node", f"--bound-object-name={node}"] if node else []
    return plane.kubectl("create", "token", "-n", namespace, name, *bound).strip()


def make_node(plane: ControlPlane, name: str) -> None:
    """Create a Node object."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    plane.kubectl("apply", "-f", "-", input=json.dumps(node))


def make_user(plane: ControlPlane, name: str) -> str:
    """Create a user without rights; return its user name in the API server."""
    for manifest in (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": USERS}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": USERS}},
    ):
        plane.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    return f"system:serviceaccount:{USERS}:{name}"


def wait_allowed(plane: ControlPlane, user: str, verb: str, resource: str, namespace: str = "default") -> None:
    """Wait until the authoriser knows of a right that was just given."""

    def is_allowed() -> bool:
        try:
            plane.kubectl("auth", "can-i", verb, resource, "-n", namespace, f"--as={user}")
        except KubectlError:
            return False
        return True

    wait_until(is_allowed, 60, f"{user} to be allowed to {verb} {resource}")


def rights(plane: ControlPlane, kubeconfig: Path, namespace: str) -> frozenset[Right]:
    """All rights of an account in a namespace, as the API server lists them."""
    question = json.dumps({**_REVIEW, "spec": {"namespace": namespace}})
    # Without validation: kubectl would have to read definitions, which these accounts may not.
    create = ("create", "--validate=false", "-f", "-", "-o", "json")
    answer = plane.kubectl(*create, input=question, kubeconfig=kubeconfig)
    status = json.loads(answer)["status"]
    assert not status["incomplete"], status
    found = [right for rule in status["resourceRules"] for right in _on_resources(rule)]
    found += [Right(verb, url) for rule in status["nonResourceRules"] for verb, url in _pairs(rule, "nonResourceURLs")]
    return frozenset(found)


def _on_resources(rule: dict[str, Any]) -> list[Right]:
    return [
        Right(verb, f"{resource}.{group}", name)
        for verb, resource in _pairs(rule, "resources")
        for group in rule["apiGroups"]
        for name in rule.get("resourceNames", [""])
    ]


def _pairs(rule: dict[str, Any], key: str) -> list[tuple[str, str]]:
    return list(product(rule["verbs"], rule[key]))


def _kubeconfig(plane: ControlPlane, path: Path, user: dict[str, str]) -> Path:
    document = json.loads(plane.kubeconfig.read_text())
    document["users"][0]["user"] = user
    path.write_text(json.dumps(document))
    return path
