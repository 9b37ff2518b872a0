"""What a gateway node is to forward, and with which peers and keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer, PeerGateway
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.tracked import Tracked


@dataclass(frozen=True)
class Key:
    """A pre-shared key as its Secret holds it."""

    content: bytes = field(repr=False)
    version: str
    """Changes whenever the Secret does."""


@dataclass(frozen=True)
class CertificateEntries:
    """What Secrets hold for certificates, in PEM as they hold it; an entry that is missing is empty."""

    certificate: bytes = b""
    private_key: bytes = field(default=b"", repr=False)
    authorities: bytes = b""
    revocation_lists: bytes = b""
    version: str = ""
    """Changes whenever one of the Secrets does."""


@dataclass(frozen=True)
class NodeInputs:
    """Everything that a node's plan is made from, complete as of one moment."""

    node: str
    cloud_id: str
    gateway_cidrs: tuple[str, ...]
    attachments: Mapping[str, Attachment] = field(default_factory=Tracked)
    """By name, which is the network's link name."""
    peers: tuple[CloudPeer, ...] = ()
    policies: tuple[IPsecPolicy, ...] = ()
    peerlinks: tuple[PeerLink, ...] = ()
    keys: Mapping[str, Key] = field(default_factory=dict)
    """Pre-shared keys by the name of their Secret; missing if the Secret does not exist or holds none."""
    certificates: Mapping[str, CertificateEntries] = field(default_factory=dict)
    """By the name of the Secret that a CloudPeer names; missing if no such Secret exists."""
    kept_networks: frozenset[str] = frozenset()
    """Link names of networks of which the Attachment is not understood: what the node has for them stays."""
    kept_peers: Mapping[str, tuple[PeerGateway, ...]] = field(default_factory=dict)
    """By cloud ID, peers of which an object is not understood, with the gateways that are known of them: likewise."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is wanted of the node, and nothing is to stay."""
        return not (self.peers or self.attachments or self.kept_networks or self.kept_peers)
