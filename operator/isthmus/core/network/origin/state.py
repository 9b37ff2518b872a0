"""What is offered of a network that this cloud owns, and agreed on with each peer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from isthmus.core.federation.peer import has_feature
from isthmus.core.network.attachment import gateway_for, member_paths, network_identity, path_to
from isthmus.core.network.carried_groups import CarriedGroups, carried_groups
from isthmus.core.network.growth import Growth, grow
from isthmus.core.network.mtu import carried_mtu
from isthmus.core.network.remote_link import offer_problem
from isthmus.core.network.router_addresses import router_addresses
from isthmus.core.network.security_groups import groups_by_name
from isthmus.core.network.slices import Allocation, allocate, has_slices, is_offered
from isthmus.core.network.tunnel_ids import next_tunnel_id, next_tunnel_ids
from isthmus.core.placement.gateways import Gateway
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import MAX_MEMBERS, AttachmentLink, SubnetRecord
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, ExpansionLinkSpec, GroupMatching
from isthmus.model.api.v1alpha1.networkexpansion import RequestedSlice
from isthmus.model.cached import cached_property
from isthmus.model.facts.openstack import NetworkFacts
from isthmus.model.protocol import Feature

from .gateway_choice import OfferedGateway, offered_gateway
from .inputs import OriginInputs
from .ipv6 import without_ipv6
from .members import numbers_of, offered_members
from .offer import offered_spec
from .record import link_annotations


@dataclass(frozen=True)
class Origin(OriginInputs):
    """One network of ours: slices, members, offers, paths and MTUs, as they follow from the inputs."""

    @cached_property
    def slice_holders(self) -> frozenset[str]:
        """Peers whose slices stay out of Neutron's pools."""
        return self.retained_peers | self.new_peers | frozenset(self.active_links) | self.connected_peers

    @cached_property
    def allocation(self) -> Allocation:
        """The slices as they should be recorded."""
        if self.facts is None or self.facts.network is None:
            return Allocation((), {})
        size = self.owner.spec.addressing.slice_size if self.owner else None
        served = sorted(self.retained_peers) + sorted(self.new_peers)
        return allocate(
            self.record.subnets,
            self.facts,
            self.slice_holders,
            served,
            size,
            self.new_peers,
            self._requested_slices,
            {cloud_id for cloud_id, choice in self.chosen_gateways.items() if choice == "Local"},
            self.ipv4_only.keys(),
            self.shared.addresses,
        )

    @cached_property
    def ipv4_only(self) -> Mapping[str, Problem]:
        """Why peers are offered no IPv6 subnet, by cloud ID."""
        return without_ipv6(self.snapshot, (*self.links, *self.new_peers), self.chosen_gateways)

    @cached_property
    def ipv6_gateways(self) -> frozenset[str]:
        """Gateways of the IPv6 subnets that are offered to any peer."""
        offers = (link.spec.offer for link in self.active_links.values() if link.spec.offer is not None)
        return frozenset(s.gateway_ip for offer in offers for s in offer.subnets if s.is_ipv6 and s.gateway_ip)

    def _facts_for(self, cloud_id: str) -> NetworkFacts | None:
        """The facts with the subnets that can be offered to the peer."""
        facts = self.facts
        if facts is None:
            return None
        return replace(facts, subnets=tuple(s for s in facts.subnets if is_offered(s, cloud_id, self.ipv4_only)))

    def offered_gateway(self, cloud_id: str, record: Sequence[SubnetRecord]) -> OfferedGateway:
        """What is offered to the peer as gateway of its machines, with the slices in `record`."""
        subnets = self.facts.subnets if self.facts else ()
        return offered_gateway(self.snapshot, cloud_id, self.chosen_gateways.get(cloud_id, "Origin"), subnets, record)

    @cached_property
    def short(self) -> frozenset[tuple[str, str]]:
        """Cloud ID and subnet ID where a peer has few addresses left, by its answer to what is offered now.

        An answer to an earlier generation may be about a slice that has grown since.
        """
        return frozenset(
            (cloud_id, subnet_id)
            for cloud_id in self.retained_peers
            if (answer := self.answer(cloud_id)) is not None
            and answer.verdict == "Accepted"
            and answer.generation == self.links[cloud_id].metadata.generation
            and has_feature(self.snapshot, cloud_id, Feature.GROWTH)
            for subnet_id in answer.low_subnets
        )

    @cached_property
    def growing(self) -> frozenset[tuple[str, str]]:
        """Those of them whose slice may grow: the tenant wants it, and did not choose the slice."""
        if self.owner is None or self.owner.spec.addressing.growth != "Auto" or self.facts is None:
            return frozenset()
        ids = {subnet.cidr: subnet.id for subnet in self.facts.subnets}
        return self.short - {(cloud_id, ids.get(cidr, "")) for cloud_id, cidr in self._requested_slices}

    @cached_property
    def growth(self) -> Growth:
        """The slices as they should be recorded, with what they grow by."""
        if self.facts is None:
            return Growth(self.allocation.subnets, {})
        return grow(self.allocation.subnets, self.facts, self.growing, self.published_ranges)

    @property
    def _requested_slices(self) -> dict[tuple[str, str], RequestedSlice]:
        """Those that the tenant chose, by cloud ID and CIDR."""
        chosen = self.owner.spec.addressing.slices if self.owner else ()
        cloud_ids = {request.name: request.cloud_id for request in self.requests if request.cloud_id}
        return {(cloud_ids[slice_.peer], slice_.cidr): slice_ for slice_ in chosen if slice_.peer in cloud_ids}

    @cached_property
    def start_problems(self) -> Mapping[str, Problem]:
        """By cloud ID, why new peers cannot get an offer: no slices, or an offer that the peer would have to refuse.

        The whole offer is built before anything is changed in OpenStack.
        """
        problems = dict(self.allocation.problems)
        for cloud_id in sorted(self.new_peers - problems.keys()):
            facts = self._facts_for(cloud_id)
            if facts is not None and not facts.subnets and cloud_id in self.ipv4_only:
                problems[cloud_id] = self.ipv4_only[cloud_id]
                continue
            spec = self.offer_to(cloud_id, self.allocation.subnets)
            problem = offer_problem(spec.offer) if spec is not None and spec.offer is not None else None
            if problem is not None:
                problems[cloud_id] = problem
        return problems

    @cached_property
    def target_peers(self) -> frozenset[str]:
        """Peers to stretch the network to now: retained ones, and new ones that can get an offer."""
        return self.retained_peers | (self.new_peers - self.start_problems.keys())

    def offer_to(self, cloud_id: str, record: Sequence[SubnetRecord]) -> ExpansionLinkSpec | None:
        """The spec of our link with the slices in `record`; a new one only with all slices and an unused tunnel ID."""
        link, peer = self.active_links.get(cloud_id), self.snapshot.peer_of(cloud_id)
        mtu, facts = self.offered_mtu(cloud_id), self._facts_for(cloud_id)
        if peer is None or facts is None or mtu is None:
            return None
        if link is not None and link.spec.offer is not None:
            tunnel_id: int | None = link.spec.offer.tunnel_id
        elif has_slices(record, facts, cloud_id, self.ipv4_only):
            tunnel_id = next_tunnel_id(self.snapshot, peer)
        else:
            return None
        if tunnel_id is None:
            return None
        before = link.spec.offer.members if link is not None and link.spec.offer is not None else ()
        return offered_spec(
            self.snapshot.own.cloud_id,
            cloud_id,
            network_identity(self.name),
            facts,
            record,
            tunnel_id=tunnel_id,
            mtu=mtu,
            gateway=self.gateway,
            gateway_choice=self.offered_gateway(cloud_id, record).choice,
            number=self.numbers.get(cloud_id),
            members=offered_members(
                before,
                self._reached_from(cloud_id),
                self._named_to(cloud_id),
                self._has_released(cloud_id),
                lambda count: next_tunnel_ids(self.snapshot, peer, count),
            ),
            routers=router_addresses(self.raw_facts),
            shared=self.shared.addresses,
            group_matching=self.matching_with(cloud_id),
            carried_groups=self.carried.groups if self.carried and self.matching_with(cloud_id) else None,
        )

    @cached_property
    def carried(self) -> CarriedGroups | None:
        """The security groups that are to be made at the peers; None unless the tenant wants it."""
        if self.owner is None or self.facts is None or self.owner.spec.security_groups != "Carried":
            return None
        return carried_groups(self.facts, groups_by_name(self.facts, self.group_matching))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Numbers of the members of the network besides this cloud, by cloud ID."""
        able = {c for c in (*self.active_links, *self.new_peers) if has_feature(self.snapshot, c, Feature.MEMBERS)}
        return numbers_of(self.links, able)

    @cached_property
    def joined(self) -> dict[str, int]:
        """Numbers of the peers that reach each other through this cloud, by cloud ID: those that have accepted."""
        accepting = sorted(self.numbers.keys() & self.retained_peers & self.accepting.keys())
        able = [c for c in accepting if has_feature(self.snapshot, c, Feature.MEMBERS)]
        return {c: self.numbers[c] for c in able[: MAX_MEMBERS + 1]}

    def _reached_from(self, cloud_id: str) -> frozenset[int]:
        """Numbers of the other members that a peer may reach through this cloud."""
        if self.topology == "Decentralized":
            return frozenset()
        return frozenset(n for c, n in self.joined.items() if c != cloud_id and cloud_id in self.joined)

    def _named_to(self, cloud_id: str) -> dict[int, str]:
        """Cloud IDs of the other members that a peer may reach directly, by their numbers."""
        if self.topology == "Centralized" or cloud_id not in self.joined:
            return {}
        disclosed = [c for c in self.joined if (peer := self.snapshot.peer_of(c)) and peer.spec.agreement.disclose]
        return {self.joined[c]: c for c in disclosed if c != cloud_id and cloud_id in disclosed}

    def reachable_from(self, cloud_id: str) -> frozenset[int]:
        """Numbers of the other members that a peer may reach, by either path."""
        return self._reached_from(cloud_id) | self._named_to(cloud_id).keys()

    def matching_with(self, cloud_id: str) -> GroupMatching | None:
        """What is offered to a peer of it; nothing to one that does not know it."""
        return self.group_matching if has_feature(self.snapshot, cloud_id, Feature.SECURITY_GROUPS) else None

    def _has_released(self, cloud_id: str) -> bool:
        """Whether the gateway nodes of both clouds have nothing any more that our link to the peer has retired."""
        link, answer = self.active_links.get(cloud_id), self.answer(cloud_id)
        if link is None or answer is None or answer.installed_generation != link.metadata.generation:
            return False
        held = (path for path in (self.attachment.spec.links if self.attachment else ()) if path.cloud_id == cloud_id)
        used = {path.tunnel_id for each in held for path in each.members}
        return used.isdisjoint(self._retired_tunnel_ids(link)) and not self.late_nodes

    @staticmethod
    def _retired_tunnel_ids(link: ExpansionLink) -> set[int]:
        return {m.tunnel_id for m in (link.spec.offer.members if link.spec.offer else ()) if m.retired and m.tunnel_id}

    @cached_property
    def gateway(self) -> Gateway | None:
        """The gateway node that carries the network."""
        return gateway_for(
            self.snapshot, self.name, self.attachment, (link.spec.gateway for link in self.active_links.values())
        )

    @cached_property
    def original_mtu(self) -> int | None:
        """The network's MTU in bytes before we lowered it."""
        if self.record.original_mtu is not None or self.facts is None or self.facts.network is None:
            return self.record.original_mtu
        return self.facts.network.mtu

    @cached_property
    def annotations(self) -> Mapping[str, str]:
        """Those of our links."""
        return link_annotations(self.record, self.original_mtu)

    def offered_mtu(self, cloud_id: str) -> int | None:
        """The MTU that the network can have with that peer; a published one without a node.

        It is the largest that the network had and that our node can carry to this peer, and to each other one that has
        accepted, and that those can carry: a network has the same MTU in all clouds.
        """
        if self.gateway is None:
            links = (self.active_links.get(cloud_id), *self.active_links.values())
            return next((link.spec.mtu for link in links if link is not None), None)
        others = self.accepting.keys() - {cloud_id}
        carried = [carried_mtu(self.snapshot, self.gateway, self.snapshot.peer_of(c)) for c in (cloud_id, *others)]
        theirs = (self.accepting[other].mtu for other in others)
        original = (self.original_mtu,) if self.original_mtu is not None else ()
        return min(chain(carried, theirs, original))

    def path(self, cloud_id: str) -> AttachmentLink | None:
        """The path to the peer, once it accepts; None without a known gateway."""
        peer, theirs, link = (
            self.snapshot.peer_of(cloud_id),
            self.accepted_spec(cloud_id),
            self.active_links.get(cloud_id),
        )
        if peer is None or theirs is None or link is None or link.spec.offer is None:
            return None
        offer = link.spec.offer
        path = path_to(self.snapshot, peer, offer.tunnel_id, theirs)
        return path.model_copy(update={"number": offer.number, "members": member_paths(offer)}) if path else None

    @cached_property
    def agreed_mtu(self) -> int | None:
        """The smallest MTU to and from all accepting peers, in bytes; None while no peer accepts."""
        theirs = [spec.mtu for spec in self.accepting.values()]
        ours = [mtu for cloud_id in self.accepting if (mtu := self.offered_mtu(cloud_id)) is not None]
        return min([*theirs, *ours], default=None)
