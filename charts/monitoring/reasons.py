"""Reasons of condition Ready that are a matter for an administrator of this cloud."""

from __future__ import annotations

from typing import Final

from isthmus.model.reasons import EXPLANATIONS, Category, Reason
from isthmus.model.reasons.explanation import Place

_CATEGORIES: Final = frozenset({Category.TRANSIENT, Category.ADMINISTRATOR, Category.TERMINAL})
# Other alerts are about these.
_COVERED: Final = frozenset(
    {
        Reason.BFD_DOWN,
        Reason.CHARON_UNAVAILABLE,
        Reason.ESP_NOT_INSTALLED,
        Reason.IKE_NOT_ESTABLISHED,
        Reason.PEER_UNREACHABLE,
        Reason.PROBE_UNANSWERED,
        Reason.SAS_MISSING_IN_KERNEL,
        Reason.TUNNEL_DOWN,
    }
)
# Administrators want these.
_INTENDED: Final = frozenset(
    {
        Reason.AWAITING_APPROVAL,
        Reason.CORDONED,
        Reason.DRAINED,
        Reason.PEER_CORDONED,
        Reason.PEER_WITHDRAWN,
        Reason.PROJECT_NOT_ACCEPTED,
        Reason.REFUSED_BY_ADMINISTRATOR,
    }
)


def _is_trouble(reason: Reason) -> bool:
    found = EXPLANATIONS[reason]
    return Place.READY in found.places and found.category in _CATEGORIES


TROUBLE: Final = "|".join(sorted(r for r in EXPLANATIONS if _is_trouble(r) and r not in _COVERED | _INTENDED))
"""A regular expression. What waits or is in progress, and what the tenant has to mend, is not in it."""
