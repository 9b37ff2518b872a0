"""The keys that exist, and those that depend on one peer. Their number grows with the networks."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from itertools import chain

from isthmus.core.network.remote_link import is_link_name_of
from isthmus.core.snapshot.index import Snapshot
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.memberlink import MemberLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.portslice import PortSlice

from .key import GATEWAY_NODES, NOT_UNDERSTOOD, Key, network_key, peer_key

_EXTRA_REFUSED_OFFERS = 16  # offers beyond the limit that are still answered, even if the limit is 0
_MAX_WAITING = 16  # networks that are tried when another one releases what they wait for


def all_keys(snapshot: Snapshot) -> set[Key]:
    """The GatewayNodes, every CloudPeer, every network that is requested, published, attached or offered."""
    expansions = snapshot.cache.counts(NetworkExpansion, "network")
    found = {names.link_name(snapshot.own.cloud_id, network_id) for network_id in expansions}
    found |= {name for _, name in snapshot.cache.keys(ExpansionLink)}
    found |= {name for _, name in snapshot.cache.keys(Attachment)}
    found |= snapshot.cache.counts(PortSlice, "network").keys()
    found |= snapshot.cache.counts(MemberLink, "network").keys()
    found |= snapshot.cache.counts(ExpansionApproval, "network").keys()
    for peer in snapshot.all(CloudPeer):
        found |= new_offers(snapshot, peer)
    unclear = {NOT_UNDERSTOOD} if snapshot.cache.not_understood else set()
    return {GATEWAY_NODES, *peers(snapshot), *map(network_key, found), *unclear}


def exists(snapshot: Snapshot, link_name: str) -> bool:
    """Whether there is an object of ours about the network."""
    network_id = link_name.partition(".")[2]
    is_ours = link_name == names.link_name(snapshot.own.cloud_id, network_id)
    requests = snapshot.cache.count(NetworkExpansion, "network", network_id) if is_ours else 0
    published = snapshot.cache.count(ExpansionLink, "network", link_name)
    published += snapshot.cache.count(PortSlice, "network", link_name)
    published += snapshot.cache.count(MemberLink, "network", link_name)
    decided = snapshot.cache.count(ExpansionApproval, "network", link_name)
    return requests + published + decided > 0 or snapshot.attachment(link_name) is not None


def peers(snapshot: Snapshot) -> set[Key]:
    """Every CloudPeer."""
    return {peer_key(name) for _, name in snapshot.cache.keys(CloudPeer)}


def peers_with(snapshot: Snapshot, cloud_id: str) -> set[Key]:
    """The CloudPeers with that cloud ID: one, unless somebody made a mistake."""
    return {peer_key(name) for _, name in snapshot.cache.keys_with(CloudPeer, "cloud", cloud_id)}


def networks_of_peer(snapshot: Snapshot, peer: CloudPeer) -> set[Key]:
    """Every network that is or may be stretched to or from the peer, or that an administrator has decided about."""
    cloud_id = peer.spec.cloud_id
    published = snapshot.cache.keys_with(ExpansionLink, "namespace", names.peer_namespace(cloud_id))
    received = snapshot.cache.keys_with(Attachment, "origin", cloud_id)
    connected = snapshot.cache.keys_with(Attachment, "path", cloud_id)
    decided = snapshot.cache.keys_with(ExpansionApproval, "namespace", names.peer_namespace(cloud_id))
    direct = snapshot.cache.keys_with(MemberLink, "namespace", names.peer_namespace(cloud_id))
    named = snapshot.cache.keys_with(ExpansionLink, "named", cloud_id)
    found = {name for _, name in chain(published, received, connected, decided, direct, named)}
    requested = snapshot.cache.keys_with(NetworkExpansion, "peer", peer.metadata.name)
    return {*networks_of_expansions(snapshot, requested), *map(network_key, found | new_offers(snapshot, peer))}


def networks_of_expansions(snapshot: Snapshot, keys: Iterable[tuple[str, str]]) -> set[Key]:
    """The networks of these NetworkExpansions, by namespace and name."""
    expansions = (snapshot.cache.get(NetworkExpansion, key) for key in keys)
    own = snapshot.own.cloud_id
    return {network_key(names.link_name(own, e.spec.network_id)) for e in expansions if e is not None}


def new_offers(snapshot: Snapshot, peer: CloudPeer, among: frozenset[str] | None = None) -> set[str]:
    """Offers without an object of ours, the first by name, bounded: a peer may publish any number."""
    cloud_id = peer.spec.cloud_id
    room = 2 * peer.spec.agreement.limits.networks + _EXTRA_REFUSED_OFFERS - _known(snapshot, cloud_id)
    offered = snapshot.views.offered(cloud_id)
    candidates = offered if among is None else (name for name in among if name in offered)
    new = (name for name in candidates if is_link_name_of(name, cloud_id) and not _is_known(snapshot, cloud_id, name))
    return set(nsmallest(max(0, room), new))


def waiting(snapshot: Snapshot, cloud_id: str) -> set[Key]:
    """The first networks that may be waiting for what another network of the peer has released.

    The rest is tried when one of these takes it, or by the next verification.
    """
    refused = snapshot.cache.keys_with(ExpansionLink, "refused", names.peer_namespace(cloud_id))
    found = {network_key(name) for _, name in nsmallest(_MAX_WAITING, refused)}
    peer = snapshot.peer_of(cloud_id)
    if peer is None:
        return found
    if len(snapshot.views.offered(cloud_id)) > _known(snapshot, cloud_id):
        found |= set(map(network_key, nsmallest(_MAX_WAITING, new_offers(snapshot, peer))))
    requested = snapshot.cache.keys_with(NetworkExpansion, "waiting", peer.metadata.name)
    return found | networks_of_expansions(snapshot, nsmallest(_MAX_WAITING, requested))


def requested_in(snapshot: Snapshot, namespace: str) -> set[Key]:
    """The first networks that are requested in a namespace with more NetworkExpansions than are considered."""
    limit = snapshot.own.expansions_per_namespace
    if snapshot.cache.count(NetworkExpansion, "namespace", namespace) < limit:
        return set()
    requested = snapshot.cache.keys_with(NetworkExpansion, "requested", namespace)
    return networks_of_expansions(snapshot, nsmallest(_MAX_WAITING, requested))


def _known(snapshot: Snapshot, cloud_id: str) -> int:
    """The number of networks of that peer with an object of ours; those with a link and an Attachment count once."""
    answered = snapshot.cache.count(ExpansionLink, "answered", names.peer_namespace(cloud_id))
    return max(answered, snapshot.received_from(cloud_id))


def _is_known(snapshot: Snapshot, cloud_id: str, link_name: str) -> bool:
    return snapshot.link(cloud_id, link_name) is not None or snapshot.attachment(link_name) is not None
