"""Whether the replica of a peer's project can be used: its administrators here may have disabled or deleted it.

That is their decision, which is neither undone nor worked around by another project: what exists stays as it is, and
nothing new is created.
"""

from __future__ import annotations

from isthmus.model.actions import Problem
from isthmus.model.facts.openstack import NetworkFacts
from isthmus.model.reasons import Reason

from .state import Receiver

_END = (
    "to have the network removed, refuse it by an ExpansionApproval (decision: Refuse); if it is accepted again later, "
    "a project is made for it"
)


def not_usable(receiver: Receiver) -> Problem | None:
    """Why nothing is created in the project; None if it can be used, or is not needed any more."""
    facts, recorded = receiver.facts, receiver.record.project_id
    if facts is None or receiver.intent != "Replicate":
        return None
    if facts.project is None and recorded is not None:
        return Problem(
            Reason.PROJECT_NOT_USABLE, f"project {recorded} was deleted in Keystone, and is not made again: {_END}"
        )
    if facts.project is not None and not facts.project.enabled:
        return Problem(
            Reason.PROJECT_NOT_USABLE,
            f"project {facts.project.id} is disabled in Keystone, and is left so: enable it; {_END}",
        )
    if facts.domain is not None and not facts.domain.enabled and not is_partially_removed(receiver, facts):
        return Problem(
            Reason.PROJECT_NOT_USABLE,
            f"domain {facts.domain.id} is disabled in Keystone, and is left so: enable it; {_END}",
        )
    return None


def is_partially_removed(receiver: Receiver, facts: NetworkFacts) -> bool:
    """Whether we disabled the domain ourselves to delete it: between these two calls the process may end."""
    empty = facts.project is None and facts.projects_in_domain == 0
    return facts.domain is not None and receiver.domain_is_ours and not facts.domain.enabled and empty
