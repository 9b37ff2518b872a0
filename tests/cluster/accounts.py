"""Kubeconfigs of service accounts and of people, as the shipped roles make them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.kube import ControlPlane

PEOPLE = "people"


def account_kubeconfig(
    plane: ControlPlane, directory: Path, namespace: str, name: str, node: str | None = None
) -> Path:
    """A kubeconfig with a token of that account; a pod's token is bound to its node."""
    bound = ["--bound-object-kind=Node", f"--bound-object-name={node}"] if node else []
    token = plane.kubectl("create", "token", "-n", namespace, name, *bound).strip()
    return _kubeconfig(plane, directory / f"{namespace}.{name}.{node}.kubeconfig", {"token": token})


def make_person(plane: ControlPlane, name: str) -> str:
    """Somebody with no rights yet; the name under which the API server knows them."""
    for manifest in (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PEOPLE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": PEOPLE}},
    ):
        plane.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    return f"system:serviceaccount:{PEOPLE}:{name}"


def _kubeconfig(plane: ControlPlane, path: Path, user: dict[str, str]) -> Path:
    document = json.loads(plane.kubeconfig.read_text())
    document["users"][0]["user"] = user
    path.write_text(json.dumps(document))
    return path
