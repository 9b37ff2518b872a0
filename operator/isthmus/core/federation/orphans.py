"""Networks that a peer may still have although we have stopped waiting for its word: somebody said to forget them."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.core.snapshot.facets import is_forgotten
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.api.v1alpha1.cloudpeer import MAX_ORPHANS, CloudPeer, Orphan
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink

from .peer import view_of


def orphans(snapshot: Snapshot, peer: CloudPeer) -> tuple[Orphan, ...]:
    """What is believed to be left at the peer, by link name: recorded before the link that tells is deleted.

    One is off the list when the peer was read and has released it or has it no more, or when it is offered again. At
    most so many are listed; the links of the others are not deleted before there is room.
    """
    believed = {orphan.name: orphan for orphan in (*peer.status.orphans, *_forgotten(snapshot, peer))}
    left = (believed[name] for name in sorted(believed) if _may_be_left(snapshot, peer.spec.cloud_id, name))
    known = {orphan.name for orphan in peer.status.orphans}
    return tuple(sorted(sorted(left, key=lambda orphan: orphan.name not in known)[:MAX_ORPHANS], key=_name))


def is_recorded(snapshot: Snapshot, cloud_id: str, link: ExpansionLink) -> bool:
    """Whether the link is to be forgotten, and is listed as what may be left, so that it can be deleted."""
    peer = snapshot.peer_of(cloud_id)
    if peer is None or not is_forgotten(link):
        return False
    return any(orphan.name == link.metadata.name for orphan in peer.status.orphans)


def _forgotten(snapshot: Snapshot, peer: CloudPeer) -> Iterator[Orphan]:
    for link in snapshot.forgotten_links_to(peer.spec.cloud_id):
        if link.spec.state == "Withdrawn" and link.spec.offer is not None:
            yield Orphan(name=link.metadata.name, tunnel_id=link.spec.offer.tunnel_id)


def _may_be_left(snapshot: Snapshot, cloud_id: str, name: str) -> bool:
    link = snapshot.link(cloud_id, name)
    if link is not None:
        return link.spec.state == "Withdrawn" and is_forgotten(link)
    view = view_of(snapshot, cloud_id)
    if not view.complete:
        return True
    theirs = view.links.get(name)
    if theirs is None:
        return False
    return theirs.spec is None or theirs.spec.answer is None or theirs.spec.answer.verdict == "Accepted"


def _name(orphan: Orphan) -> str:
    return orphan.name
