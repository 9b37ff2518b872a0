"""Objects of each kind that are valid everywhere."""

from __future__ import annotations

from typing import Any

from isthmus.model import names
from isthmus.model.api.objects import Condition, LocalReference, ObjectMeta
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentSpec, AttachmentStatus, NodeObservation
from isthmus.model.api.v1alpha1.cloudpeer import ApiAccess, CloudPeer, CloudPeerSpec, PeerIPsec, TunnelIDRange
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval, ExpansionApprovalSpec
from isthmus.model.api.v1alpha1.expansionlink import (
    Answer,
    ExpansionLink,
    ExpansionLinkSpec,
    NetworkIdentity,
    PublishedPort,
)
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.memberlink import MemberLink, MemberLinkSpec
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion, NetworkExpansionSpec, PeerReference
from isthmus.model.api.v1alpha1.peerlink import OfferedIPsec, OfferedTunnel, PeerLink, PeerLinkSpec
from isthmus.model.api.v1alpha1.portslice import PortSlice, PortSliceSpec
from isthmus.model.names import SYSTEM_NAMESPACE, peer_namespace

NETWORK_ID = "6c1b3b1e-0f51-4a3c-9c0a-5d6f0a6f6a11"


def cloud_peer(name: str, **spec: object) -> CloudPeer:
    """A CloudPeer whose cloud ID is its name."""
    reference = LocalReference(name=name)
    base = CloudPeerSpec(
        cloud_id=name,
        api=ApiAccess(kubeconfig_secret_ref=reference),
        gateway_cidrs=("198.51.100.0/24",),
        ipsec=PeerIPsec(policy_ref=LocalReference(name="strong"), auth_secret_ref=reference),
    )
    return CloudPeer(metadata=ObjectMeta(name=name), spec=base.model_copy(update=spec))


def gateway_node(name: str) -> GatewayNode:
    """A GatewayNode as the controller creates it."""
    return GatewayNode(metadata=ObjectMeta(name=name))


def attachment(cloud_id: str, nodes: tuple[NodeObservation, ...] = (), *conditions: Condition) -> Attachment:
    """An Attachment of a network whose origin is the given cloud."""
    origin = NetworkIdentity(cloud_id=cloud_id, network_id=NETWORK_ID)
    return Attachment(
        metadata=ObjectMeta(name=origin.link_name, namespace=SYSTEM_NAMESPACE),
        spec=AttachmentSpec(origin=origin, role="Receiver"),
        status=AttachmentStatus(conditions=conditions, nodes=nodes),
    )


def peer_link(cloud_id: str, peer_cloud_id: str) -> PeerLink:
    """The PeerLink that one cloud publishes for the other."""
    spec = PeerLinkSpec(
        cloud_id=cloud_id,
        peer_cloud_id=peer_cloud_id,
        tunnel=OfferedTunnel(port=14789, id_range=TunnelIDRange()),
        ipsec=OfferedIPsec(ike_proposals=("aes256gcm16-prfsha384-ecp384",), esp_proposals=("aes256gcm16-ecp384",)),
    )
    return PeerLink(metadata=ObjectMeta(name=cloud_id, namespace=peer_namespace(peer_cloud_id)), spec=spec)


def answer_link(cloud_id: str, peer_cloud_id: str, mtu: int) -> ExpansionLink:
    """The receiver's ExpansionLink for a network of the peer."""
    origin = NetworkIdentity(cloud_id=peer_cloud_id, network_id=NETWORK_ID)
    spec = ExpansionLinkSpec(
        cloud_id=cloud_id,
        peer_cloud_id=peer_cloud_id,
        origin=origin,
        answer=Answer(uid="u", generation=1, verdict="Accepted"),
        mtu=mtu,
    )
    return ExpansionLink(metadata=ObjectMeta(name=origin.link_name, namespace=peer_namespace(peer_cloud_id)), spec=spec)


def port_slice(cloud_id: str, peer_cloud_id: str, *ports: PublishedPort) -> PortSlice:
    """The only PortSlice of a network of the peer."""
    origin = NetworkIdentity(cloud_id=peer_cloud_id, network_id=NETWORK_ID)
    spec = PortSliceSpec(
        cloud_id=cloud_id, peer_cloud_id=peer_cloud_id, origin=origin, bucket=0, buckets=1, ports=ports
    )
    name = names.port_slice(origin.link_name, 0)
    return PortSlice(metadata=ObjectMeta(name=name, namespace=peer_namespace(peer_cloud_id)), spec=spec)


def member_link(cloud_id: str, peer_cloud_id: str, tunnel_id: int = 5) -> MemberLink:
    """A direct path in a network of a third cloud."""
    origin = NetworkIdentity(cloud_id="third", network_id=NETWORK_ID)
    spec = MemberLinkSpec(
        cloud_id=cloud_id, peer_cloud_id=peer_cloud_id, origin=origin, tunnel_id=tunnel_id, gateway="gw-1"
    )
    return MemberLink(metadata=ObjectMeta(name=origin.link_name, namespace=peer_namespace(peer_cloud_id)), spec=spec)


def condition(status: str = "True", reason: str = "Ready") -> Condition:
    """A condition that an API server accepts."""
    return Condition.model_validate(
        {"type": "Ready", "status": status, "reason": reason, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    )


def samples() -> list[dict[str, Any]]:
    """A manifest of each kind."""
    objects = (
        cloud_peer("sample"),
        peer_link("them", "us"),
        answer_link("them", "us", 1416),
        port_slice("them", "us"),
        member_link("them", "us"),
        attachment("sample"),
        gateway_node("sample"),
        IPsecPolicy(metadata=ObjectMeta(name="sample")),
        ExpansionApproval(
            metadata=ObjectMeta(name="sample", namespace="default"), spec=ExpansionApprovalSpec(decision="Accept")
        ),
        NetworkExpansion(
            metadata=ObjectMeta(name="sample", namespace="default"),
            spec=NetworkExpansionSpec(network_id=NETWORK_ID, peers=(PeerReference(name="sample"),)),
        ),
    )
    return [obj.to_manifest() for obj in objects]
