"""What the verbs that change something read and do in this cloud's cluster, by kubectl."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from isthmus.model.names import (
    AUTHORITY_ANNOTATION,
    CONTROLLER,
    FORGET_ANNOTATION,
    GROUP,
    HANDED_OVER_ANNOTATION,
    IPSEC_NAMESPACE,
    PEER_ACCOUNT,
    PEER_LABEL,
    SERVER_ANNOTATION,
    SYSTEM_NAMESPACE,
    peer_namespace,
)

from .core.bundles.known import Known, KnownPeer, Own, peer_named
from .core.bundles.manifests import secret_name
from .core.documents import text
from .core.leases import is_current, leases
from .core.refusals import Refused
from .kubectl import Kubectl, NotRead

_ROOTS: Final = "configmap/kube-root-ca.crt"
_POLL_SECONDS: Final = 0.3
_ACCOUNT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Credential:
    """A token of a peer's account."""

    token: str = field(repr=False)
    ends: str
    """RFC 3339."""


def known(kubectl: Kubectl) -> Known:
    """This cloud, its peers and its IPsecPolicies. Raises NotRead, or Refused if no controller is active."""
    objects, of_processes = kubectl.get(("cloudpeers", "ipsecpolicies")), kubectl.get_leases(SYSTEM_NAMESPACE)
    reading, renewals = objects.result(), of_processes.result()
    if gaps := (*reading.unread, *renewals.unread):
        raise NotRead.of(gaps)
    controller = leases(renewals.items, datetime.now(UTC)).get(CONTROLLER)
    if not is_current(controller):
        raise Refused("no controller is active in this cluster: kubectl isthmus status")
    if not controller.cloud_id:
        raise Refused("the controller does not publish this cloud's ID, so it is of an older release: upgrade it")
    return Known.parse(Own(controller.cloud_id, controller.gateway_cidrs), reading.items)


def peer(kubectl: Kubectl, name: str) -> KnownPeer:
    """The CloudPeer of that name."""
    return peer_named(all_peers(kubectl), name)


def all_peers(kubectl: Kubectl) -> tuple[KnownPeer, ...]:
    """All CloudPeers."""
    return tuple(map(KnownPeer.parse, kubectl.get(("cloudpeers",)).complete()))


def root_certificates(kubectl: Kubectl) -> str:
    """The authority of this cluster's API server, in PEM."""
    found = kubectl.find(_ROOTS, "-n", SYSTEM_NAMESPACE)
    data = found[0].get("data") if found else None
    certificates = data.get("ca.crt") if isinstance(data, dict) else None
    if not isinstance(certificates, str) or not certificates:
        raise Refused(
            f"namespace {SYSTEM_NAMESPACE} has no {_ROOTS}: name the authority of your API server by --ca-file"
        )
    return certificates


def require_rights(kubectl: Kubectl, cloud_id: str) -> None:
    """Raise NotRead if the user may not create a credential for the peer: before anything is changed."""
    namespace = peer_namespace(cloud_id)
    for verb, subresource in (("create", "token"), ("patch", "")):
        if not kubectl.may(verb, "serviceaccounts", subresource, namespace):
            what = f"serviceaccounts/{subresource}" if subresource else "serviceaccounts"
            raise NotRead(f'no right to {verb} {what} in the namespace "{namespace}"')


def wait_for_account(kubectl: Kubectl, cloud_id: str) -> None:
    """Wait until the controller has created the peer's account. Raises Refused."""
    wanted = (f"serviceaccount/{PEER_ACCOUNT}", f"rolebinding/{PEER_ACCOUNT}", _ROOTS)
    ends_at = time.monotonic() + _ACCOUNT_SECONDS
    while len(kubectl.find(*wanted, "-n", peer_namespace(cloud_id))) < len(wanted):
        if time.monotonic() > ends_at:
            raise Refused(f"the controller has not created an account for {cloud_id}: kubectl isthmus status")
        time.sleep(_POLL_SECONDS)


def create_credential(kubectl: Kubectl, cloud_id: str, days: int) -> Credential:
    """A new token of the peer's account."""
    namespace = peer_namespace(cloud_id)
    printed = kubectl.run(
        "create", "token", PEER_ACCOUNT, "-n", namespace, f"--duration={days * 86_400}s", "-o", "json"
    )
    status: dict[str, Any] = json.loads(printed)["status"]
    return Credential(status["token"], status["expirationTimestamp"])


def record_credential(kubectl: Kubectl, cloud_id: str, credential: Credential, server: str, authority: str) -> None:
    """Write to a new account until when the peer has a credential, and for which server.

    With that server's authority, in PEM, unless it is the cluster's own, which may be replaced.
    """
    noted = [f"{HANDED_OVER_ANNOTATION}={credential.ends}", f"{SERVER_ANNOTATION}={server}"]
    if authority:
        noted.append(f"{AUTHORITY_ANNOTATION}={authority}")
    kubectl.run("annotate", f"serviceaccount/{PEER_ACCOUNT}", "-n", peer_namespace(cloud_id), "--overwrite", *noted)


def require_no_secrets(kubectl: Kubectl, cloud_id: str) -> None:
    """Raise Refused if a Secret of the peer exists, so that none is replaced or removed that something else needs."""
    for namespace in (SYSTEM_NAMESPACE, IPSEC_NAMESPACE):
        if kubectl.run("get", "secret", secret_name(cloud_id), "-n", namespace, "--ignore-not-found", "-o", "name"):
            raise Refused(
                f"Secret {namespace}/{secret_name(cloud_id)} exists already: delete it, unless an agreement needs it"
            )


def undo(kubectl: Kubectl, created: Sequence[Mapping[str, Any]]) -> None:
    """Remove what was created a moment ago, as far as that is possible."""
    for manifest in reversed(created):
        metadata = manifest["metadata"]
        where = ("-n", metadata["namespace"]) if "namespace" in metadata else ()
        with suppress(NotRead, Refused):
            kubectl.run("delete", manifest["kind"], metadata["name"], *where, "--ignore-not-found", "--wait=false")


def forget(kubectl: Kubectl, name: str) -> None:
    """Annotate a CloudPeer, so that its deletion does not wait for the peer."""
    kubectl.run("annotate", f"cloudpeers.{GROUP}", name, "--overwrite", f"{FORGET_ANNOTATION}=true")


def state_of_link(kubectl: Kubectl, cloud_id: str, name: str) -> str:
    """Whether our ExpansionLink of that network for a peer is Active or Withdrawn; empty if there is none."""
    found = kubectl.find(f"expansionlinks.{GROUP}", name, "-n", peer_namespace(cloud_id))
    return text(found[0], "spec", "state") if found else ""


def forget_link(kubectl: Kubectl, cloud_id: str, name: str) -> None:
    """Annotate an ExpansionLink, so that the peer's release of the network is not waited for."""
    namespace = peer_namespace(cloud_id)
    kubectl.run(
        "annotate", f"expansionlinks.{GROUP}", name, "-n", namespace, "--overwrite", f"{FORGET_ANNOTATION}=true"
    )


def wait_until_gone(kubectl: Kubectl, name: str, seconds: float) -> KnownPeer | None:
    """Wait for the end of a CloudPeer that was deleted; it, if it is still there."""
    ends_at = time.monotonic() + seconds
    while found := kubectl.find(f"cloudpeers.{GROUP}", name):
        if time.monotonic() > ends_at:
            return KnownPeer.parse(found[0])
        time.sleep(_POLL_SECONDS)
    return None


def delete_secrets(kubectl: Kubectl, gone: KnownPeer | None, name: str, others: Sequence[KnownPeer]) -> list[str]:
    """Delete the Secrets of a peer that is gone, unless another CloudPeer refers to them; `namespace/name` of each."""
    deleted = []
    for namespace, attribute in ((SYSTEM_NAMESPACE, "kubeconfig_secret"), (IPSEC_NAMESPACE, "key_secret")):
        labelled = kubectl.run("get", "secrets", "-n", namespace, "-l", f"{PEER_LABEL}={name}", "-o", "name")
        secrets = {line.removeprefix("secret/") for line in labelled.split()}
        secrets |= {getattr(gone, attribute)} if gone else set()
        for secret in sorted(secrets - {getattr(other, attribute) for other in others}):
            printed = kubectl.run("delete", "secret", secret, "-n", namespace, "--ignore-not-found", "-o", "name")
            deleted += [f"{namespace}/{secret}"] if printed else []
    return deleted


def is_known_by_secrets(kubectl: Kubectl, name: str) -> bool:
    """Whether there are Secrets of a peer of which there is no CloudPeer any more."""
    namespaces = (SYSTEM_NAMESPACE, IPSEC_NAMESPACE)
    return any(kubectl.find("secrets", "-n", namespace, "-l", f"{PEER_LABEL}={name}") for namespace in namespaces)


def network_text(found: KnownPeer) -> str:
    """How many networks are stretched, for a question."""
    return f"{found.networks_out} networks offered to it, {found.networks_in} accepted from it"
