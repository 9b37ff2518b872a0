"""Kubeconfigs for service accounts with what a pod has: a token and the server's certificate authority."""

import json

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.kubernetes.cluster import ControlPlane


def service_account_kubeconfig(cloud: Cloud | ControlPlane, namespace: str, name: str, node: str | None = None) -> str:
    """A kubeconfig (as JSON) with a new token of that account, bound to a node as a pod's token is."""
    bound = ["--bound-object-kind=Node", f"--bound-object-name={node}"] if node else []
    token = cloud.kubectl("create", "token", "-n", namespace, name, "--duration=24h", *bound).strip()
    admin = json.loads(cloud.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    cluster = admin["clusters"][0]["cluster"]
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "home", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "home", "context": {"cluster": "home", "user": name, "namespace": namespace}}],
            "current-context": "home",
        }
    )
