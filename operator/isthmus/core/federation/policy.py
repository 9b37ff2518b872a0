"""What is wrong with a stored IPsecPolicy that the API server would refuse today."""

from __future__ import annotations

from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1 import ipsecpolicy
from isthmus.model.api.v1alpha1.ipsecpolicy import DEFAULT_MARGIN_DIVISOR, ESP, IKE, IPsecPolicy, IPsecPolicySpec
from isthmus.model.proposals import Protocol, is_hybrid, proposal_problem
from isthmus.model.reasons import Reason


def policy_problem(policy: IPsecPolicy) -> Problem | None:
    """Why a policy cannot be offered to a peer; None if it can.

    What was agreed by an earlier version of it stays in force.
    """
    name, spec = policy.metadata.name, policy.spec
    for protocol in ("IKE", "ESP"):
        weak = _weak_proposal(protocol, spec)
        if weak is not None:
            return Problem(Reason.WEAK_PROPOSAL, f"IPsecPolicy {name}: {weak}")
    crossed = _crossed(spec)
    if crossed is not None:
        return Problem(Reason.LIFETIMES_CROSS, f"IPsecPolicy {name}: {crossed}")
    if spec.baseline and (spec.ike.proposals or spec.esp.proposals):
        return Problem(Reason.WEAK_PROPOSAL, f"IPsecPolicy {name}: {ipsecpolicy.LISTS_BESIDES_BASELINE}")
    if spec.require_hybrid and not all(is_hybrid(proposal) for proposal in spec.ike.proposals or ()):
        text = f"IPsecPolicy {name}: {ipsecpolicy.CLASSICAL_BESIDES_REQUIRED_HYBRID}"
        return Problem(Reason.WEAK_PROPOSAL, text)
    return None


def _weak_proposal(protocol: Protocol, spec: IPsecPolicySpec) -> str | None:
    for proposal in spec.offered.of(protocol):
        problem = proposal_problem(protocol, proposal)
        if problem is not None:
            return f"{protocol} proposal {proposal} is refused: {problem}"
    return None


def _crossed(spec: IPsecPolicySpec) -> str | None:
    for name, part in (("ike", spec.ike), ("esp", spec.esp)):
        if 2 * (part.margin_seconds or 0) > part.rekey_time_seconds:
            return f"{name}.{ipsecpolicy.MARGIN_TOO_LARGE}"
    if spec.esp.rekey_time_seconds > spec.ike.rekey_time_seconds:
        return ipsecpolicy.ESP_REKEYED_TOO_LATE
    return ipsecpolicy.ESP_ENDS_TOO_LATE if _end_seconds(spec.esp) > _end_seconds(spec.ike) else None


def _end_seconds(part: IKE | ESP) -> int:
    """When an SA ends that could not be rekeyed."""
    margin = part.margin_seconds
    return part.rekey_time_seconds + (part.rekey_time_seconds // DEFAULT_MARGIN_DIVISOR if margin is None else margin)
