"""The objects that invite, join and accept write: those that an administrator would write by hand."""

from __future__ import annotations

import base64
import json
from typing import Any

from isthmus.model import names

from .known import Own
from .terms import Terms, Tunnel

Manifest = dict[str, Any]


def secret_name(cloud_id: str) -> str:
    """Name of both Secrets of a peer."""
    return f"peer-{cloud_id}"


def cloud_peer(cloud_id: str, policy: str, tunnel: Tunnel, invitation_id: str, terms: Terms | None) -> Manifest:
    """A CloudPeer; invited, as long as the peer's terms are unknown."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "CloudPeer",
        "metadata": {"name": cloud_id, "annotations": {names.INVITATION_ANNOTATION: invitation_id}},
        "spec": {
            "cloudID": cloud_id,
            "api": {"kubeconfigSecretRef": {"name": secret_name(cloud_id)}},
            "gatewayCIDRs": list(terms.gateway_cidrs) if terms else [],
            "tunnel": tunnel.to_document(),
            "ipsec": {"policyRef": {"name": policy}, "authSecretRef": {"name": secret_name(cloud_id)}},
            "agreement": {"state": "Active" if terms else "Invited"},
        },
    }


def acceptance(invitation_id: str, terms: Terms) -> str:
    """The JSON patch (RFC 6902) by which an invited peer becomes active: once, and by the answer to that invitation."""
    annotation = names.INVITATION_ANNOTATION.replace("/", "~1")
    return json.dumps(
        [
            {"op": "test", "path": f"/metadata/annotations/{annotation}", "value": invitation_id},
            {"op": "test", "path": "/spec/agreement/state", "value": "Invited"},
            {"op": "add", "path": "/spec/gatewayCIDRs", "value": list(terms.gateway_cidrs)},
            {"op": "replace", "path": "/spec/agreement/state", "value": "Active"},
        ]
    )


def transition(before: str, after: str) -> str:
    """The JSON patch that changes the state of an agreement, if it is what it was when it was read."""
    path = "/spec/agreement/state"
    return json.dumps([{"op": "test", "path": path, "value": before}, {"op": "replace", "path": path, "value": after}])


def draining(before: str, grace_seconds: int | None) -> str:
    """The JSON patch that drains an agreement, if its state is what it was when it was read."""
    patch = json.loads(transition(before, "Drained"))
    if grace_seconds is not None:
        patch.append({"op": "add", "path": "/spec/agreement/drain", "value": {"graceSeconds": grace_seconds}})
    return json.dumps(patch)


def ipsec_policy(name: str) -> Manifest:
    """An IPsecPolicy with the defaults of its schema."""
    return {"apiVersion": names.API_VERSION, "kind": "IPsecPolicy", "metadata": {"name": name}, "spec": {}}


def secrets(own: Own, cloud_id: str, terms: Terms, pre_shared_key: str) -> list[Manifest]:
    """The credential for the peer's API, and the key for IKE."""
    kubeconfig = terms.kubeconfig(names.peer_namespace(own.cloud_id))
    return [
        _secret(names.SYSTEM_NAMESPACE, cloud_id, names.KUBECONFIG_KEY, kubeconfig),
        _secret(names.IPSEC_NAMESPACE, cloud_id, names.PSK_KEY, pre_shared_key),
    ]


def _secret(namespace: str, cloud_id: str, key: str, value: str) -> Manifest:
    metadata = {"name": secret_name(cloud_id), "namespace": namespace, "labels": {names.PEER_LABEL: cloud_id}}
    data = {key: base64.b64encode(value.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
