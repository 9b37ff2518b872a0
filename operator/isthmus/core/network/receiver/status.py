"""Status of a network of a peer: our link and its Attachment."""

from __future__ import annotations

from isthmus.core.federation.drain import draining
from isthmus.core.network.attachment import published_ports
from isthmus.core.network.carried_groups import replica_conditions
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
from isthmus.core.network.port_slices import remote_ports_of
from isthmus.core.network.receiver.plan import ports_in_use, project_to_delete
from isthmus.core.network.receiver.remote_ports import planned_remote_ports, reserved_addresses
from isthmus.core.network.receiver.replica import gateways_in_use
from isthmus.core.network.receiver.replica_gateways import NEUTRAL_MESSAGE
from isthmus.core.network.receiver.state import Receiver
from isthmus.core.network.remote_ports import remote_port_conditions
from isthmus.core.network.security_groups import group_conditions
from isthmus.core.snapshot.conditions import false, readiness, true
from isthmus.core.snapshot.index import is_accepted
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.reasons import ConditionType, Reason
from isthmus.model.text import listed


def receiver_links(receiver: Receiver, failure: Problem | None) -> tuple[ExpansionLink, ...]:
    """Our link of the network, if there is one, with the status that it should have."""
    if receiver.link is None:
        return ()
    progress = without_local_details(receiver_progress(receiver), failure)
    mtu = receiver.agreed_mtu if receiver.intent == "Replicate" else None
    status = link_status(receiver.snapshot, receiver.link, receiver.remote_link_state, mtu, progress)
    return (receiver.link.model_copy(update={"status": status}),)


def receiver_attachment(receiver: Receiver, failure: Problem | None) -> Attachment | None:
    """The Attachment of the network with its conditions; None if there is none."""
    progress, in_use = receiver_progress(receiver), _in_use(receiver)
    if in_use.status == "True":
        progress = Problem(Reason.REPLICA_IN_USE, in_use.message)
    elif progress is not None and progress.reason == Reason.GATEWAY_IN_USE:
        progress = gateways_in_use(receiver) or progress  # names what only this cloud may read
    conditions = (
        *readiness(explained(progress, failure)),
        degraded(receiver.snapshot, failure),
        in_use,
        *draining(receiver.snapshot, receiver.cloud_id, receiver.cloud_id),
        address_conflict(_receiver_conflicts(receiver), conditions_of(receiver.attachment)),
        *_remote_ports(receiver),
    )
    return with_conditions(receiver.attachment, conditions, receiver.snapshot.now)


def _remote_ports(receiver: Receiver) -> list[Condition]:
    plan, limit = planned_remote_ports(receiver), receiver.snapshot.own.remote_ports_per_network
    groups = group_conditions(receiver.group_matching, limit) if receiver.intent == "Replicate" else []
    taken = replica_conditions(receiver.facts, receiver.carried_groups, receiver.cloud_id)
    return [*remote_port_conditions(plan, limit), *groups, *taken]


def _receiver_conflicts(receiver: Receiver) -> Conflicts:
    if (
        receiver.facts is None
        or receiver.offer is None
        or receiver.remote_link is None
        or receiver.intent != "Replicate"
    ):
        return Conflicts()
    theirs = remote_ports_of(receiver.snapshot, receiver.cloud_id, receiver.remote_link.spec).own
    ours = published_ports(receiver.facts, ipv6=receiver.offer.has_ipv6)
    reserved = frozenset((*reserved_addresses(receiver), *(receiver.remote_link.spec.reserved_addresses or ())))
    messages = conflicts(receiver.offer, ours, theirs.ports, receiver.cloud_id, at_origin=False, reserved=reserved)
    return Conflicts(messages, theirs.complete)


def _in_use(receiver: Receiver) -> Condition:
    if receiver.intent not in {"Remove", "Refuse"}:
        return false(ConditionType.REPLICA_IN_USE, Reason.NOT_WITHDRAWN)
    if ports := ports_in_use(receiver):
        return true(
            ConditionType.REPLICA_IN_USE,
            Reason.PORTS_LEFT,
            f"the replica is kept until these ports are deleted: {', '.join(ports)}",
        )
    if (project_id := project_to_delete(receiver)) and receiver.facts and receiver.facts.unseen_services:
        services = listed(receiver.facts.unseen_services)
        return true(
            ConditionType.REPLICA_IN_USE,
            Reason.PROJECT_KEPT,
            f"project {project_id} is kept, for it may hold resources of other services ({services}): delete it, or "
            f"annotate the CloudPeer with {names.DELETE_PROJECTS_ANNOTATION}=true",
        )
    if project_id := project_to_delete(receiver):
        return true(
            ConditionType.REPLICA_IN_USE,
            Reason.PROJECT_NOT_EMPTY,
            f"project {project_id} is kept until it is empty in Neutron",
        )
    return false(ConditionType.REPLICA_IN_USE, Reason.NOTHING_LEFT)


def receiver_progress(receiver: Receiver) -> Problem | None:
    """What the network waits for; None if it is ready."""
    remote_link_state = receiver.remote_link_state
    if receiver.agreement_ended:
        return Problem(Reason.WITHDRAWING, "the agreement has ended")
    if receiver.intent == "Remove":
        return Problem(Reason.WITHDRAWING, "the origin has withdrawn the network")
    if receiver.intent == "Refuse":
        return receiver.refusal
    if remote_link_state.problem is not None:
        return remote_link_state.problem
    if not is_accepted(receiver.link):
        return Problem(Reason.CREATING_REPLICA, "creating the replica")
    if receiver.path() is None:
        return Problem(
            Reason.PEER_HAS_NO_GATEWAY, "the peer's active gateway for this network is missing from its PeerLink"
        )
    progress = connection_progress(receiver.attachment, receiver.facts, receiver.gateway, receiver.cloud_id)
    return (
        Problem(Reason.GATEWAY_IN_USE, NEUTRAL_MESSAGE) if progress is None and gateways_in_use(receiver) else progress
    )
