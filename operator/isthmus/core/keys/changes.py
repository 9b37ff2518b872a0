"""Which keys a change concerns. A change of a field that plans and statuses do not depend on concerns none."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from isthmus.core.federation.peer import have_overlapping_gateways
from isthmus.core.placement.gateways import carried_by_paths
from isthmus.core.snapshot.cache import Change
from isthmus.core.snapshot.facets import is_accepted, is_awaiting, is_forgotten, peers_offer
from isthmus.core.snapshot.index import Snapshot
from isthmus.core.snapshot.views import ViewChange
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.memberlink import MemberLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.api.v1alpha1.portslice import PortSlice

from .content import relevant, relevant_spec
from .enumeration import (
    exists,
    networks_of_expansions,
    networks_of_peer,
    new_offers,
    peers,
    peers_with,
    requested_in,
    waiting,
)
from .key import GATEWAY_NODES, Key, network_key, peer_key


def keys_of_object(snapshot: Snapshot, change: Change) -> set[Key]:
    """The keys that a changed object concerns; the snapshot has it already."""
    before, after = change
    if relevant(before) == relevant(after):
        return set()
    match after or before:
        case CloudPeer():
            return _of_cloud_peer(snapshot, before, after)
        case IPsecPolicy(metadata=metadata):
            found = snapshot.cache.keys_with(CloudPeer, "policy", metadata.name)
            return {peer_key(name) for _, name in found}
        case PeerLink():
            return _of_peer_link(snapshot, before, after)
        case NetworkExpansion(metadata=metadata, spec=spec):
            network = network_key(names.link_name(snapshot.own.cloud_id, spec.network_id))
            return {network} if before is None else {network} | requested_in(snapshot, metadata.namespace or "")
        case ExpansionLink():
            return _of_link(snapshot, before, after)
        case PortSlice(spec=slice_):
            return {network_key(slice_.origin.link_name)}
        case MemberLink(metadata=metadata) | ExpansionApproval(metadata=metadata):
            return {network_key(metadata.name)}
        case Attachment():
            return _of_attachment(snapshot, before, after)
        case GatewayNode():
            return _of_gateway_node(snapshot, before, after)
        case _:
            return set()


def keys_of_namespace(
    snapshot: Snapshot, name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> set[Key]:
    """The keys that a created, changed or deleted namespace concerns."""
    if before == after:
        return set()
    requested = snapshot.cache.keys_with(NetworkExpansion, "namespace", name)
    found = networks_of_expansions(snapshot, requested)
    prefix = names.peer_namespace("")
    return found | (peers_with(snapshot, name.removeprefix(prefix)) if name.startswith(prefix) else set())


def keys_of_gateways(snapshot: Snapshot, nodes: AbstractSet[str], *, all_networks: bool) -> set[Key]:
    """The networks that these gateway nodes carry and those that wait for a node; or all networks.

    Those of other nodes are concerned if a node becomes usable: they may prefer it.
    """
    if not nodes:
        return set()
    if all_networks:
        found = {network_key(name) for _, name in snapshot.cache.keys(Attachment)}
    else:
        gone = snapshot.cache.counts(Attachment, "node").keys() - {n.metadata.name for n in snapshot.all(GatewayNode)}
        carried = (snapshot.cache.keys_with(Attachment, "node", node) for node in {"", *nodes, *gone})
        found = {network_key(name) for keys in carried for _, name in keys}
    for peer in snapshot.all(CloudPeer):
        requested = snapshot.cache.keys_with(NetworkExpansion, "waiting", peer.metadata.name)
        found |= networks_of_expansions(snapshot, requested)
        found |= set(map(network_key, new_offers(snapshot, peer)))
    return found


def keys_of_view(snapshot: Snapshot, change: ViewChange) -> set[Key]:
    """The keys that a change of what a peer publishes concerns."""
    peer = snapshot.peer_of(change.cloud_id)
    if peer is None:
        return set()
    is_of_orphan = any(orphan.name in change.links for orphan in peer.status.orphans)
    found = peers_with(snapshot, change.cloud_id) if change.peer or is_of_orphan else set()
    if change.networks:
        return found | networks_of_peer(snapshot, peer)
    found |= {network_key(name) for name in change.links if exists(snapshot, name)}
    return found | set(map(network_key, new_offers(snapshot, peer, change.links)))


def _of_cloud_peer(snapshot: Snapshot, before: object, after: object) -> set[Key]:
    """All peers, which compare their claims, and the networks of those whose claims this one may decide.

    Of a status that somebody changed only the peer itself.
    """
    claims = [(relevant_spec(peer), peer.metadata.name) for peer in (before, after) if isinstance(peer, CloudPeer)]
    if len(claims) == 2 and claims[0] == claims[1]:
        return {peer_key(claims[0][1])} | _of_orphans(before, after)
    found = peers(snapshot)
    for peer in (before, after):
        if isinstance(peer, CloudPeer):
            found |= {peer_key(peer.metadata.name)} | networks_of_peer(snapshot, peer)
            rivals = (p for p in snapshot.all(CloudPeer) if p.metadata.name != peer.metadata.name)
            for rival in rivals:
                if rival.spec.cloud_id == peer.spec.cloud_id or have_overlapping_gateways(rival, peer):
                    found |= networks_of_peer(snapshot, rival)
    return found


def _of_orphans(before: object, after: object) -> set[Key]:
    """The networks that were put on the list of what may be left at a peer: their links may be deleted now."""
    old, new = (
        {o.name for o in peer.status.orphans} if isinstance(peer, CloudPeer) else set() for peer in (before, after)
    )
    return set(map(network_key, new - old))


def _of_peer_link(snapshot: Snapshot, before: object, after: object) -> set[Key]:
    """Its peer, and if the agreement may have changed its networks; other peers compare names of gateways."""
    links = [link for link in (before, after) if isinstance(link, PeerLink)]
    cloud_ids = {link.spec.peer_cloud_id for link in links}
    found = {key for cloud_id in cloud_ids for key in peers_with(snapshot, cloud_id)}
    if len(links) == 2 and (links[0].spec, links[0].status.peer) == (links[1].spec, links[1].status.peer):
        return found
    owners = (snapshot.peer_of(cloud_id) for cloud_id in cloud_ids)
    return peers(snapshot).union(*(networks_of_peer(snapshot, peer) for peer in owners if peer is not None))


def _of_link(snapshot: Snapshot, before: object, after: object) -> set[Key]:
    """Its network; if it was created, deleted or answered, the peer that counts it and those that wait for its ID."""
    links = [link for link in (before, after) if isinstance(link, ExpansionLink)]
    found = {network_key(link.metadata.name) for link in links}
    if len(links) == 2 and _counted(links[0]) == _counted(links[1]):
        return found
    for cloud_id in {names.peer_of_namespace(link.metadata.namespace or "") for link in links}:
        found |= peers_with(snapshot, cloud_id)
        if before is not None:
            found |= waiting(snapshot, cloud_id)
    return found


def _of_attachment(snapshot: Snapshot, before: object, after: object) -> set[Key]:
    """Its network; if what it reserves has changed, the peers that wait for it and networks that need the same."""
    attachments = [a for a in (before, after) if isinstance(a, Attachment)]
    found = {network_key(a.metadata.name) for a in attachments}
    if len(attachments) == 2 and _reserved(attachments[0]) == _reserved(attachments[1]):
        return found
    for attachment in attachments:
        for cloud_id in {attachment.spec.origin.cloud_id, *(path.cloud_id for path in attachment.spec.links)}:
            found |= peers_with(snapshot, cloud_id)
        requested = snapshot.cache.keys_with(NetworkExpansion, "network", attachment.spec.record.network_id or "")
        found |= networks_of_expansions(snapshot, requested)
    if isinstance(before, Attachment):
        found |= waiting(snapshot, before.spec.origin.cloud_id)
        sharing = snapshot.cache.keys_with(Attachment, "project", before.spec.record.project_id or "")
        found |= {network_key(name) for _, name in sharing}
    return found


def _of_gateway_node(snapshot: Snapshot, before: object, after: object) -> set[Key]:
    """The peers whose connections changed; if its address, uplink or host did, all peers, and networks that need it."""
    nodes = [node for node in (before, after) if isinstance(node, GatewayNode)]
    found = _connection_keys(snapshot, before, after)
    if len({node.status.key_exchanges for node in nodes}) > 1:  # what is offered depends on it
        found |= peers(snapshot)
    if len(nodes) == 2 and _endpoint(nodes[0]) == _endpoint(nodes[1]):
        if carried_by_paths(nodes[0]) != carried_by_paths(nodes[1]):  # which the MTU of networks depends on
            found |= keys_of_gateways(snapshot, {nodes[0].metadata.name}, all_networks=False)
        return found
    carried = keys_of_gateways(snapshot, {nodes[0].metadata.name}, all_networks=False)
    return {GATEWAY_NODES, *peers(snapshot), *found, *carried}


def _connection_keys(snapshot: Snapshot, before: object, after: object) -> set[Key]:
    old, new = (
        {(c.cloud_id, c) for c in node.status.connections} if isinstance(node, GatewayNode) else set()
        for node in (before, after)
    )
    return {key for cloud_id, _ in old ^ new for key in peers_with(snapshot, cloud_id)}


def _counted(link: ExpansionLink) -> object:
    return (
        link.spec.state,
        is_forgotten(link),
        is_accepted(link),
        link.spec.offer and link.spec.offer.tunnel_id,
        link.spec.answer is None,
        _awaiting_name(link),
    )


def _awaiting_name(link: ExpansionLink) -> str | None:
    """What the CloudPeer says of a network that awaits a decision; None if it says nothing of it."""
    if not is_awaiting(link):
        return None
    offer = peers_offer(link)
    return offer.network_name if offer is not None else ""


def _reserved(attachment: Attachment) -> object:
    spec = attachment.spec
    return spec.record.project_id, spec.record.network_id, [(p.cloud_id, p.tunnel_id) for p in spec.links]


def _endpoint(node: GatewayNode) -> object:
    return node.spec, node.status.addresses, node.status.neutron_host, node.metadata.deletion_timestamp
