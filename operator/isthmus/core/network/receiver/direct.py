"""Direct paths to other receivers of a network: MemberLinks of ours, and what the gateway nodes get of them.

The origin names two receivers to each other; each then publishes a MemberLink to the other one. The cloud whose ID
sorts first allocates the tunnel ID, and the other one publishes it, too, as long as one of its nodes may use it. So a
tunnel ID is free for another network when both MemberLinks are gone: the allocating cloud deletes its own last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from isthmus.core.federation.agreement import Agreement, own_tunnel_ids
from isthmus.core.federation.drain import is_past_deadline
from isthmus.core.federation.peer import agreement_with, has_feature, identity_problem, remote_peer_link, view_of
from isthmus.core.network.attachment import gateway_of, late_nodes, network_identity
from isthmus.core.network.tunnel_ids import next_tunnel_id
from isthmus.core.snapshot.index import Snapshot, is_accepted
from isthmus.model import names
from isthmus.model.actions import Action, ApplyObject, DeleteObject
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.attachment import Attachment, DirectPath
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, Offer
from isthmus.model.api.v1alpha1.memberlink import MemberLink, MemberLinkSpec
from isthmus.model.protocol import Feature

Actions = tuple[Action, ...]


def direct_members(
    snapshot: Snapshot, link_name: str, link: ExpansionLink | None, offer: Offer | None
) -> Mapping[str, int]:
    """Numbers of the members to reach directly, by cloud ID: those that the origin names and both clouds agree on.

    None before we accept. A peer that is cordoned keeps the direct paths that it has, one that is drained only until
    the deadline.
    """
    if offer is None or not is_accepted(link):
        return {}
    origin_id = link_name.partition(".")[0]
    return {
        cloud_id: number
        for number, cloud_id in sorted(offer.named.items(), reverse=True)
        if cloud_id not in {snapshot.own.cloud_id, origin_id} and _may_be_reached(snapshot, cloud_id, link_name)
    }


def _may_be_reached(snapshot: Snapshot, cloud_id: str, link_name: str) -> bool:
    peer = snapshot.peer_of(cloud_id)
    if peer is None or peer.metadata.deletion_timestamp is not None or identity_problem(snapshot, peer) is not None:
        return False
    if is_past_deadline(snapshot, cloud_id):
        return False
    agreed = isinstance(agreement_with(snapshot, peer), Agreement) and peer.spec.agreement.members == "Direct"
    if not agreed or not has_feature(snapshot, cloud_id, Feature.DIRECT_PATHS):
        return False
    return not _is_cordoned(snapshot, peer) or snapshot.member_link(cloud_id, link_name) is not None


def _is_cordoned(snapshot: Snapshot, peer: CloudPeer) -> bool:
    theirs = remote_peer_link(snapshot, peer)
    return peer.spec.agreement.takes_nothing_new or (theirs is not None and theirs.spec.state == "Cordoned")


def publish_member_links(
    snapshot: Snapshot, link_name: str, attachment: Attachment | None, wanted: Mapping[str, int], gateway: str | None
) -> Actions:
    """Publish what is to be used, and retire what is not, before the nodes get it."""
    actions = []
    for cloud_id in wanted:
        spec = _wanted_link(snapshot, link_name, cloud_id, attachment, gateway)
        ours = snapshot.member_link(cloud_id, link_name)
        if spec is not None and (ours is None or ours.spec != spec):
            actions.append(ApplyObject(_member_link(spec)))
    for ours in snapshot.member_links_of(link_name):
        is_unwanted = ours.spec.peer_cloud_id not in wanted and not ours.spec.retired
        if is_unwanted and _allocates(snapshot, ours.spec.peer_cloud_id):
            actions.append(ApplyObject(_member_link(ours.spec.model_copy(update={"retired": True}))))
    return tuple(actions)


def release_member_links(
    snapshot: Snapshot, link_name: str, attachment: Attachment | None, wanted: Mapping[str, int]
) -> Actions:
    """Delete what no gateway node of ours may use any more, and of what we have allocated none of the peer's either."""
    found = []
    for ours in snapshot.member_links_of(link_name):
        cloud_id = ours.spec.peer_cloud_id
        if _may_be_in_use(snapshot, attachment, ours.spec):
            continue
        if _allocates(snapshot, cloud_id):
            is_over = cloud_id not in wanted and _peer_has_released(snapshot, ours.spec)
        else:
            is_over = cloud_id not in wanted or _is_given_up(snapshot, ours.spec)
        if is_over:
            found.append(DeleteObject(ours))
    return tuple(found)


def holds_attachment(snapshot: Snapshot, link_name: str, attachment: Attachment) -> bool:
    """Whether the Attachment is needed to know when no gateway node of ours has a direct path any more."""
    return bool(snapshot.member_links_of(link_name)) and bool(late_nodes(snapshot, attachment))


def direct_paths(
    snapshot: Snapshot, link_name: str, attachment: Attachment, wanted: Mapping[str, int]
) -> tuple[DirectPath, ...]:
    """The paths for which both MemberLinks have the same tunnel ID; of a peer that was not read yet, as before."""
    return tuple(sorted(_paths(snapshot, link_name, attachment, wanted), key=lambda path: path.number))


def _paths(
    snapshot: Snapshot, link_name: str, attachment: Attachment, wanted: Mapping[str, int]
) -> Iterator[DirectPath]:
    before = {path.cloud_id: path for path in attachment.spec.direct_paths}
    for cloud_id, number in wanted.items():
        ours, theirs = snapshot.member_link(cloud_id, link_name), _published(snapshot, cloud_id, link_name)
        if ours is None or ours.spec.retired:
            continue
        if theirs is None:
            kept = before.get(cloud_id)
            if kept is not None and kept.tunnel_id == ours.spec.tunnel_id and not _is_read(snapshot, cloud_id):
                yield kept.model_copy(update={"number": number})
            continue
        peer = snapshot.peer_of(cloud_id)
        gateway = gateway_of(snapshot, peer, theirs.gateway) if peer is not None else None
        if gateway is not None and theirs.tunnel_id == ours.spec.tunnel_id and not theirs.retired:
            yield DirectPath(number=number, cloud_id=cloud_id, tunnel_id=theirs.tunnel_id, gateway=gateway)


def _wanted_link(
    snapshot: Snapshot, link_name: str, cloud_id: str, attachment: Attachment | None, gateway: str | None
) -> MemberLinkSpec | None:
    """Our MemberLink as it should be; None if there is none to publish, or the one that there is must stay."""
    ours, theirs = snapshot.member_link(cloud_id, link_name), _published(snapshot, cloud_id, link_name)
    peer, tunnel_id = snapshot.peer_of(cloud_id), None
    if peer is None:
        return None
    if _allocates(snapshot, cloud_id):
        tunnel_id = ours.spec.tunnel_id if ours is not None else next_tunnel_id(snapshot, peer)
    else:
        tunnel_id = _accepted_tunnel_id(snapshot, link_name, cloud_id, theirs)
        if ours is not None and (tunnel_id is None or _differs_in_use(snapshot, attachment, ours.spec, tunnel_id)):
            tunnel_id = ours.spec.tunnel_id
    if tunnel_id is None:
        return None
    return MemberLinkSpec(
        cloud_id=snapshot.own.cloud_id,
        peer_cloud_id=cloud_id,
        origin=network_identity(link_name),
        tunnel_id=tunnel_id,
        gateway=gateway,
    )


def _accepted_tunnel_id(snapshot: Snapshot, link_name: str, cloud_id: str, theirs: MemberLinkSpec | None) -> int | None:
    """The tunnel ID that the peer has allocated; None if it has not, or no longer, or for another network."""
    peer = snapshot.peer_of(cloud_id)
    if peer is None or theirs is None or theirs.retired:
        return None
    if theirs.tunnel_id not in own_tunnel_ids(peer.spec.tunnel.id_range, cloud_id, snapshot.own.cloud_id):
        return None
    is_offered = snapshot.views.first_offer_with(cloud_id, theirs.tunnel_id) is not None
    others = snapshot.networks_with_tunnel_id(cloud_id, theirs.tunnel_id) - {link_name}
    return None if is_offered or others else theirs.tunnel_id


def _differs_in_use(snapshot: Snapshot, attachment: Attachment | None, ours: MemberLinkSpec, tunnel_id: int) -> bool:
    return tunnel_id != ours.tunnel_id and _may_be_in_use(snapshot, attachment, ours)


def _may_be_in_use(snapshot: Snapshot, attachment: Attachment | None, ours: MemberLinkSpec) -> bool:
    """Whether a gateway node of ours may use the tunnel ID of our MemberLink."""
    if attachment is None:
        return False
    used = {(path.cloud_id, path.tunnel_id) for path in attachment.spec.direct_paths}
    return (ours.peer_cloud_id, ours.tunnel_id) in used or bool(late_nodes(snapshot, attachment))


def _peer_has_released(snapshot: Snapshot, ours: MemberLinkSpec) -> bool:
    """Whether the peer certainly publishes the tunnel ID no more."""
    theirs = _published(snapshot, ours.peer_cloud_id, ours.origin.link_name)
    if theirs is None:
        return _is_read(snapshot, ours.peer_cloud_id)
    return theirs.tunnel_id != ours.tunnel_id


def _is_given_up(snapshot: Snapshot, ours: MemberLinkSpec) -> bool:
    """Whether the peer, which allocates the tunnel ID, certainly offers it no more."""
    theirs = _published(snapshot, ours.peer_cloud_id, ours.origin.link_name)
    return _is_read(snapshot, ours.peer_cloud_id) if theirs is None else theirs.retired


def _published(snapshot: Snapshot, cloud_id: str, link_name: str) -> MemberLinkSpec | None:
    """The peer's MemberLink as last read; None if it has none, or one that is not about this network and cloud."""
    published = view_of(snapshot, cloud_id).member_links.get(link_name)
    spec = published.spec if published is not None else None
    if spec is None or (spec.cloud_id, spec.peer_cloud_id) != (cloud_id, snapshot.own.cloud_id):
        return None
    return spec if spec.origin.link_name == link_name else None


def _is_read(snapshot: Snapshot, cloud_id: str) -> bool:
    """Whether a MemberLink that is missing in the peer's view does not exist."""
    view = view_of(snapshot, cloud_id)
    return view.complete and view.member_links_complete


def _allocates(snapshot: Snapshot, cloud_id: str) -> bool:
    return snapshot.own.cloud_id < cloud_id


def _member_link(spec: MemberLinkSpec) -> MemberLink:
    metadata = ObjectMeta(
        name=spec.origin.link_name,
        namespace=names.peer_namespace(spec.peer_cloud_id),
        labels={names.PEER_LABEL: spec.peer_cloud_id},
    )
    return MemberLink(metadata=metadata, spec=spec)
