"""The state of a peer's ExpansionLink: whether it is published, whether it is valid, which one was accepted last.

A peer's link is untrusted input. If it is refused, the last accepted one stays in force. Absence counts only if a
complete read of a peer that still publishes its PeerLink shows it, and only after the grace period.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Literal

from isthmus.core.federation.agreement import own_tunnel_ids
from isthmus.core.federation.peer import view_of
from isthmus.core.snapshot.conditions import timestamp
from isthmus.core.snapshot.index import Snapshot, is_accepted
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import MAX_MEMBERS
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import (
    ORIGIN_NUMBER,
    ExpansionLink,
    ExpansionLinkSpec,
    Offer,
    OfferedSubnet,
    RemoteExpansionLink,
)
from isthmus.model.facts.peer import Published
from isthmus.model.protocol import READ_AS
from isthmus.model.reasons import Reason
from isthmus.model.types import NETWORK_ID

from .addressing import contains, intersect, merged, size, span_of
from .subnet_rules import hosts_of, subnet_problem

Presence = Literal["Present", "Absent", "Unknown"]


@dataclass(frozen=True)
class RemoteLinkState:
    """The state of a peer's link of one network."""

    presence: Presence
    remote_link: RemoteExpansionLink | None
    """The last accepted one: the published one if it is valid, else the previous one."""
    problem: Problem | None = None
    """Why the published one is refused."""
    absence_confirmed: bool = False
    """Absent for longer than the grace period."""


def remote_link_state(snapshot: Snapshot, peer: CloudPeer, link_name: str) -> RemoteLinkState:
    """The state of the peer's link of that network."""
    cloud_id = peer.spec.cloud_id
    link = snapshot.link(cloud_id, link_name)
    last = link.status.peer if link is not None else None
    view = view_of(snapshot, cloud_id)
    published = view.links.get(link_name)
    if published is None:
        if not _is_absent(snapshot, cloud_id, link_name, link):
            return RemoteLinkState("Unknown", last)
        over = link is None or _grace_period_over(snapshot, cloud_id, link_name)
        return RemoteLinkState("Absent", last, absence_confirmed=over)
    presence: Presence = "Present" if view.complete else "Unknown"
    if published.spec is None:
        return RemoteLinkState(presence, last, Problem(Reason.INVALID_OFFER, f"malformed: {published.problem}"))
    peer_link_uid = view.peer_link.uid if view.peer_link is not None else last.peer_link_uid if last is not None else ""
    is_known = last is not None and (last.uid, last.generation) == (published.uid, published.generation)
    if is_known and last is not None and last.peer_link_uid != peer_link_uid:
        last = last.model_copy(update={"peer_link_uid": peer_link_uid})
    unchanged = is_known and last is not None and last.read_as == READ_AS
    if unchanged and is_accepted(link):
        return RemoteLinkState(presence, last)
    spec = last.spec if unchanged and last is not None else _readable(published, published.spec, last)
    problem = spec if isinstance(spec, Problem) else remote_link_problem(snapshot, peer, link_name, spec)
    if isinstance(spec, Problem) or problem is not None or unchanged:
        return RemoteLinkState(presence, last, problem)
    remote_link = RemoteExpansionLink(
        uid=published.uid,
        generation=published.generation,
        first_seen=last.first_seen if is_known and last is not None else timestamp(snapshot.now),
        read_as=READ_AS,
        peer_link_uid=peer_link_uid,
        spec=spec,
    )
    return RemoteLinkState(presence, remote_link)


def _readable(
    published: Published[ExpansionLinkSpec], spec: ExpansionLinkSpec, last: RemoteExpansionLink | None
) -> ExpansionLinkSpec | Problem:
    """What was published, with the last understood value where one was not understood; or why it cannot be used."""
    if "state" in published.left_out:
        if last is None:
            return Problem(Reason.INVALID_OFFER, "the link's state is unknown to this version of Isthmus")
        spec = spec.model_copy(update={"state": last.spec.state})
    if "answer.verdict" in published.left_out and last is not None:
        before, now = last.spec.answer, spec.answer
        if before is not None and now is not None and before.uid == now.uid:
            verdict = {"verdict": before.verdict, "reason": before.reason}
            spec = spec.model_copy(update={"answer": now.model_copy(update=verdict)})
    known = {subnet.id for subnet in last.spec.offer.subnets} if last is not None and last.spec.offer else set()
    lost = sorted(known & published.left_out_subnets)
    if lost:
        return Problem(Reason.INVALID_OFFER, f"subnet {lost[0]}: not understood by this version of Isthmus")
    return spec


def remote_link_problem(snapshot: Snapshot, peer: CloudPeer, link_name: str, spec: ExpansionLinkSpec) -> Problem | None:
    """Why the spec of a peer's link is refused; None if it is valid."""
    own_id, peer_id = snapshot.own.cloud_id, peer.spec.cloud_id
    if spec.cloud_id != peer_id or spec.peer_cloud_id != own_id:
        return Problem(Reason.WRONG_CLOUD_ID, f"the link is published by {spec.cloud_id} for {spec.peer_cloud_id}")
    if spec.origin.link_name != link_name:
        return Problem(Reason.INVALID_OFFER, "the object's name is not the link name of its network")
    if spec.offer is not None and spec.answer is not None:
        return Problem(Reason.INVALID_OFFER, "a link has an offer or an answer, never both")
    if spec.origin.cloud_id == own_id:
        return (
            None
            if spec.answer is not None
            else Problem(Reason.INVALID_OFFER, "the peer offers a network that this cloud owns")
        )
    if spec.origin.cloud_id != peer_id:
        return Problem(Reason.WRONG_CLOUD_ID, f"the network comes from {spec.origin.cloud_id}, a third cloud")
    if spec.offer is None:
        return Problem(Reason.INVALID_OFFER, "the peer answers about a network that it owns itself")
    if spec.state == "Withdrawn":
        return _duplicate_subnet_id(spec.offer)
    return _tunnel_ids_problem(snapshot, peer, link_name, spec.offer) or offer_problem(spec.offer)


def offer_problem(offer: Offer) -> Problem | None:
    """Why the subnets of an offer are invalid; None if they are valid."""
    for index, subnet in enumerate(offer.subnets):
        problem = _subnet_problem(subnet)
        if problem is not None:
            return Problem(Reason.INVALID_OFFER, f"subnet {subnet.cidr}: {problem}")
        if offer.gateway_choice == "Local" and not subnet.is_ipv6 and subnet.first == subnet.last:
            text = f"subnet {subnet.cidr}: the slice has no address besides that of a gateway"
            return Problem(Reason.INVALID_OFFER, text)
        network = ip_network(subnet.cidr)
        if any(network.overlaps(ip_network(other.cidr)) for other in offer.subnets[:index]):
            return Problem(Reason.INVALID_OFFER, f"subnet {subnet.cidr} overlaps another of the same network")
    return _duplicate_subnet_id(offer) or _members_problem(offer)


def _members_problem(offer: Offer) -> Problem | None:
    numbers = Counter(member.number for member in offer.members)
    named = Counter(offer.named.values())
    own = {ORIGIN_NUMBER, offer.number}
    wrong = next((number for number, count in numbers.items() if count > 1 or number in own), None)
    if offer.number == ORIGIN_NUMBER or (offer.members and offer.number is None):
        return Problem(Reason.INVALID_OFFER, f"the receiver's number is {offer.number}")
    if wrong is not None:
        return Problem(Reason.INVALID_OFFER, f"number {wrong} is that of two members")
    twice = next((cloud_id for cloud_id, count in named.items() if count > 1), None)
    if twice is not None:
        return Problem(Reason.INVALID_OFFER, f"cloud {twice} is named as two members")
    if sum(not member.retired for member in offer.members) > MAX_MEMBERS:
        return Problem(Reason.INVALID_OFFER, f"more than {MAX_MEMBERS} other members")
    return None


def _duplicate_subnet_id(offer: Offer) -> Problem | None:
    """Subnets are a list-map by ID: our API server would reject a status with a duplicate."""
    count = Counter(subnet.id for subnet in offer.subnets)
    duplicate = next((id_ for id_, occurrences in count.items() if occurrences > 1), None)
    return Problem(Reason.INVALID_OFFER, f"subnet ID {duplicate} is used twice") if duplicate else None


def _subnet_problem(subnet: OfferedSubnet) -> str | None:
    problem = subnet_problem(subnet.cidr, subnet.gateway_ip, subnet.ipv6_address_mode)
    if problem is not None:
        return problem
    if subnet.is_automatic == (subnet.first is not None) or (subnet.first is None) != (subnet.last is None):
        return "has no slice" if not subnet.is_automatic else f"has a slice, but {subnet.ipv6_address_mode} knows none"
    spans, hosts = [span_of(range_) for range_ in subnet.ranges], hosts_of(ip_network(subnet.cidr))
    for range_, span in zip(subnet.ranges, spans, strict=True):
        if span[0] > span[1] or intersect(hosts, (span,)) != (span,):
            return f"the slice {range_.first}-{range_.last} is outside the subnet"
    if size(merged(spans)) != sum(size((span,)) for span in spans):
        return "two ranges of the slice overlap"
    if subnet.gateway_ip is not None and contains(merged(spans), subnet.gateway_ip):
        return f"the gateway {subnet.gateway_ip} is inside the slice"
    return None


def _tunnel_ids_problem(snapshot: Snapshot, peer: CloudPeer, link_name: str, offer: Offer) -> Problem | None:
    twice = next((tunnel_id for tunnel_id, count in Counter(offer.tunnel_ids).items() if count > 1), None)
    if twice is not None:
        return Problem(Reason.TUNNEL_ID_IN_USE, f"tunnel ID {twice} is offered twice for one network")
    problems = (_tunnel_id_problem(snapshot, peer, link_name, tunnel_id) for tunnel_id in offer.tunnel_ids)
    return next((problem for problem in problems if problem is not None), None)


def _tunnel_id_problem(snapshot: Snapshot, peer: CloudPeer, link_name: str, tunnel_id: int) -> Problem | None:
    allowed = own_tunnel_ids(peer.spec.tunnel.id_range, peer.spec.cloud_id, snapshot.own.cloud_id)
    if tunnel_id not in allowed:
        return Problem(
            Reason.INVALID_TUNNEL_ID,
            f"tunnel ID {tunnel_id} is outside the origin's part {allowed.start}-{allowed.stop - 1} of the range",
        )
    if _is_used_by_another(snapshot, peer.spec.cloud_id, link_name, tunnel_id):
        return Problem(Reason.TUNNEL_ID_IN_USE, f"tunnel ID {tunnel_id} belongs to another network of the same origin")
    return None


def _is_used_by_another(snapshot: Snapshot, cloud_id: str, link_name: str, tunnel_id: int) -> bool:
    """Whether another network of the peer has it: a connected or accepted one, or an offer that sorts before this."""
    first = snapshot.views.first_offer_with(cloud_id, tunnel_id)
    offered_before = first is not None and first < link_name
    return offered_before or bool(snapshot.networks_with_tunnel_id(cloud_id, tunnel_id) - {link_name})


def absent_from(snapshot: Snapshot, link_name: str) -> frozenset[str]:
    """Cloud IDs of the peers whose complete view proves that they do not publish the network, though we do."""
    clouds = {link.spec.peer_cloud_id: link for link in snapshot.links_of(link_name)}
    return frozenset(cloud_id for cloud_id, link in clouds.items() if _is_absent(snapshot, cloud_id, link_name, link))


def _is_absent(snapshot: Snapshot, cloud_id: str, link_name: str, link: ExpansionLink | None) -> bool:
    view = view_of(snapshot, cloud_id)
    last = link.status.peer if link is not None else None
    return view.complete and link_name not in view.links and _same_peer_link(snapshot, cloud_id, last)


def _same_peer_link(snapshot: Snapshot, cloud_id: str, last: RemoteExpansionLink | None) -> bool:
    """Whether the peer still publishes the PeerLink that was published alongside the link: else absence means nothing.

    For a link that was never read, it is compared with the PeerLink that was accepted last.
    """
    published = view_of(snapshot, cloud_id).peer_link
    if published is None:
        return False
    if last is not None:
        return last.peer_link_uid == published.uid
    ours = snapshot.peerlink(cloud_id)
    return ours is not None and ours.status.peer is not None and ours.status.peer.uid == published.uid


def _grace_period_over(snapshot: Snapshot, cloud_id: str, link_name: str) -> bool:
    absent_seconds = snapshot.absent_seconds.get((cloud_id, link_name))
    return absent_seconds is not None and absent_seconds >= snapshot.own.absence_grace_seconds


def is_link_name_of(link_name: str, cloud_id: str) -> bool:
    """Whether the name is a valid link name of a network of that cloud; a peer may publish any name."""
    return origin_of(link_name) == cloud_id and NETWORK_ID.fullmatch(link_name.partition(".")[2]) is not None


def origin_of(link_name: str) -> str:
    """The cloud ID in a link name, which is that of the origin; cloud IDs contain no dot."""
    return link_name.partition(".")[0]
