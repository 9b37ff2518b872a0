"""Status of ExpansionApprovals: what has become of an administrator's decision about a network of a peer."""

from __future__ import annotations

from isthmus.core.federation.peer import view_of
from isthmus.core.network.receiver.state import Receiver
from isthmus.core.network.receiver.status import receiver_progress
from isthmus.core.snapshot.conditions import readiness, true, with_progress, with_transition_times
from isthmus.core.snapshot.index import is_accepted
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval, ExpansionApprovalStatus
from isthmus.model.reasons import ConditionType, Reason


def approval_statuses(receiver: Receiver, failure: Problem | None) -> tuple[ExpansionApproval, ...]:
    """All ExpansionApprovals with the network's name, with the status that they should have."""
    approvals = receiver.snapshot.approvals_of(receiver.name)
    return tuple(_with_status(receiver, approval, failure) for approval in approvals)


def _with_status(receiver: Receiver, approval: ExpansionApproval, failure: Problem | None) -> ExpansionApproval:
    generation = approval.metadata.generation
    conditions = _conditions(receiver, approval, failure)
    status = ExpansionApprovalStatus(
        observed_generation=generation,
        conditions=with_transition_times(approval.status.conditions, conditions, generation, receiver.snapshot.now),
    )
    return approval.model_copy(update={"status": status})


def _conditions(receiver: Receiver, approval: ExpansionApproval, failure: Problem | None) -> tuple[Condition, ...]:
    unknown = _unknown_network(receiver, approval)
    if unknown is not None:
        return readiness(unknown)
    in_force = _in_force(receiver, approval)
    if in_force is not None:
        return with_progress(true(ConditionType.READY, Reason.DECISION_IN_FORCE, in_force))
    return readiness(failure or _waits_for(receiver))


def _unknown_network(receiver: Receiver, approval: ExpansionApproval) -> Problem | None:
    """Why the approval is not about a network that is offered; None if it is."""
    name, namespace = approval.metadata.name, approval.metadata.namespace or ""
    if receiver.peer is None or namespace != names.peer_namespace(receiver.cloud_id):
        return Problem(
            Reason.NOT_OFFERED,
            f"{name} in namespace {namespace} stands for no network of a peer: use the name and the namespace of an "
            "ExpansionLink",
        )
    if receiver.link is not None or receiver.attachment is not None or receiver.agreement_ended:
        return None
    peer, presence = receiver.peer.metadata.name, receiver.remote_link_state.presence
    if presence == "Absent":
        return Problem(
            Reason.NOT_OFFERED,
            f"{peer} offers no network of that name, or not any more: the decision applies once it does",
        )
    view = view_of(receiver.snapshot, receiver.cloud_id)
    if presence == "Unknown" and receiver.name not in view.links:
        reason = Reason.WAITING_FOR_PEER if view.reachable else view.reason
        return Problem(reason, f"what {peer} offers is not known yet: see CloudPeer {peer}")
    return None


def _in_force(receiver: Receiver, approval: ExpansionApproval) -> str | None:
    """What has been done, in a sentence; None if the decision is not in force."""
    link = receiver.link
    if link is None or link.spec.answer is None or receiver.intent == "Remove":
        return None
    if approval.spec.decision == "Accept":
        return "the network is accepted" if is_accepted(link) and receiver.intent == "Replicate" else None
    if link.spec.answer.reason != Reason.REFUSED_BY_ADMINISTRATOR:
        return None
    kept = receiver.attachment is not None
    return "the network is refused" + ("; its replica is being removed: see the Attachment" if kept else "")


def _waits_for(receiver: Receiver) -> Problem | None:
    if receiver.intent == "Hold":
        return Problem(Reason.WAITING_FOR_AGREEMENT, "there is no agreement with the peer yet: see its CloudPeer")
    if receiver.intent == "Refuse" and is_accepted(receiver.link):
        return Problem(Reason.WITHDRAWING, "disconnecting the network")
    return receiver_progress(receiver) or Problem(Reason.CREATING_REPLICA, "creating the replica")
