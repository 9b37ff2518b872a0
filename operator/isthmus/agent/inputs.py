"""The agent's inputs from the Kubernetes API: read completely or not at all, never planned from a part of them."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from isthmus.core.node.plan import Key, NodeInputs
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.settings import AgentSettings
from isthmus.ports import Cluster

WATCHED = (Attachment, CloudPeer, IPsecPolicy, PeerLink)
"""Kinds whose events wake the agent."""


@dataclass(frozen=True)
class Snapshot:
    """All inputs as read in one iteration, and this node's own GatewayNode (None if it does not exist yet)."""

    inputs: NodeInputs
    gateway_node: GatewayNode | None


def read_snapshot(cluster: Cluster, settings: AgentSettings) -> Snapshot:
    """Read complete lists of every input kind. Raises ExternalError if any of them cannot be read."""
    peers = tuple(cluster.list_objects(CloudPeer))
    secrets = sorted({peer.spec.ipsec.auth_secret_ref.name for peer in peers})
    found = {name: _read_key(cluster, name) for name in secrets}
    inputs = NodeInputs(
        node=settings.node_name,
        cloud_id=settings.cloud_id,
        gateway_cidrs=tuple(settings.gateway_cidrs),
        attachments=tuple(cluster.list_objects(Attachment, names.SYSTEM_NAMESPACE)),
        peers=peers,
        policies=tuple(cluster.list_objects(IPsecPolicy)),
        peerlinks=tuple(cluster.list_objects(PeerLink)),
        keys={name: key for name, key in found.items() if key is not None},
    )
    return Snapshot(inputs, cluster.get(GatewayNode, settings.node_name))


def _read_key(cluster: Cluster, name: str) -> Key | None:
    """The pre-shared key in that Secret; None if the Secret or its `psk` entry is missing or not base64."""
    secret = cluster.get_manifest("v1", "Secret", name, names.IPSEC_NAMESPACE)
    text = (secret or {}).get("data", {}).get(names.PSK_KEY)
    if secret is None or text is None:
        return None
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return Key(content, secret["metadata"]["resourceVersion"])
