"""What there is to say about a reason: what to do about it decides its category."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """Reasons by what to do about them."""

    SETTLED = "Nothing to do"
    PROGRESSING = "Work in progress"
    TRANSIENT = "Transient"
    ADMINISTRATOR = "Needs an administrator"
    TENANT = "Needs the tenant"
    TERMINAL = "Terminal"


class Place(StrEnum):
    """Where a reason can stand: the types of conditions, and the fields that have a reason of their own."""

    READY = "Ready"
    REACHABLE = "Reachable"
    AGREED = "Agreed"
    TUNNEL_UP = "TunnelUp"
    UNDERSTOOD = "Understood"
    CREDENTIAL_EXPIRING = "CredentialExpiring"
    CREDENTIALS_HANDED_OVER = "CredentialsHandedOver"
    OPENSTACK_AVAILABLE = "OpenStackAvailable"
    SUBNETS_STRETCHED = "SubnetsStretched"
    MEMBERS_CONNECTED = "MembersConnected"
    ADDRESS_CONFLICT = "AddressConflict"
    ADDRESSES_LOW = "AddressesLow"
    DISTRIBUTED_ROUTER = "DistributedRouter"
    QOS_POLICY = "QoSPolicy"
    GATEWAY_IGNORED = "GatewayIgnored"
    SHARED_ADDRESSES_IGNORED = "SharedAddressesIgnored"
    PEER_DRAINING = "PeerDraining"
    DRAINED = "Drained"
    REMOTE_PORTS_INCOMPLETE = "RemotePortsIncomplete"
    GROUPS_IGNORED = "GroupsIgnored"
    GROUPS_INCOMPLETE = "GroupsIncomplete"
    PEER_SEEN = "PeerSeen"
    REPLICA_IN_USE = "ReplicaInUse"
    PEERS_CONFIGURED = "PeersConfigured"
    FENCED = "Fenced"
    DEGRADED = "Degraded"
    CERTIFICATE_EXPIRING = "CertificateExpiring"
    HYBRID_KEY_EXCHANGE = "HybridKeyExchange"
    ANSWER = "spec.answer of an ExpansionLink"
    CONNECTION = "status.connections of a GatewayNode"
    LINK = "status.nodes[].links of an Attachment"


@dataclass(frozen=True)
class Explanation:
    """One reason explained to whoever meets it. `remedy` is empty where nothing is to be done."""

    category: Category
    meaning: str
    remedy: str
    places: frozenset[Place]


def settled(meaning: str, *places: Place) -> Explanation:
    """Nothing is wrong."""
    return Explanation(Category.SETTLED, meaning, "", frozenset(places))


def progressing(meaning: str, *places: Place, remedy: str = "") -> Explanation:
    """Isthmus or the peer is at work; `remedy` is for work that does not end."""
    return Explanation(Category.PROGRESSING, meaning, remedy, frozenset(places))


def transient(meaning: str, remedy: str, *places: Place) -> Explanation:
    """Something outside failed, and Isthmus tries again; `remedy` is for a failure that lasts."""
    return Explanation(Category.TRANSIENT, meaning, remedy, frozenset(places))


def administrator(meaning: str, remedy: str, *places: Place) -> Explanation:
    """An administrator of one of the two clouds has to act."""
    return Explanation(Category.ADMINISTRATOR, meaning, remedy, frozenset(places))


def tenant(meaning: str, remedy: str, *places: Place) -> Explanation:
    """A member of the project has to act."""
    return Explanation(Category.TENANT, meaning, remedy, frozenset(places))


def terminal(meaning: str, remedy: str, *places: Place) -> Explanation:
    """Trying again does not help until something is changed."""
    return Explanation(Category.TERMINAL, meaning, remedy, frozenset(places))
