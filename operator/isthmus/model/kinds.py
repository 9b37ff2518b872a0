"""Every kind of ours, in the order in which people meet them."""

from __future__ import annotations

from .attachment import Attachment
from .cloudpeer import CloudPeer
from .expansionlink import ExpansionLink
from .gatewaynode import GatewayNode
from .ipsecpolicy import IPsecPolicy
from .networkexpansion import NetworkExpansion
from .objects import CustomObject
from .peerlink import PeerLink

KINDS: tuple[type[CustomObject], ...] = (
    CloudPeer,
    IPsecPolicy,
    NetworkExpansion,
    PeerLink,
    ExpansionLink,
    Attachment,
    GatewayNode,
)
