"""What a tenant is told of an expansion."""

from __future__ import annotations

from isthmus.model.actions import Problem
from isthmus.model.expansionlink import ExpansionLink
from isthmus.model.networkexpansion import (
    AddressSlice,
    ExpansionPeerStatus,
    NetworkExpansion,
    NetworkExpansionStatus,
)
from isthmus.model.objects import Condition

from .attachmentstatus import address_conflict, origin_conflicts
from .conditions import carried_over, false, judged, true
from .expansion import Wish, admission_problem, claims
from .linkstatus import origin_progress
from .offer import printable
from .origin import Origin

_SHOWN = 10


def expansion_statuses(origin: Origin, failure: Problem | None) -> tuple[NetworkExpansion, ...]:
    """All expansions of one network with the status that they should have."""
    return tuple(_with_status(origin, expansion, failure) for expansion in claims(origin.snapshot, origin.name))


def _with_status(origin: Origin, expansion: NetworkExpansion, failure: Problem | None) -> NetworkExpansion:
    facts = origin.found
    problem = admission_problem(origin.snapshot, expansion, facts) if facts else failure
    holds = origin.holder is not None and origin.holder.metadata == expansion.metadata
    peers = tuple(_peer(origin, wish, failure) for wish in origin.wishes) if holds else ()
    told = judged("Ready", _problem(expansion, problem, holds, peers, failure))
    conditions = [told]
    if holds and facts:
        conditions += [address_conflict(origin_conflicts(origin)), *([_subnets(origin)] if origin.active else [])]
    network = facts.network if facts is not None and problem is None else None
    status = NetworkExpansionStatus(
        observed_generation=expansion.metadata.generation,
        conditions=carried_over(
            expansion.status.conditions, conditions, expansion.metadata.generation, origin.snapshot.now
        ),
        network_name=printable(network.name) if network else None,
        project_id=network.project_id if network else None,
        mtu=origin.agreed_mtu if holds else None,
        peers=peers,
    )
    return expansion.model_copy(update={"status": status})


def _subnets(origin: Origin) -> Condition:
    """What a tenant has added since and cannot be stretched."""
    if not origin.left_out:
        return true("SubnetsStretched", "All")
    cidrs = ", ".join(origin.left_out[:_SHOWN])
    text = f"only the machines of this cloud have {cidrs}: it is IPv6, or more than can be stretched"
    return false("SubnetsStretched", "UnsupportedSubnet", text)


def _problem(
    expansion: NetworkExpansion,
    problem: Problem | None,
    holds: bool,
    peers: tuple[ExpansionPeerStatus, ...],
    failure: Problem | None,
) -> Problem | None:
    if expansion.metadata.deletion_timestamp:
        waiting = Problem("Withdrawing", "the network is being taken back")
        return failure or waiting
    if problem is not None:
        return problem
    if not holds:
        return Problem("NetworkAlreadyExpanded", "another NetworkExpansion stretches this network")
    missing = next((peer for peer in peers if not peer.ready), None)
    if missing is None:
        return None if peers else failure
    return Problem(missing.reason, f"{missing.name}: {missing.message}")


def _peer(origin: Origin, wish: Wish, failure: Problem | None) -> ExpansionPeerStatus:
    link = origin.links.get(wish.cloud_id or "")
    problem = _peer_problem(origin, wish, link)
    if problem is not None and failure is not None:
        problem = failure
    offer = link.spec.offer if link else None
    return ExpansionPeerStatus(
        name=wish.name,
        cloud_id=wish.cloud_id,
        ready=problem is None,
        reason=problem.reason if problem else "Ready",
        message=problem.message[:1024] if problem else "",
        tunnel_id=offer.tunnel_id if offer else None,
        mtu=link.status.mtu if link else None,
        slices=tuple(AddressSlice(cidr=s.cidr, first=s.first, last=s.last) for s in offer.subnets) if offer else (),
    )


def _peer_problem(origin: Origin, wish: Wish, link: ExpansionLink | None) -> Problem | None:
    if wish.problem is not None:
        return wish.problem
    divided = origin.division.problems.get(wish.cloud_id or "")
    if link is None or wish.cloud_id is None:
        return divided or Problem("Publishing", "the offer is being prepared")
    return origin_progress(origin, wish.cloud_id) or divided
