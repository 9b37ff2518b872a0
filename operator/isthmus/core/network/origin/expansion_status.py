"""Status of NetworkExpansions, for tenants."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.core.network.link_status import LEFT_ALONE, address_conflict, degraded, explained
from isthmus.core.network.origin.status import lacking_remote_ports, origin_conflicts, origin_progress
from isthmus.core.snapshot.conditions import false, readiness, true, with_transition_times
from isthmus.core.snapshot.summary import ratio
from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, Offer
from isthmus.model.api.v1alpha1.networkexpansion import (
    AddressSlice,
    ExpansionPeerStatus,
    NetworkExpansion,
    NetworkExpansionStatus,
)
from isthmus.model.reasons import EXPLANATIONS, ConditionType, Reason
from isthmus.model.text import listed

from .admission import PeerRequest, admission_problem, claims, peer_requests, request_problem
from .draining import peers_draining
from .gateway_choice import gateways_of_receiver
from .ipv6 import left_by_origin
from .members_status import members_connected
from .restrictions import restrictions
from .shared import shared_addresses_ignored
from .shortage import shortages
from .state import Origin

_MAX_MESSAGE_CHARACTERS = 1024


def expansion_statuses(origin: Origin, failure: Problem | None) -> tuple[NetworkExpansion, ...]:
    """All expansions of one network with the status that they should have."""
    condition = degraded(origin.snapshot, failure)
    shown = failure and _for_tenants(failure)
    if shown and condition.status == "True":
        condition = degraded(origin.snapshot, shown)
    return tuple(
        _with_status(origin, expansion, shown, condition) for expansion in claims(origin.snapshot, origin.name)
    )


def _for_tenants(failure: Problem) -> Problem:
    """The reason with a general text: what failed names hosts, URLs and files that tenants must not learn."""
    if failure.reason == Reason.DRIFT_CONTESTED:  # about the tenant's own network, and perhaps the tenant's doing
        return failure
    text = f"{EXPLANATIONS[failure.reason].meaning} The administrators of this cloud see the details."
    return Problem(failure.reason, text)


def _with_status(
    origin: Origin, expansion: NetworkExpansion, failure: Problem | None, degraded_: Condition
) -> NetworkExpansion:
    facts = origin.raw_facts
    unconsidered = request_problem(origin.snapshot, expansion)
    problem = admission_problem(origin.snapshot, expansion, facts) if facts else unconsidered or failure
    is_owner = origin.owner is not None and origin.owner.metadata == expansion.metadata
    is_unasked = facts is None and unconsidered is None and failure is None  # no peer can get it: no owner is needed
    if is_unasked:
        requests = peer_requests(origin.snapshot, expansion, origin.name)
    else:
        requests = origin.requests if is_owner else ()
    problems = {request.name: _peer_problem(origin, request, failure) for request in requests}
    ready = {name for name, missing in problems.items() if missing is None}
    conditions = [*readiness(_problem(expansion, problem, is_owner or is_unasked, problems, failure))]
    if is_owner:
        conditions.append(degraded_)
    if is_owner or is_unasked:
        conditions += peers_draining(origin.snapshot, requests)
    if is_owner and facts:
        conditions += shared_addresses_ignored(origin.shared)
        conditions.append(address_conflict(origin_conflicts(origin), expansion.status.conditions))
        conditions += [_subnets(origin), *_gateways(origin)] if origin.active_links else []
        conditions += [*members_connected(origin), *shortages(origin), *restrictions(facts)]
        conditions += lacking_remote_ports(origin)
    network = facts.network if facts is not None and problem is None else None
    status = NetworkExpansionStatus(
        observed_generation=expansion.metadata.generation,
        conditions=with_transition_times(
            expansion.status.conditions, conditions, expansion.metadata.generation, origin.snapshot.now
        ),
        network_name=network.name if network else None,
        project_id=network.project_id if network else None,
        mtu=origin.agreed_mtu if is_owner else None,
        peers_ready=ratio(peer.name in ready for peer in expansion.spec.peers),
        peers=tuple(_peer(origin, request, problems[request.name]) for request in requests),
    )
    return expansion.model_copy(update={"status": status})


def _subnets(origin: Origin) -> Condition:
    """False if the tenant added subnets, after the network was stretched, that cannot be."""
    if origin.unsupported_cidrs:
        cidrs = listed(origin.unsupported_cidrs)
        text = f"not stretched: {cidrs} (outside the rules for subnets, or more than can be stretched)"
        return false(ConditionType.SUBNETS_STRETCHED, Reason.UNSUPPORTED_SUBNET, text)
    if problem := _not_offered(origin):
        return false(ConditionType.SUBNETS_STRETCHED, problem.reason, problem.message[:_MAX_MESSAGE_CHARACTERS])
    if omitted := _omitted(origin):
        text = f"left out, because they are no addresses: {listed(omitted)}"
        return false(ConditionType.SUBNETS_STRETCHED, Reason.DETAILS_OMITTED, text[:_MAX_MESSAGE_CHARACTERS])
    return true(ConditionType.SUBNETS_STRETCHED, Reason.ALL_STRETCHED)


def _not_offered(origin: Origin) -> Problem | None:
    """Why peers are not offered the IPv6 subnets that the network has; None if they are."""
    cidrs = ", ".join(s.cidr for s in (origin.facts.subnets if origin.facts else ()) if s.ip_version == 6)
    problems = [origin.ipv4_only[c] for c in sorted(origin.active_links) if c in origin.ipv4_only] if cidrs else []
    if not problems:
        return None
    texts = "; ".join(problem.message for problem in problems)
    return Problem(problems[0].reason, f"{cidrs} not stretched to all peers: {texts}")


def _gateways(origin: Origin) -> list[Condition]:
    """True if a peer uses the origin's gateway although the tenant chose another; none is present otherwise."""
    offered = (origin.offered_gateway(cloud_id, origin.record.subnets) for cloud_id in sorted(origin.active_links))
    problems = [problem for each in offered if (problem := each.problem) is not None]
    subnets = origin.facts.subnets if origin.facts else ()
    problems += left_by_origin(sorted(origin.active_links), origin.chosen_gateways, subnets)
    if not problems:
        return []
    text = "; ".join(problem.message for problem in problems)[:_MAX_MESSAGE_CHARACTERS]
    return [true(ConditionType.GATEWAY_IGNORED, problems[0].reason, text)]


def _omitted(origin: Origin) -> tuple[str, ...]:
    """What of the subnets and ports cannot be published."""
    if origin.facts is None:
        return ()
    of_subnets = (f"{text} of subnet {s.cidr}" for s in origin.facts.subnets for text in s.omitted)
    of_ports = (f"{text} of port {p.id}" for p in origin.facts.ports for text in p.omitted)
    return (*of_subnets, *of_ports)


def _problem(
    expansion: NetworkExpansion,
    problem: Problem | None,
    is_owner: bool,
    peers: Mapping[str, Problem | None],
    failure: Problem | None,
) -> Problem | None:
    if expansion.metadata.deletion_timestamp:
        waiting = Problem(Reason.WITHDRAWING, "withdrawing the network from its peers")
        return failure or waiting
    if problem is not None:
        return problem
    if not is_owner:
        return Problem(
            Reason.NETWORK_ALREADY_EXPANDED, "another NetworkExpansion stretches this network: add the peers there"
        )
    first = next(((name, missing) for name, missing in peers.items() if missing is not None), None)
    if first is None:
        return None if peers else failure
    name, missing = first
    return Problem(missing.reason, f"{name}: {missing.message}")


def _peer(origin: Origin, request: PeerRequest, problem: Problem | None) -> ExpansionPeerStatus:
    link = origin.links.get(request.cloud_id or "")
    offer = link.spec.offer if link else None
    return ExpansionPeerStatus(
        name=request.name,
        cloud_id=request.cloud_id,
        ready=problem is None,
        reason=problem.reason if problem else Reason.READY,
        message=problem.message[:1024] if problem else "",
        tunnel_id=offer.tunnel_id if offer else None,
        mtu=link.status.mtu if link else None,
        slices=_slices(offer) if offer else (),
        gateway_addresses=gateways_of_receiver(offer, origin.accepted_spec(request.cloud_id or "")) if offer else (),
    )


def _slices(offer: Offer) -> tuple[AddressSlice, ...]:
    return tuple(AddressSlice(cidr=s.cidr, first=r.first, last=r.last) for s in offer.subnets for r in s.ranges)


def _peer_problem(origin: Origin, request: PeerRequest, failure: Problem | None) -> Problem | None:
    """Why the expansion to one peer is not ready; a failure in this cloud explains all of them."""
    # After a failure the offer may not be computable, and its problem would not be shown.
    has_failed = failure is not None and failure.reason not in LEFT_ALONE
    start_problems = {} if has_failed else origin.start_problems
    start_problem = start_problems.get(request.cloud_id or "")
    problem = _peer_progress(origin, request, origin.links.get(request.cloud_id or ""), start_problem)
    return explained(problem, failure)


def _peer_progress(
    origin: Origin, request: PeerRequest, link: ExpansionLink | None, start_problem: Problem | None
) -> Problem | None:
    if request.problem is not None:
        return request.problem
    if link is None or request.cloud_id is None:
        return start_problem or Problem(Reason.PREPARING_OFFER, "preparing the offer")
    return origin_progress(origin, request.cloud_id) or start_problem
