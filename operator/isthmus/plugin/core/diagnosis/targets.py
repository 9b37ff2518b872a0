"""From what was typed to what is diagnosed."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..named import is_attachment, is_expansion, shown
from ..resources import Attachment, Expansion
from .subject import Readings, Subject


class UnknownTarget(ValueError):
    """There is no such peer and no such network; the text is a sentence."""


def subjects(readings: Readings, name: str | None) -> list[Subject]:
    """One for each peer that is concerned: all of them, the one of that name, or those of a network."""
    cloud = readings.cloud
    if name == "":
        raise UnknownTarget("the name of the peer or network is empty")
    if name is None:
        return [_subject(readings, peer_name, cloud.expansions, cloud.attachments) for peer_name in _peers(readings)]
    by_name = {peer.cloud_id: peer.name for peer in reversed(cloud.peers)}
    by_name |= {known: known for known in (*_peers(readings), *(peer.name for peer in cloud.peers))}
    if name in by_name:
        return [_subject(readings, by_name[name], cloud.expansions, cloud.attachments)]
    expansions = tuple(e for e in cloud.expansions if is_expansion(e, name))
    ids = {expansion.network_id for expansion in expansions}
    attachments = tuple(a for a in cloud.attachments if is_attachment(a, name) or a.network_id in ids)
    found = [
        _subject(readings, peer_name, expansions, attachments, f", network {name}")
        for peer_name in _peers_of(readings, expansions, attachments)
    ]
    if not found:
        raise UnknownTarget(f"there is no peer and no stretched network {shown(name)} among what can be read")
    return found


def _peers(readings: Readings) -> list[str]:
    """Names of all CloudPeers; if those cannot be read, what other objects say of peers."""
    cloud = readings.cloud
    if "cloudpeers" not in readings.unread:
        return [peer.name for peer in cloud.peers]
    connected = [connection.cloud_id for node in cloud.nodes for connection in node.connections]
    requested = [peer_name for expansion in cloud.expansions for peer_name in expansion.peer_names]
    return list(dict.fromkeys(filter(None, [*connected, *requested])))


def _peers_of(
    readings: Readings, expansions: Collection[Expansion], attachments: Collection[Attachment]
) -> Iterator[str]:
    names = {peer.cloud_id: peer.name for peer in readings.cloud.peers}
    requested = [peer_name for expansion in expansions for peer_name in expansion.peer_names]
    linked = [names.get(link.cloud_id, link.cloud_id) for a in attachments for link in a.links]
    origins = [names.get(a.origin_cloud, a.origin_cloud) for a in attachments if a.is_replica]
    yield from dict.fromkeys([*requested, *linked, *origins])


def _subject(
    readings: Readings,
    peer_name: str,
    expansions: Collection[Expansion],
    attachments: Collection[Attachment],
    suffix: str = "",
) -> Subject:
    peer = next((peer for peer in readings.cloud.peers if peer.name == peer_name), None)
    cloud_id = peer.cloud_id if peer else peer_name
    of_peer = tuple(e for e in expansions if peer_name in e.peer_names)
    ids = {expansion.network_id for expansion in of_peer}
    return Subject(
        label=peer_name + suffix,
        cloud_id=cloud_id,
        peer=peer,
        peer_name=peer_name,
        readings=readings,
        expansions=of_peer,
        attachments=tuple(a for a in attachments if _concerns(a, cloud_id, ids)),
    )


def _concerns(attachment: Attachment, cloud_id: str, ids: Collection[str]) -> bool:
    linked = any(link.cloud_id == cloud_id for link in attachment.links)
    return linked or (attachment.origin_cloud == cloud_id if attachment.is_replica else attachment.network_id in ids)
