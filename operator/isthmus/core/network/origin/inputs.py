"""What a network of ours is planned from: facts of OpenStack, the tenant's request, our links, the peers' answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from isthmus.core.network.addressing import spans_of
from isthmus.core.network.attachment import late_nodes
from isthmus.core.network.remote_link import RemoteLinkState, remote_link_state
from isthmus.core.network.security_groups import chosen_matching
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import Attachment, Record
from isthmus.model.api.v1alpha1.expansionlink import (
    Answer,
    ExpansionLink,
    ExpansionLinkSpec,
    GroupMatching,
    RemoteExpansionLink,
)
from isthmus.model.api.v1alpha1.networkexpansion import GatewayChoice, NetworkExpansion, Topology
from isthmus.model.cached import cached_property
from isthmus.model.facts.openstack import NetworkFacts

from .admission import PeerRequest, admission_problem, owner_of, peer_requests, stretchable
from .gateway_choice import chosen_gateways
from .record import with_published
from .shared import Shared, shared_addresses


@dataclass(frozen=True)
class OriginInputs:
    """One network of ours. `raw_facts` is None if it is not requested and nothing but withdrawn links is left."""

    snapshot: Snapshot
    name: str
    raw_facts: NetworkFacts | None
    """The facts from OpenStack, with all subnets."""

    @cached_property
    def facts(self) -> NetworkFacts | None:
        """The facts without the subnets that cannot be stretched."""
        known = {entry.id for entry in self.record.subnets}
        return replace(self.raw_facts, subnets=stretchable(self.raw_facts.subnets, known)) if self.raw_facts else None

    @cached_property
    def unsupported_cidrs(self) -> tuple[str, ...]:
        """CIDRs of subnets that cannot be stretched."""
        if self.raw_facts is None or self.facts is None:
            return ()
        return tuple(subnet.cidr for subnet in self.raw_facts.subnets if subnet not in self.facts.subnets)

    @cached_property
    def attachment(self) -> Attachment | None:
        """The Attachment: instructions to the nodes, and the record."""
        return self.snapshot.attachment(self.name)

    @cached_property
    def record(self) -> Record:
        """The record of what was changed in OpenStack, with what is published; empty if nothing was changed."""
        recorded = self.attachment.spec.record if self.attachment else Record()
        return with_published(recorded, self.active_links.values(), self.raw_facts, self.shared.addresses)

    @cached_property
    def shared(self) -> Shared:
        """The addresses that no cloud and no port is to have."""
        requested = self.owner.spec.addressing.shared if self.owner else ()
        offers = {cloud_id: link.spec.offer for cloud_id, link in self.links.items()}
        slices = {cloud_id: spans_of(offer.ranges) for cloud_id, offer in offers.items() if offer is not None}
        return shared_addresses(requested, self.raw_facts.subnets if self.raw_facts else (), slices)

    @cached_property
    def owner(self) -> NetworkExpansion | None:
        """The expansion that owns the network; see `owner_of`."""
        return owner_of(self.snapshot, self.name, self.raw_facts) if self.raw_facts else None

    @cached_property
    def problem(self) -> Problem | None:
        """Why the owning expansion is not admitted."""
        if self.owner is None or self.raw_facts is None:
            return None
        return admission_problem(self.snapshot, self.owner, self.raw_facts)

    @cached_property
    def requests(self) -> tuple[PeerRequest, ...]:
        """The requests of the owning expansion; none if it is deleted or not admitted."""
        if self.owner is None or self.owner.metadata.deletion_timestamp or self.problem is not None:
            return ()
        return peer_requests(self.snapshot, self.owner, self.name)

    @cached_property
    def links(self) -> dict[str, ExpansionLink]:
        """Our links by the peer's cloud ID, withdrawn ones included."""
        return {link.spec.peer_cloud_id: link for link in self.snapshot.links_of(self.name)}

    @cached_property
    def active_links(self) -> dict[str, ExpansionLink]:
        """Our links that are not withdrawn."""
        return {cloud_id: link for cloud_id, link in self.links.items() if link.spec.state == "Active"}

    @cached_property
    def retained_peers(self) -> frozenset[str]:
        """Peers that have an offer and keep it."""
        return frozenset(
            w.cloud_id
            for w in self.requests
            if w.cloud_id in self.active_links and not w.withdraws_offer and w.cloud_id
        )

    @cached_property
    def new_peers(self) -> frozenset[str]:
        """Requested peers without a link and without a problem: they may get an offer."""
        return frozenset(
            w.cloud_id for w in self.requests if w.cloud_id and w.problem is None and w.cloud_id not in self.links
        )

    @cached_property
    def connected_peers(self) -> frozenset[str]:
        """Peers that the Attachment connects the network to."""
        return frozenset(path.cloud_id for path in self.attachment.spec.links) if self.attachment else frozenset()

    @cached_property
    def chosen_gateways(self) -> Mapping[str, GatewayChoice]:
        """What the tenant chose as gateway of each peer's machines, by cloud ID."""
        return chosen_gateways(self.owner, self.requests)

    @property
    def topology(self) -> Topology:
        """How the tenant wants the peers to reach each other."""
        return self.owner.spec.topology if self.owner is not None else "Centralized"

    @cached_property
    def group_matching(self) -> GroupMatching | None:
        """Whether the tenant wants security groups of the same name to be one."""
        return chosen_matching(self.owner)

    @cached_property
    def late_nodes(self) -> tuple[str, ...]:
        """Our gateway nodes that may use tunnel IDs that the Attachment no longer has."""
        return late_nodes(self.snapshot, self.attachment) if self.attachment is not None else ()

    def remote_link_state(self, cloud_id: str) -> RemoteLinkState:
        """The state of the peer's link."""
        peer = self.snapshot.peer_of(cloud_id)
        return remote_link_state(self.snapshot, peer, self.name) if peer else RemoteLinkState("Unknown", None)

    def remote_link(self, cloud_id: str) -> RemoteExpansionLink | None:
        """The peer's last accepted link; None once its absence is confirmed."""
        state = self.remote_link_state(cloud_id)
        return None if state.absence_confirmed else state.remote_link

    def answer(self, cloud_id: str) -> Answer | None:
        """The peer's answer, if it refers to our current link (by UID)."""
        remote_link = self.remote_link(cloud_id)
        answer = remote_link.spec.answer if remote_link else None
        link = self.links.get(cloud_id)
        return answer if answer is not None and link is not None and answer.uid == link.metadata.uid else None

    def accepted_spec(self, cloud_id: str) -> ExpansionLinkSpec | None:
        """The spec of the peer's link, if it accepts our offer."""
        remote_link, answer = self.remote_link(cloud_id), self.answer(cloud_id)
        if (
            remote_link is None
            or answer is None
            or remote_link.spec.state == "Withdrawn"
            or answer.verdict != "Accepted"
        ):
            return None
        return remote_link.spec

    @cached_property
    def accepting(self) -> dict[str, ExpansionLinkSpec]:
        """The specs of the peers that accept our offers, by cloud ID."""
        return {cloud_id: spec for cloud_id in self.active_links if (spec := self.accepted_spec(cloud_id))}

    def is_refused(self, cloud_id: str) -> bool:
        """Whether the peer has refused or released the network, or withdrawn its link."""
        remote_link, answer = self.remote_link(cloud_id), self.answer(cloud_id)
        return (
            answer is not None
            and remote_link is not None
            and (remote_link.spec.state == "Withdrawn" or answer.verdict != "Accepted")
        )

    def is_released(self, cloud_id: str) -> bool:
        """Whether the peer has released a withdrawn network, or its link is certainly absent."""
        remote_link_state, answer = self.remote_link_state(cloud_id), self.answer(cloud_id)
        if remote_link_state.presence == "Present":
            return remote_link_state.problem is None and answer is not None and answer.verdict == "Released"
        return remote_link_state.absence_confirmed

    @cached_property
    def published_ranges(self) -> frozenset[tuple[str, str, str]]:
        """Cloud ID, subnet ID and first address of each range that has been published."""
        return frozenset(
            (cloud_id, subnet.id, range_.first)
            for cloud_id, link in self.links.items()
            if link.spec.offer is not None
            for subnet in link.spec.offer.subnets
            for range_ in subnet.ranges
        )
