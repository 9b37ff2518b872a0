"""The snapshot that planning starts from: a view of the cache that does not change while one plan is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.expansionlink import MAX_OFFERED_MEMBERS, ExpansionLink
from isthmus.model.api.v1alpha1.memberlink import MemberLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.api.v1alpha1.portslice import PortSlice
from isthmus.model.facts.gateway import NodeHealth
from isthmus.model.facts.openstack import Network
from isthmus.model.peertoken import Lifetime

from .cache import Cache, key_of
from .facets import is_accepted, projects_of
from .views import PeerViews

__all__ = ["OwnCloud", "Snapshot", "claim_precedence", "is_accepted", "key_of"]

T = TypeVar("T", bound=CustomObject)


@dataclass(frozen=True)
class OwnCloud:
    """The settings of this cloud that planning needs."""

    cloud_id: str
    gateway_cidrs: tuple[str, ...]
    absence_grace_seconds: float
    gateway_return_seconds: float = 0.0
    expansions_per_namespace: int = 100
    remote_ports_per_network: int = 0


@dataclass(frozen=True)
class Snapshot:
    """All inputs of a plan. Every look-up costs the same however many objects there are, except `all`."""

    own: OwnCloud
    now: datetime
    cache: Cache = field(default_factory=Cache)
    gateway_health: Mapping[str, NodeHealth] = field(default_factory=dict)
    """The health of the gateway nodes that were observed over time, by name."""
    openstack_problem: Problem | None = None
    """Why this cloud's OpenStack cannot be used at all; None if it can."""
    absent_seconds: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """For how long this process has seen no link of a network in a peer's complete view, by cloud ID and link name."""

    @property
    def namespaces(self) -> Mapping[str, Mapping[str, Any]]:
        """Namespaces by name."""
        return self.cache.namespaces.reduced

    @property
    def gateway_nodes(self) -> frozenset[str]:
        """Kubernetes nodes that carry the gateway label."""
        return frozenset(self.cache.nodes.reduced)

    @property
    def credentials(self) -> Mapping[str, Lifetime | None]:
        """By cloud ID the peers whose kubeconfig Secret exists, and how long its token is valid if that is known."""
        return self.cache.credentials

    @property
    def views(self) -> PeerViews:
        """What the peers publish, as last read."""
        return self.cache.views

    def all(self, kind: type[T]) -> tuple[T, ...]:
        """All objects of a kind, ordered by namespace and name; for kinds of which there are few."""
        return self.cache.all(kind)

    def get(self, kind: type[T], name: str, namespace: str = "") -> T | None:
        """One object, or None."""
        return self.cache.get(kind, (namespace, name))

    def expansions_of(self, link_name: str) -> tuple[NetworkExpansion, ...]:
        """The NetworkExpansions of a network of this cloud, in order of claim precedence."""
        cloud_id, _, network_id = link_name.partition(".")
        if cloud_id != self.own.cloud_id:
            return ()
        return tuple(sorted(self.cache.having(NetworkExpansion, "network", network_id), key=claim_precedence))

    def is_within_limit(self, expansion: NetworkExpansion) -> bool:
        """Whether the namespace may have this NetworkExpansion besides those that have begun, and those before it."""
        namespace, name = key_of(expansion)
        limit, cache = self.own.expansions_per_namespace, self.cache
        if cache.count(NetworkExpansion, "namespace", namespace) <= limit:
            return True
        held = set(cache.keys_with(NetworkExpansion, "held", namespace)) - {(namespace, name)}
        before = sum(key < (namespace, name) for key in cache.keys_with(NetworkExpansion, "requested", namespace))
        return len(held) + before < limit

    def peer_of(self, cloud_id: str) -> CloudPeer | None:
        """The CloudPeer that owns that cloud ID: the first by claim precedence if several have it."""
        return min(self.cache.having(CloudPeer, "cloud", cloud_id), key=claim_precedence, default=None)

    def peerlink(self, cloud_id: str) -> PeerLink | None:
        """Our PeerLink for that peer."""
        return self.get(PeerLink, self.own.cloud_id, names.peer_namespace(cloud_id))

    def link(self, cloud_id: str, link_name: str) -> ExpansionLink | None:
        """Our ExpansionLink of that network for that peer."""
        return self.get(ExpansionLink, link_name, names.peer_namespace(cloud_id))

    def approval(self, cloud_id: str, link_name: str) -> ExpansionApproval | None:
        """What an administrator has decided about that network of that peer."""
        return self.get(ExpansionApproval, link_name, names.peer_namespace(cloud_id))

    def approvals_of(self, link_name: str) -> tuple[ExpansionApproval, ...]:
        """All ExpansionApprovals with that name, also those in the namespace of another peer."""
        return self.cache.having(ExpansionApproval, "network", link_name)

    def links_to(self, cloud_id: str) -> tuple[ExpansionLink, ...]:
        """All our ExpansionLinks for that peer: a scan, for what is done once in the life of a peer."""
        return self.cache.having(ExpansionLink, "namespace", names.peer_namespace(cloud_id))

    def unreleased_links_to(self, cloud_id: str) -> tuple[str, ...]:
        """Link names of the networks that neither we nor the peer have released; ordered."""
        found = self.cache.keys_with(ExpansionLink, "unreleased", names.peer_namespace(cloud_id))
        return tuple(sorted(name for _, name in found))

    def forgotten_links_to(self, cloud_id: str) -> tuple[ExpansionLink, ...]:
        """Our links for that peer of which somebody said not to wait for its release."""
        return self.cache.having(ExpansionLink, "forgotten", names.peer_namespace(cloud_id))

    def attachments_with(self, cloud_id: str) -> tuple[str, ...]:
        """Link names of the networks that are connected to the peer, or whose replica is incomplete; ordered."""
        connected = self.cache.keys_with(Attachment, "path", cloud_id)
        incomplete = self.cache.keys_with(Attachment, "incomplete", cloud_id)
        return tuple(sorted({name for _, name in (*connected, *incomplete)}))

    def links_of(self, link_name: str) -> tuple[ExpansionLink, ...]:
        """Our ExpansionLinks of that network, for all peers."""
        return self.cache.having(ExpansionLink, "network", link_name)

    def port_slices(self, cloud_id: str, link_name: str) -> tuple[PortSlice, ...]:
        """Our PortSlices of that network for that peer, by name."""
        return self.cache.having(PortSlice, "link", f"{names.peer_namespace(cloud_id)}/{link_name}")

    def port_slices_of(self, link_name: str) -> tuple[PortSlice, ...]:
        """Our PortSlices of that network, for all peers."""
        return self.cache.having(PortSlice, "network", link_name)

    def member_link(self, cloud_id: str, link_name: str) -> MemberLink | None:
        """Our MemberLink of that network for that peer."""
        return self.get(MemberLink, link_name, names.peer_namespace(cloud_id))

    def member_links_of(self, link_name: str) -> tuple[MemberLink, ...]:
        """Our MemberLinks of that network, for all peers."""
        return self.cache.having(MemberLink, "network", link_name)

    def attachment(self, link_name: str) -> Attachment | None:
        """The Attachment of that network."""
        return self.get(Attachment, link_name, names.SYSTEM_NAMESPACE)

    def offers_to(self, cloud_id: str) -> int:
        """The number of networks that we offer to that peer."""
        return self.cache.count(ExpansionLink, "active", names.peer_namespace(cloud_id))

    def accepted_from(self, cloud_id: str) -> int:
        """The number of offers of that peer that we accept."""
        return self.cache.count(ExpansionLink, "accepted", names.peer_namespace(cloud_id))

    def awaiting_from(self, cloud_id: str) -> tuple[str, ...]:
        """Link names of that peer's networks that await a decision of our administrators, ordered."""
        found = self.cache.keys_with(ExpansionLink, "awaiting", names.peer_namespace(cloud_id))
        return tuple(sorted(name for _, name in found))

    def unused_tunnel_ids(self, cloud_id: str, allowed: range, count: int) -> tuple[int, ...]:
        """The lowest tunnel IDs without a link of ours to that peer, withdrawn links included; fewer if there are not
        so many."""
        home = names.peer_namespace(cloud_id)
        return self.cache.unused((ExpansionLink, MemberLink), "offered", home, allowed, count)

    def tunnel_ids_used(self, cloud_id: str) -> int:
        """The number of tunnel IDs that our links to that peer have, withdrawn ones included."""
        home, most = names.peer_namespace(cloud_id), 1 + MAX_OFFERED_MEMBERS
        offered = sum(n * self.cache.count(ExpansionLink, "with_tunnel_ids", (home, n)) for n in range(1, most + 1))
        return offered + self.cache.count(MemberLink, "allocated", home)

    def is_tunnel_id_unknown(self, cloud_id: str) -> bool:
        """Whether a link of ours to that peer is not understood, so that its tunnel ID might be offered twice."""
        home, unclear = names.peer_namespace(cloud_id), self.cache.not_understood
        links = (found for found in unclear if found.kind in (ExpansionLink, MemberLink) and found.namespace == home)
        return any(self.cache.get(*found.place) is None for found in links)

    def networks_with_tunnel_id(self, cloud_id: str, tunnel_id: int) -> set[str]:
        """Link names of the networks that are connected to that peer, or accepted of it, with the tunnel ID."""
        home = names.peer_namespace(cloud_id)
        direct = self.cache.keys_with(MemberLink, "offered", (home, tunnel_id))
        accepted = self.cache.keys_with(ExpansionLink, "accepted", (home, tunnel_id))
        connected = self.cache.keys_with(Attachment, "path", (cloud_id, tunnel_id))
        return {name for _, name in (*accepted, *connected, *direct)}

    def received_from(self, cloud_id: str) -> int:
        """The number of that peer's networks that have an Attachment here."""
        return self.cache.count(Attachment, "origin", cloud_id)

    def kept_from(self, cloud_id: str) -> int:
        """The number of these Attachments that only record a project that is kept."""
        return self.cache.count(Attachment, "kept", cloud_id)

    def projects_from(self, cloud_id: str) -> int:
        """The number of that peer's projects of which something is replicated here, kept projects included."""
        return self.cache.distinct(Attachment, projects_of(cloud_id))

    def has_project_from(self, cloud_id: str, project_id: str) -> bool:
        """Whether something of that project is replicated here, by its ID at the origin."""
        return self.cache.count(Attachment, projects_of(cloud_id), project_id) > 0

    def networks_in_project(self, project_id: str) -> int:
        """The number of received networks whose replica is in that project."""
        return self.cache.count(Attachment, "project", project_id)

    def network_of_replica(self, network: Network) -> str | None:
        """Link name of the peer's network that Isthmus made this one for; None if it did not make it.

        By the record, and until the ID is recorded by the description with the Attachment's UID, which nobody could
        know before the network was there.
        """
        recorded = self.cache.keys_with(Attachment, "replica", network.id)
        _, _, described = network.description.partition(" ")
        link_name, _, uid = described.partition(" ")
        attachment = self.attachment(link_name)
        is_described = attachment is not None and attachment.spec.role == "Receiver" and attachment.metadata.uid == uid
        if is_described and network.description == names.replica_marker(link_name, uid):
            return link_name
        return next((name for _, name in recorded), None)

    def networks_with_patch(self, patch: str) -> set[str]:
        """Link names of the networks whose patch port on br-cloud has that name."""
        return {name for _, name in self.cache.keys_with(Attachment, "patch", patch)}


def claim_precedence(obj: CustomObject) -> tuple[bool, str, str]:
    """Sort key of objects that claim the same thing: the owner, which has our finalizer, first; then by name."""
    return names.FINALIZER not in obj.metadata.finalizers, *key_of(obj)
