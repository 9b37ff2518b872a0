"""Kubeconfigs as usual tools write them: either they work, or what makes them unsafe is named."""

from __future__ import annotations

import base64

import pytest
import yaml

from isthmus.model.peerkubeconfig import InvalidKubeconfig, PeerCredential

PEM = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n").decode()
TOKEN = "kubeconfig-u-x7k2p:canary-9c41"

MINIKUBE_EMBEDDED = f"""
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {PEM}
    extensions:
    - extension: {{last-update: "Mon, 02 Nov 2026 09:12:44 CET", provider: minikube.sigs.k8s.io, version: v1.37.0}}
      name: cluster_info
    server: https://192.168.49.2:8443
  name: minikube
contexts:
- context:
    cluster: minikube
    extensions:
    - extension: {{last-update: "Mon, 02 Nov 2026 09:12:44 CET", provider: minikube.sigs.k8s.io, version: v1.37.0}}
      name: context_info
    namespace: default
    user: minikube
  name: minikube
current-context: minikube
kind: Config
preferences: {{}}
users:
- name: minikube
  user:
    client-certificate-data: {PEM}
    client-key-data: {PEM}
"""
MINIKUBE = MINIKUBE_EMBEDDED.replace(f"certificate-authority-data: {PEM}", "certificate-authority: /home/x/ca.crt")
RANCHER = f"""
apiVersion: v1
kind: Config
clusters:
- name: "production"
  cluster:
    server: "https://rancher.example.org/k8s/clusters/c-m-abcdefgh"
- name: "production-node-1"
  cluster:
    server: "https://192.0.2.21:6443"
    certificate-authority-data: "{PEM[:20]}\\
      {PEM[20:]}"
users:
- name: "production"
  user:
    token: "{TOKEN}"
contexts:
- name: "production"
  context:
    user: "production"
    cluster: "production"
- name: "production-node-1"
  context:
    user: "production"
    cluster: "production-node-1"
current-context: "production"
"""
TELEPORT_IDENTITY = f"""
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority-data: {PEM}
    server: https://teleport.example.org:443
    tls-server-name: kube-teleport-proxy-alpn.teleport.example.org
  name: teleport.example.org
contexts:
- context:
    cluster: teleport.example.org
    extensions:
    - extension: prod
      name: teleport.kube.name
    user: teleport.example.org-prod
  name: teleport.example.org-prod
current-context: teleport.example.org-prod
preferences: {{colors: true}}
users:
- name: teleport.example.org-prod
  user:
    client-certificate-data: {PEM}
    client-key-data: {PEM}
"""
AKS_LOCAL_ACCOUNT = f"""
apiVersion: v1
kind: Config
clusters:
- cluster: {{certificate-authority-data: {PEM}, server: "https://x-dns-1a2b.hcp.westeurope.azmk8s.io:443"}}
  name: x
contexts: [{{context: {{cluster: x, user: clusterUser_x}}, name: x}}]
current-context: x
users: [{{name: clusterUser_x, user: {{client-certificate-data: {PEM}, client-key-data: {PEM}, token: "{TOKEN}"}}}}]
"""
BEHIND_A_SLOW_LINE = f"""
apiVersion: v1
kind: Config
clusters:
- name: c
  cluster: {{server: "https://192.0.2.30:6443", disable-compression: true, certificate-authority-data: {PEM}}}
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
current-context: c
users:
- name: u
  user:
    token: |
      {TOKEN}
"""
EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": "aws", "args": ["eks", "get-token"], "env": None}


@pytest.mark.parametrize(
    ("content", "host", "path", "has_authority", "server_name", "has_token"),
    [
        (MINIKUBE_EMBEDDED, "192.168.49.2", "", True, "", False),
        (RANCHER, "rancher.example.org", "/k8s/clusters/c-m-abcdefgh", False, "", True),
        (RANCHER.replace('context: "production"', 'context: "production-node-1"'), "192.0.2.21", "", True, "", True),
        (
            TELEPORT_IDENTITY,
            "teleport.example.org",
            "",
            True,
            "kube-teleport-proxy-alpn.teleport.example.org",
            False,
        ),
        (AKS_LOCAL_ACCOUNT, "x-dns-1a2b.hcp.westeurope.azmk8s.io", "", True, "", True),
        (BEHIND_A_SLOW_LINE, "192.0.2.30", "", True, "", True),
    ],
    ids=["minikube", "rancher", "rancher-node", "teleport", "aks", "compression"],
)
def test_usual_kubeconfig_works(
    content: str, host: str, path: str, has_authority: bool, server_name: str, has_token: bool
) -> None:
    credential = PeerCredential.parse(content.encode())
    assert (credential.host, credential.path, credential.server_name) == (host, path, server_name)
    assert (credential.authority is not None, credential.token) == (has_authority, TOKEN if has_token else "")
    assert bool(credential.certificate) != has_token


@pytest.mark.parametrize(
    ("user", "named"),
    [
        ({"exec": EXEC}, "exec"),  # EKS, GKE, AKS with Entra ID, Teleport, OIDC
        ({"auth-provider": {"name": "gcp", "config": {"access-token": TOKEN}}}, "auth-provider"),
        (
            {"client-certificate": "/home/x/client.crt", "client-key": "/home/x/client.key"},
            "client-certificate, client-key",
        ),
        ({"tokenFile": "/run/token"}, "tokenFile"),
    ],
)
def test_unsafe_field_of_a_usual_kubeconfig_is_named(user: dict[str, object], named: str) -> None:
    document = yaml.safe_load(AKS_LOCAL_ACCOUNT)
    document["users"][0]["user"] = user
    with pytest.raises(InvalidKubeconfig, match=rf"^field not allowed: {named}$"):
        PeerCredential.parse(yaml.safe_dump(document).encode())


def test_path_of_another_host_is_refused() -> None:
    with pytest.raises(InvalidKubeconfig, match=r"^field not allowed: certificate-authority$"):
        PeerCredential.parse(MINIKUBE.encode())
