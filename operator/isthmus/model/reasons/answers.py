"""Which reasons a receiver may give for not accepting what is offered now."""

from __future__ import annotations

from typing import Final

from .reason import Reason

ANSWER_REASONS: Final = frozenset(
    {
        Reason.CORDONED,
        Reason.DOMAIN_NOT_AVAILABLE,
        Reason.INVALID_OFFER,
        Reason.INVALID_TUNNEL_ID,
        Reason.LIMIT_REACHED,
        Reason.QUOTA_EXCEEDED,
        Reason.RELEASED,
        Reason.REPLICA_FAILED,
        Reason.SUBNET_OVERLAP,
        Reason.TUNNEL_ID_IN_USE,
        Reason.WRONG_CLOUD_ID,
    }
)
