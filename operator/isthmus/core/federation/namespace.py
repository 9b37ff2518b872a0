"""The namespace in which one peer reads our links, and the read-only account that it reads them with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.model import names
from isthmus.model.names import GROUP

Manifest = dict[str, Any]
_RBAC = "rbac.authorization.k8s.io"


def namespace_manifest(cloud_id: str) -> Manifest:
    """The namespace, with the labels by which it is known as ours."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": names.peer_namespace(cloud_id), "labels": _labels(cloud_id)},
    }


def is_ours(namespace: Mapping[str, Any], cloud_id: str) -> bool:
    """Whether Isthmus created the namespace for that peer."""
    labels = namespace["metadata"].get("labels", {})
    return bool(labels.get(names.PEER_LABEL) == cloud_id and labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY)


def is_terminating(namespace: Mapping[str, Any]) -> bool:
    """Whether the namespace is being deleted."""
    return "deletionTimestamp" in namespace["metadata"]


def account_manifests(cloud_id: str) -> tuple[Manifest, ...]:
    """The objects in the namespace besides our links, in the order of creation.

    The controller's own Role comes first: by it the controller sees the token that an earlier release created.
    """
    return (
        _role(
            cloud_id,
            names.CONTROLLER,
            [
                {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [names.PEER_TOKEN], "verbs": ["get"]},
            ],
        ),
        _role_binding(cloud_id, names.CONTROLLER, account=names.CONTROLLER, account_namespace=names.SYSTEM_NAMESPACE),
        _manifest("v1", "ServiceAccount", cloud_id, names.PEER_ACCOUNT, {"automountServiceAccountToken": False}),
        _role(
            cloud_id,
            names.PEER_ACCOUNT,
            [
                {
                    "apiGroups": [GROUP],
                    "resources": ["expansionlinks", "memberlinks", "peerlinks", "portslices"],
                    "verbs": ["get", "list", "watch"],
                }
            ],
        ),
        _role_binding(
            cloud_id,
            names.PEER_ACCOUNT,
            account=names.PEER_ACCOUNT,
            account_namespace=names.peer_namespace(cloud_id),
        ),
    )


def is_superset(actual: Any, wanted: Any) -> bool:
    """Whether `actual` has everything in `wanted`, with the same values; servers add defaults of their own."""
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(k in actual and is_superset(actual[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return isinstance(actual, list) and len(actual) == len(wanted) and all(map(is_superset, actual, wanted))
    return bool(actual == wanted)


def _role(cloud_id: str, name: str, rules: Sequence[Manifest]) -> Manifest:
    return _manifest(f"{_RBAC}/v1", "Role", cloud_id, name, {"rules": list(rules)})


def _role_binding(cloud_id: str, name: str, *, account: str, account_namespace: str) -> Manifest:
    body = {
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": account_namespace}],
    }
    return _manifest(f"{_RBAC}/v1", "RoleBinding", cloud_id, name, body)


def _manifest(api_version: str, kind: str, cloud_id: str, name: str, body: Manifest) -> Manifest:
    metadata = {"name": name, "namespace": names.peer_namespace(cloud_id), "labels": _labels(cloud_id)}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def _labels(cloud_id: str) -> dict[str, str]:
    return {names.PEER_LABEL: cloud_id, names.MANAGED_BY_LABEL: names.MANAGED_BY}
