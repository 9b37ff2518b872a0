"""What this cloud's administrators agreed to receive from a peer, and decided about single networks.

Terms are checked before a network is accepted: a limit that is lowered later, or a project that is taken off a list,
does not end what is accepted. Only an administrator's decision about that very network does.
"""

from __future__ import annotations

from isthmus.core.snapshot.index import Snapshot
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.reasons import Reason

_REFUSED = "the administrators of the receiving cloud refuse the network"
_AWAITING = "the administrators of the receiving cloud have not approved the network yet: wait for them"


def refused_by_administrator(snapshot: Snapshot, cloud_id: str, link_name: str) -> Problem | None:
    """The refusal of that network by an administrator, with what the peer may read; None if there is none."""
    approval = snapshot.approval(cloud_id, link_name)
    if approval is None or approval.spec.decision != "Refuse":
        return None
    return Problem(Reason.REFUSED_BY_ADMINISTRATOR, approval.spec.message or _REFUSED)


def missing_approval(snapshot: Snapshot, peer: CloudPeer, link_name: str) -> Problem | None:
    """Why a new network has to wait for an administrator; None if it has not."""
    if peer.spec.agreement.acceptance == "Auto":
        return None
    approval = snapshot.approval(peer.spec.cloud_id, link_name)
    if approval is not None and approval.spec.decision == "Accept":
        return None
    return Problem(Reason.AWAITING_APPROVAL, _AWAITING)


def project_problem(snapshot: Snapshot, peer: CloudPeer, project_id: str) -> Problem | None:
    """Why no new network of that project of the peer is accepted; None if one may be."""
    agreement = peer.spec.agreement
    accepted = agreement.accepted_projects
    if project_id in agreement.refused_projects or (accepted is not None and project_id not in accepted):
        return Problem(Reason.PROJECT_NOT_ACCEPTED, "the receiving cloud accepts no new network of this project")
    if snapshot.has_project_from(peer.spec.cloud_id, project_id):
        return None
    limits = agreement.limits
    if limits.projects is not None and snapshot.projects_from(peer.spec.cloud_id) >= limits.projects:
        return Problem(Reason.LIMIT_REACHED, "the agreed maximum number of projects is reached")
    needed = _reserved_ports(snapshot, peer) + agreement.quotas_of(project_id).ports
    if limits.ports is not None and needed > limits.ports:
        return Problem(Reason.LIMIT_REACHED, "the agreed maximum number of ports leaves no room for another project")
    return None


def _reserved_ports(snapshot: Snapshot, peer: CloudPeer) -> int:
    """The sum of the quotas of ports of all projects that are replicated from the peer.

    It is reserved, not counted: Neutron then keeps each project within its part.
    """
    agreement, cloud_id = peer.spec.agreement, peer.spec.cloud_id
    usual, projects = agreement.quotas.ports, snapshot.projects_from(cloud_id)
    others = (q for q in agreement.project_quotas if snapshot.has_project_from(cloud_id, q.project_id))
    return usual * projects + sum(agreement.quotas_of(other.project_id).ports - usual for other in others)
