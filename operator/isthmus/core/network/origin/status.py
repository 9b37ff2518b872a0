"""Status of a network that this cloud owns: its links and its Attachment."""

from __future__ import annotations

from isthmus.core.network.attachment import published_ports
from isthmus.core.network.carried_groups import carrying_conditions
from isthmus.core.network.conflicts import Conflicts, conflicts
from isthmus.core.network.link_status import (
    address_conflict,
    conditions_of,
    connection_progress,
    degraded,
    explained,
    link_status,
    with_conditions,
    without_local_details,
)
from isthmus.core.network.origin.remote_ports import (
    planned_remote_ports,
    ports_not_passed_on,
    reserved_at,
    reserved_for,
)
from isthmus.core.network.origin.state import Origin
from isthmus.core.network.port_slices import remote_ports_of
from isthmus.core.network.remote_ports import remote_port_conditions
from isthmus.core.network.security_groups import group_conditions
from isthmus.core.snapshot.conditions import readiness
from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.expansionlink import Answer, ExpansionLink
from isthmus.model.reasons import ANSWER_REASONS, Reason


def origin_links(origin: Origin, failure: Problem | None) -> tuple[ExpansionLink, ...]:
    """Our links of the network with the status that they should have."""
    return tuple(_origin_link(origin, cloud_id, failure) for cloud_id in sorted(origin.links))


def origin_attachment(origin: Origin, failure: Problem | None) -> Attachment | None:
    """The Attachment of the network with its conditions; None if there is none."""
    progress = [p for cloud_id in sorted(origin.active_links) if (p := origin_progress(origin, cloud_id)) is not None]
    problem = (
        next(iter(progress), None)
        if origin.active_links
        else Problem(Reason.NOT_CONNECTED, "not connected to any peer")
    )
    problem = explained(problem, failure)
    conflict = address_conflict(origin_conflicts(origin), conditions_of(origin.attachment))
    others = degraded(origin.snapshot, failure), conflict, *lacking_remote_ports(origin)
    return with_conditions(origin.attachment, (*readiness(problem), *others), origin.snapshot.now)


def lacking_remote_ports(origin: Origin) -> list[Condition]:
    """The conditions while machines of peers lack a port anywhere, or groups do not mean the same; none otherwise."""
    plan, limit = planned_remote_ports(origin) if origin.active_links else None, _limit(origin)
    too_old = [c for c in sorted(origin.active_links) if origin.matching_with(c) is None]
    groups = group_conditions(origin.group_matching, limit, too_old) if origin.active_links else []
    left_out = origin.carried.left_out if origin.carried and origin.active_links else ()
    lacking = remote_port_conditions(plan, limit) or ports_not_passed_on(origin)
    return [*lacking, *groups, *carrying_conditions(left_out)]


def _limit(origin: Origin) -> int:
    return origin.snapshot.own.remote_ports_per_network


def origin_conflicts(origin: Origin) -> Conflicts:
    """Addresses in use outside their owner's slice, for all peers."""
    found = Conflicts()
    for cloud_id, link in sorted(origin.active_links.items()):
        if origin.facts is None or link.spec.offer is None:
            continue
        theirs = remote_ports_of(origin.snapshot, cloud_id, origin.accepted_spec(cloud_id)).own
        ours = published_ports(origin.facts, ipv6=link.spec.offer.has_ipv6)
        reserved = frozenset((*reserved_for(origin, cloud_id), *reserved_at(origin, cloud_id)))
        messages = conflicts(link.spec.offer, ours, theirs.ports, cloud_id, at_origin=True, reserved=reserved)
        new = tuple(message for message in messages if message not in found.messages)  # the same with several peers
        found += Conflicts(new, theirs.complete)
    return found


def _origin_link(origin: Origin, cloud_id: str, failure: Problem | None) -> ExpansionLink:
    link, theirs = origin.links[cloud_id], origin.accepted_spec(cloud_id)
    progress = without_local_details(origin_progress(origin, cloud_id), failure)
    mtu = min(link.spec.mtu, theirs.mtu) if theirs else None
    status = link_status(origin.snapshot, link, origin.remote_link_state(cloud_id), mtu, progress)
    return link.model_copy(update={"status": status})


def origin_progress(origin: Origin, cloud_id: str) -> Problem | None:
    """What the network waits for towards one peer; None if it is ready."""
    link, remote_link_state, answer = (
        origin.links[cloud_id],
        origin.remote_link_state(cloud_id),
        origin.answer(cloud_id),
    )
    if link.spec.state == "Withdrawn" and origin.is_released(cloud_id) and origin.late_nodes:
        nodes = ", ".join(origin.late_nodes)
        return Problem(Reason.WAITING_FOR_AGENT, f"gateway node {nodes} may still use what was withdrawn")
    if link.spec.state == "Withdrawn":
        return Problem(Reason.WAITING_FOR_RELEASE, "waiting for the peer to release the withdrawn network")
    if remote_link_state.problem is not None:
        return remote_link_state.problem
    remote_link = origin.remote_link(cloud_id)
    if remote_link is None or answer is None:
        return Problem(Reason.WAITING_FOR_PEER, "waiting for the peer's answer")
    if remote_link.spec.state == "Withdrawn":
        return Problem(Reason.PEER_WITHDRAWN, "the peer has ended the agreement")
    gateways = _gateway_problem(answer)
    if gateways is None and (answer.reason != Reason.ACCEPTED or answer.verdict != "Accepted"):
        # A reason is a metric label, and our administrators look it up: accept known values only from another cloud.
        reason = Reason.parse(answer.reason, Reason.REFUSED)
        return Problem(reason if reason in ANSWER_REASONS else Reason.REFUSED, answer.message)
    if origin.path(cloud_id) is None:
        return Problem(
            Reason.PEER_HAS_NO_GATEWAY, "the peer's active gateway for this network is missing from its PeerLink"
        )
    return connection_progress(origin.attachment, origin.facts, origin.gateway, cloud_id) or gateways


def _gateway_problem(answer: Answer) -> Problem | None:
    """Why the receiver has other gateways than are offered; what prevents all traffic is reported first."""
    has_others = answer.verdict == "Accepted" and answer.reason == Reason.GATEWAY_IN_USE
    return Problem(Reason.GATEWAY_IN_USE, answer.message) if has_others else None
