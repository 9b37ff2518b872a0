"""The kubeconfig that an administrator hands to a peer's: it can read our links for that peer and nothing else."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from isthmus.model import names
from isthmus.model.errors import Invalid, NotFound
from isthmus.model.kubeconfig import peer_kubeconfig

_ROOT_CERTIFICATES: Final = "kube-root-ca.crt"  # in every namespace; Kubernetes' kube-controller-manager writes it


class Accounts(Protocol):
    """The calls to our API server that are needed, with an administrator's rights."""

    def get_manifest(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Any: ...
    def annotate_account(self, namespace: str, name: str, annotations: dict[str, str | None]) -> None: ...
    def request_token(self, namespace: str, account: str, seconds: int) -> tuple[str, datetime]: ...


@dataclass(frozen=True)
class Handover:
    """A kubeconfig as YAML, and when its token ends."""

    kubeconfig: str
    ends: datetime


def certificates(path: str) -> str:
    """The content of a file with certificates in PEM. Raises Invalid."""
    try:
        content = Path(path).read_text("ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content)
    except (ssl.SSLError, ValueError):
        raise Invalid(f"--ca-file {path}: not a file with certificates in PEM") from None
    except OSError as error:
        raise Invalid(f"--ca-file {path}: {error.strerror}") from None
    return content


def hand_over(
    accounts: Accounts, peer_cloud_id: str, server: str | None, days: int, authority: str | None = None
) -> Handover:
    """Make a kubeconfig for that peer, for the server and the authority of the last one if there is no other server.

    `authority` has issued the server's certificate, in PEM; the cluster's own if None.
    The account records until when the peer has a credential, for which server, and that server's authority if it is not
    the cluster's own: a gate has another one. Raises ExternalError.
    """
    namespace = names.peer_namespace(peer_cloud_id)
    account = accounts.get_manifest("v1", "ServiceAccount", names.PEER_ACCOUNT, namespace)
    roots = accounts.get_manifest("v1", "ConfigMap", _ROOT_CERTIFICATES, namespace)
    if account is None or roots is None:
        raise NotFound(
            f"namespace {namespace} has no account for the peer yet: apply a CloudPeer for cloud {peer_cloud_id} "
            "first, and let the controller run"
        )
    recorded = account["metadata"].get("annotations") or {}
    address = server or recorded.get(names.SERVER_ANNOTATION)
    if not address:
        raise Invalid(f"nothing to renew: no kubeconfig was made for cloud {peer_cloud_id} yet; give --server")
    token, ends = accounts.request_token(namespace, names.PEER_ACCOUNT, days * 86_400)
    named = authority if server or authority else recorded.get(names.AUTHORITY_ANNOTATION)
    noted: dict[str, str | None] = {
        names.HANDED_OVER_ANNOTATION: f"{ends:%Y-%m-%dT%H:%M:%SZ}",
        names.SERVER_ANNOTATION: address,
        names.AUTHORITY_ANNOTATION: named,
    }
    accounts.annotate_account(namespace, names.PEER_ACCOUNT, noted)
    kubeconfig = peer_kubeconfig(namespace, address, named or roots["data"]["ca.crt"], token)
    return Handover(str(yaml.safe_dump(kubeconfig, sort_keys=False)), ends)
