"""What is not planned while an object is not understood, of which no earlier version is known.

To leave the object out would look like its deletion, and what belongs to it would be withdrawn and removed.
"""

from __future__ import annotations

from isthmus.core.network.remote_link import origin_of
from isthmus.core.snapshot.index import Snapshot
from isthmus.core.snapshot.not_understood import NotUnderstood
from isthmus.model import names
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.peerlink import PeerLink

from .enumeration import all_keys
from .key import NOT_UNDERSTOOD, Key, Subject


def blocked_by(snapshot: Snapshot, key: Key) -> NotUnderstood | None:
    """The object without which nothing may be planned for the key; None if it may be planned."""
    held = snapshot.cache.not_understood
    if not held:
        return None
    subjects = (key.name, key.name.partition(".")[2]) if key.subject == Subject.NETWORK else ()
    return next((found for found in held.about(*subjects) if _blocks(snapshot, found, key)), None)


def keys_of_not_understood(snapshot: Snapshot, found: NotUnderstood) -> set[Key]:
    """The keys that wait for the object, which may be understood or deleted now: a scan, of what happens seldom."""
    return {NOT_UNDERSTOOD} | {key for key in all_keys(snapshot) if _concerns(snapshot, found, key)}


def _blocks(snapshot: Snapshot, found: NotUnderstood, key: Key) -> bool:
    """Of an object that was understood before, its last version that was applies."""
    return snapshot.cache.get(*found.place) is None and _concerns(snapshot, found, key)


def _concerns(snapshot: Snapshot, found: NotUnderstood, key: Key) -> bool:
    match key.subject:
        case Subject.NETWORK:
            return _concerns_network(snapshot, found, key.name)
        case Subject.PEER:
            return _concerns_peer(snapshot, found, key.name)
        case Subject.GATEWAY_NODES:
            return found.kind is GatewayNode
        case _:
            return False


def _concerns_network(snapshot: Snapshot, found: NotUnderstood, link_name: str) -> bool:
    is_ours = origin_of(link_name) == snapshot.own.cloud_id
    if found.kind is NetworkExpansion:
        if found.subject is None:  # each network may be requested by it
            return is_ours and not snapshot.expansions_of(link_name)
        return is_ours and link_name == names.link_name(snapshot.own.cloud_id, found.subject)
    if found.kind is GatewayNode:
        attachment = snapshot.attachment(link_name)
        return attachment is not None and attachment.spec.active_node == found.name
    if found.kind in (CloudPeer, PeerLink):
        return _concerns_network_of_peer(snapshot, found, link_name)
    if found.kind is ExpansionApproval and found.namespace != names.peer_namespace(origin_of(link_name)):
        return False  # it decides nothing there
    return found.subject == link_name


def _concerns_network_of_peer(snapshot: Snapshot, found: NotUnderstood, link_name: str) -> bool:
    """Whether the network is stretched to or from that peer, or is to be. A peer without cloud ID may be any."""
    cloud_id = _cloud_id(found)
    clouds = {link.spec.peer_cloud_id for link in snapshot.links_of(link_name)} | {origin_of(link_name)}
    attachment = snapshot.attachment(link_name)
    clouds |= {path.cloud_id for path in attachment.spec.links} if attachment else set()
    if cloud_id in clouds:
        return True
    if cloud_id is None and any(snapshot.peer_of(c) is None for c in clouds - {snapshot.own.cloud_id}):
        return True
    requested = (peer.name for expansion in snapshot.expansions_of(link_name) for peer in expansion.spec.peers)
    return found.kind is CloudPeer and found.name in requested


def _concerns_peer(snapshot: Snapshot, found: NotUnderstood, name: str) -> bool:
    peer = snapshot.get(CloudPeer, name)
    if found.kind is CloudPeer and found.name == name:
        return True
    if found.kind is GatewayNode:  # every PeerLink names it
        return True
    if found.kind is IPsecPolicy:
        return peer is not None and peer.spec.ipsec.policy_ref.name == found.name
    return found.kind in (CloudPeer, PeerLink) and peer is not None and peer.spec.cloud_id == _cloud_id(found)


def _cloud_id(found: NotUnderstood) -> str | None:
    """The cloud ID of the peer that a CloudPeer or PeerLink is about, if it is known."""
    if found.kind is PeerLink:
        return names.peer_of_namespace(found.namespace)
    return found.text("cloudID")
