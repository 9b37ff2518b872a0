"""What is diagnosed: the path from this cloud to one peer, for all networks or for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..leases import Lease
from ..resources import Attachment, Cloud, Expansion, Link, Peer


@dataclass(frozen=True)
class Readings:
    """Everything that was read of this cloud."""

    cloud: Cloud
    processes: Mapping[str, Lease] | None
    """Leases by name; None if they could not be read."""
    unread: Mapping[str, str]
    """Why a resource could not be read, by its plural."""


@dataclass(frozen=True)
class Subject:
    """One peer, and the networks that are stretched to it or from it."""

    label: str
    cloud_id: str
    """Of the peer; empty if only a tenant's objects could be read."""
    peer: Peer | None
    """None if the CloudPeers could not be read."""
    peer_name: str
    readings: Readings
    expansions: tuple[Expansion, ...]
    attachments: tuple[Attachment, ...]

    @property
    def links(self) -> list[tuple[Attachment, Link]]:
        """Links of the attachments to the peer."""
        return [(a, link) for a in self.attachments for link in a.links if link.cloud_id == self.cloud_id]
