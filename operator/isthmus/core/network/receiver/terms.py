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
