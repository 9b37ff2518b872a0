"""State of a network of a peer: the offer, our decision, the replica."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Literal

from isthmus.core.federation.agreement import Agreement
from isthmus.core.federation.drain import refusal_after_deadline
from isthmus.core.federation.peer import agreement_with, has_feature, identity_problem
from isthmus.core.network.attachment import gateway_for, member_paths, path_to
from isthmus.core.network.mtu import carried_mtu
from isthmus.core.network.remote_link import RemoteLinkState, origin_of, remote_link_state
from isthmus.core.placement.gateways import Gateway
from isthmus.core.snapshot.facets import is_given_up, is_kept_project
from isthmus.core.snapshot.index import Snapshot, is_accepted
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentLink, Record
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import (
    ExpansionLink,
    GroupMatching,
    Offer,
    OfferedGroup,
    RemoteExpansionLink,
)
from isthmus.model.cached import cached_property
from isthmus.model.facts.openstack import Domain, NetworkFacts
from isthmus.model.protocol import Feature
from isthmus.model.reasons import Reason

from .direct import direct_members
from .terms import missing_approval, project_problem, refused_by_administrator

Intent = Literal["Replicate", "Remove", "Refuse", "Hold"]


@dataclass(frozen=True)
class Receiver:
    """One network of a peer. `facts` is None if nothing is to be created or deleted in OpenStack."""

    snapshot: Snapshot
    name: str
    facts: NetworkFacts | None = None

    @property
    def cloud_id(self) -> str:
        """Cloud ID of the origin."""
        return origin_of(self.name)

    @cached_property
    def peer(self) -> CloudPeer | None:
        """The CloudPeer of the origin."""
        return self.snapshot.peer_of(self.cloud_id)

    @cached_property
    def link(self) -> ExpansionLink | None:
        """Our link."""
        return self.snapshot.link(self.cloud_id, self.name)

    @cached_property
    def attachment(self) -> Attachment | None:
        """The Attachment: instructions to the nodes, and the record."""
        return self.snapshot.attachment(self.name)

    @property
    def record(self) -> Record:
        """The record of what was created in OpenStack; empty if nothing was."""
        return self.attachment.spec.record if self.attachment else Record()

    @cached_property
    def remote_link_state(self) -> RemoteLinkState:
        """The state of the origin's link; a change is refused if the replica's project cannot have its subnets."""
        if self.peer is None:
            return RemoteLinkState("Unknown", None)
        state = remote_link_state(self.snapshot, self.peer, self.name)
        last = self.link.status.peer if self.link else None
        if (
            state.remote_link == last
            or state.remote_link is None
            or state.remote_link.spec.offer is None
            or not is_accepted(self.link)
        ):
            return state
        problem = self._subnets_problem(state.remote_link.spec.offer, self.peer)
        return RemoteLinkState(state.presence, last, problem) if problem is not None and last is not None else state

    @property
    def remote_link(self) -> RemoteExpansionLink | None:
        """The origin's last accepted link."""
        return self.remote_link_state.remote_link

    @property
    def offer(self) -> Offer | None:
        """The origin's offer."""
        return self.remote_link.spec.offer if self.remote_link else None

    @property
    def group_matching(self) -> GroupMatching | None:
        """Whether security groups of the same name are one, as the origin offers it."""
        is_known = has_feature(self.snapshot, self.cloud_id, Feature.SECURITY_GROUPS)
        return self.offer.group_matching if self.offer is not None and is_known else None

    @property
    def carried_groups(self) -> tuple[OfferedGroup, ...]:
        """The security groups that the origin wants to be made here."""
        if self.offer is None or self.group_matching is None or self.intent != "Replicate":
            return ()
        return self.offer.carried_groups or ()

    @property
    def agreement_ended(self) -> bool:
        """Whether our administrator ended the agreement."""
        return self.peer is None or self.peer.metadata.deletion_timestamp is not None

    @cached_property
    def intent(self) -> Intent:
        """What to do: create or keep the replica, remove it, refuse the offer, or leave everything as it is."""
        if self.agreement_ended or (self.remote_link is not None and self.remote_link.spec.state == "Withdrawn"):
            return "Remove"
        accepted, is_absent = is_accepted(self.link), self.remote_link_state.presence == "Absent"
        if is_absent and (not accepted or self.remote_link_state.absence_confirmed):
            return "Remove"
        if self._is_revoked:
            return "Refuse"
        if is_absent:
            return "Replicate"
        if accepted and self.remote_link is not None:
            return "Replicate"
        if self._is_given_up:
            return "Remove"
        if self.remote_link_state.presence == "Unknown" or self._lacks_agreement:
            return "Hold"
        return "Refuse" if self.refusal is not None else "Replicate"

    @cached_property
    def refusal(self) -> Problem | None:
        """Why an offer is refused; the origin reads it, so it discloses nothing local."""
        if self._ending is not None:
            return self._ending
        if self.remote_link_state.problem is not None or self.offer is None or self.peer is None:
            return self.remote_link_state.problem
        if self.peer.spec.agreement.takes_nothing_new:
            return Problem(Reason.CORDONED, "the agreement is cordoned: nothing new is accepted")
        if self._has_name_collision:
            return Problem(
                Reason.INVALID_OFFER, "the network's ID collides with that of another network: it needs another one"
            )
        if self._other_received_networks >= self.peer.spec.agreement.limits.networks:
            return Problem(Reason.LIMIT_REACHED, "the agreed maximum number of networks is reached")
        unmet = project_problem(self.snapshot, self.peer, self.offer.project.id)
        unmet = unmet or missing_approval(self.snapshot, self.peer, self.name)
        return unmet or self._replica_problem(self.offer, self.peer)

    @property
    def may_delete_projects(self) -> bool:
        """Whether an administrator allows us to delete projects although we do not see what other services hold."""
        return self.peer is not None and self.peer.metadata.annotations.get(names.DELETE_PROJECTS_ANNOTATION) == "true"

    @cached_property
    def domain_name(self) -> str:
        """Name of the Keystone domain for the peer's projects."""
        chosen = self.peer.spec.agreement.domain if self.peer else None
        return chosen or names.peer_domain(self.cloud_id)

    @cached_property
    def project_marker(self) -> str | None:
        """Ownership marker of the replica project."""
        project = self.origin_project_id
        return names.project_marker(self.cloud_id, project) if project else None

    @property
    def origin_project_id(self) -> str | None:
        """ID of the project at the origin: the recorded one, or the offer's."""
        return self.record.origin_project_id or (self.offer.project.id if self.offer else None)

    @cached_property
    def replica_marker(self) -> str | None:
        """Ownership marker of the replica network; None before there is a record."""
        return names.replica_marker(self.name, self.attachment.metadata.uid or "") if self.attachment else None

    @cached_property
    def domain_is_ours(self) -> bool:
        """Whether Isthmus created the domain: then it is deleted after its last project."""
        return self.facts is not None and self._is_ours(self.facts.domain)

    def own_domain_id(self, domain: Domain | None) -> str | None:
        """ID of the domain that Isthmus created: `domain` if it is ours, else the recorded one."""
        return domain.id if domain is not None and self._is_ours(domain) else self.record.domain_id

    @cached_property
    def gateway(self) -> Gateway | None:
        """The gateway node that carries the network."""
        return gateway_for(self.snapshot, self.name, self.attachment, (self.link.spec.gateway if self.link else None,))

    @cached_property
    def direct_members(self) -> Mapping[str, int]:
        """Numbers of the members to reach directly, by cloud ID; none while the network is removed or refused."""
        if self.intent not in {"Replicate", "Hold"}:
            return {}
        return direct_members(self.snapshot, self.name, self.link, self.offer)

    @cached_property
    def offered_mtu(self) -> int | None:
        """The largest MTU in bytes that our node can carry on each of its paths; the published one if none is ready."""
        if self.gateway is not None:
            direct = self.attachment.spec.direct_paths if self.attachment else ()
            reached = (self.peer, *(self.snapshot.peer_of(path.cloud_id) for path in direct))
            return min(carried_mtu(self.snapshot, self.gateway, peer) for peer in reached)
        return self.link.spec.mtu if self.link else None

    @cached_property
    def agreed_mtu(self) -> int | None:
        """The smaller of the origin's and our MTU, in bytes."""
        return min(self.remote_link.spec.mtu, self.offered_mtu) if self.remote_link and self.offered_mtu else None

    def path(self) -> AttachmentLink | None:
        """The path to the origin, once we accept; None without a known gateway."""
        if self.peer is None or self.remote_link is None or self.offer is None or not is_accepted(self.link):
            return None
        path = path_to(self.snapshot, self.peer, self.offer.tunnel_id, self.remote_link.spec)
        return path.model_copy(update={"members": member_paths(self.offer)}) if path else None

    def _is_ours(self, domain: Domain | None) -> bool:
        return domain is not None and domain.description == names.domain_marker(self.cloud_id)

    @property
    def _ending(self) -> Problem | None:
        """What ends also a network that is accepted: an administrator's decision on it, or on the whole agreement."""
        refused = refused_by_administrator(self.snapshot, self.cloud_id, self.name)
        return refused or refusal_after_deadline(self.snapshot, self.cloud_id)

    @property
    def _is_revoked(self) -> bool:
        """Whether what is accepted has ended, or what is left of it: also while the peer is away."""
        is_ending = self._ending is not None and self.link is not None
        return is_ending and (is_accepted(self.link) or self.attachment is not None)

    @property
    def _is_given_up(self) -> bool:
        """Whether removal had begun, and went so far that only its condition records it.

        Our link is deleted once the origin needs it no more, with what it recorded of the origin's. After that, an
        origin that cannot be read is no reason to stop. A new offer is one.
        """
        state = self.remote_link_state
        nothing_read = state.presence == "Unknown" and state.remote_link is None and state.problem is None
        return nothing_read and self.link is None and self.attachment is not None and is_given_up(self.attachment)

    @property
    def _lacks_agreement(self) -> bool:
        """Without an agreement an offer can be neither accepted nor refused."""
        if self.peer is None or identity_problem(self.snapshot, self.peer) is not None:
            return True
        return not isinstance(agreement_with(self.snapshot, self.peer), Agreement)

    @property
    def _has_name_collision(self) -> bool:
        """Whether another network has the same patch port name: a peer could choose network IDs that collide."""
        ours = names.patch_in_cloud_bridge(self.name)
        return bool(self.snapshot.networks_with_patch(ours) - {self.name})

    @property
    def _other_received_networks(self) -> int:
        """The number of other networks of the peer with a replica here, not counting projects that are only kept."""
        ours, is_kept = self.attachment is not None, self.attachment is not None and is_kept_project(self.attachment)
        return self.snapshot.received_from(self.cloud_id) - ours - (self.snapshot.kept_from(self.cloud_id) - is_kept)

    def _replica_problem(self, offer: Offer, peer: CloudPeer) -> Problem | None:
        """Why the replica cannot be created; checked only before it exists, so that it is not left incomplete."""
        if self.facts is None or self.facts.network is not None:
            return None
        domain = self.facts.domain
        if domain is not None and not self.domain_is_ours and peer.spec.agreement.domain is None:
            return Problem(Reason.DOMAIN_NOT_AVAILABLE, "the domain for the origin's projects is not available")
        if self.facts.other_networks >= peer.spec.agreement.quotas_of(self.origin_project_id).networks:
            return Problem(Reason.QUOTA_EXCEEDED, "the quota of the project is exhausted")
        return self._subnets_problem(offer, peer)

    def _subnets_problem(self, offer: Offer, peer: CloudPeer) -> Problem | None:
        """Why the replica project cannot have these subnets in addition to those of its other networks."""
        if self.facts is None:
            return None
        quotas = peer.spec.agreement.quotas_of(self.origin_project_id)
        if len(offer.subnets) + len(self.facts.other_subnets) > quotas.subnets:
            return Problem(Reason.QUOTA_EXCEEDED, "the quota of the project is exhausted")
        others = [ip_network(s.cidr) for s in self.facts.other_subnets]
        for subnet in offer.subnets:
            if any(ip_network(subnet.cidr).overlaps(other) for other in others):
                return Problem(
                    Reason.SUBNET_OVERLAP,
                    f"subnet {subnet.cidr} overlaps a subnet of another network of the same project",
                )
        return None
