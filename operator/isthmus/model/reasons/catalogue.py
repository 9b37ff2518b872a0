"""All explanations together, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from . import admission, agreement, answers, external, gateway_nodes, peer_api, progress, settled
from .explanation import Category, Explanation, Place
from .reason import Reason

_PARTS = (settled, peer_api, agreement, admission, answers, progress, gateway_nodes, external)

EXPLANATIONS: Final[Mapping[Reason, Explanation]] = MappingProxyType(
    {reason: explanation for part in _PARTS for reason, explanation in part.EXPLANATIONS.items()}
)

ANSWER_REASONS: Final = frozenset(
    reason for reason, found in EXPLANATIONS.items() if Place.ANSWER in found.places and reason != Reason.ACCEPTED
)
"""Why a receiver has not accepted what is offered now."""


def category(reason: Reason) -> Category:
    """What to do about it."""
    return EXPLANATIONS[reason].category
