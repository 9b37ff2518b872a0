"""From what was typed to the links whose probes are to be sent, and on which nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..named import is_attachment, is_expansion, shown
from ..refusals import Misused, Refused
from ..resources import Attachment, Cloud


@dataclass(frozen=True)
class Target:
    """One link."""

    network: str
    """`namespace/name` of the NetworkExpansion, or the ID of a peer's network."""
    link_name: str
    peer: str
    """Name of the CloudPeer, or the cloud ID if it has none."""
    cloud_id: str
    node: str
    mtu: int

    @property
    def label(self) -> str:
        """For sentences."""
        return f"{self.network} to {self.peer}"


def targets(cloud: Cloud, name: str, peer: str | None) -> list[Target]:
    """Links of the network of that name, to one peer or to all. Raises Misused or Refused."""
    expansions = {e.network_id: e for e in cloud.expansions if is_expansion(e, name)}
    attachments = [a for a in cloud.attachments if is_attachment(a, name) or _is_own(a, expansions)]
    if not attachments and not expansions:
        raise Misused(f"there is no stretched network {shown(name)} among what can be read")
    labels = {network_id: expansion.label for network_id, expansion in expansions.items()}
    found = [target for attachment in attachments for target in _of(cloud, attachment, labels)]
    chosen = [target for target in found if peer in (None, target.peer, target.cloud_id)]
    if not chosen and found:
        raise Misused(f"network {shown(name)} has no link to a peer {shown(peer or '')}")
    if not chosen:
        raise Refused(f"network {shown(name)} is not connected to any peer yet: kubectl isthmus diagnose {name}")
    return chosen


def _of(cloud: Cloud, attachment: Attachment, labels: dict[str, str]) -> Iterator[Target]:
    names = {peer.cloud_id: peer.name for peer in cloud.peers}
    network = (
        attachment.network_id if attachment.is_replica else labels.get(attachment.network_id, attachment.network_id)
    )
    for link in attachment.links:
        if not attachment.active_node or attachment.mtu is None:
            raise Refused(f"network {network} has no gateway node, or no agreed MTU, yet: kubectl isthmus diagnose")
        yield Target(
            network=network,
            link_name=attachment.name,
            peer=names.get(link.cloud_id, link.cloud_id),
            cloud_id=link.cloud_id,
            node=attachment.active_node,
            mtu=attachment.mtu,
        )


def _is_own(attachment: Attachment, expansions: Mapping[str, object]) -> bool:
    return not attachment.is_replica and attachment.network_id in expansions
