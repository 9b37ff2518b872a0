"""All custom resource kinds."""

from __future__ import annotations

from .objects import CustomObject
from .v1alpha1.attachment import Attachment
from .v1alpha1.cloudpeer import CloudPeer
from .v1alpha1.expansionapproval import ExpansionApproval
from .v1alpha1.expansionlink import ExpansionLink
from .v1alpha1.gatewaynode import GatewayNode
from .v1alpha1.ipsecpolicy import IPsecPolicy
from .v1alpha1.memberlink import MemberLink
from .v1alpha1.networkexpansion import NetworkExpansion
from .v1alpha1.peerlink import PeerLink
from .v1alpha1.portslice import PortSlice

KINDS: tuple[type[CustomObject], ...] = (
    CloudPeer,
    IPsecPolicy,
    NetworkExpansion,
    PeerLink,
    ExpansionLink,
    PortSlice,
    MemberLink,
    ExpansionApproval,
    Attachment,
    GatewayNode,
)
