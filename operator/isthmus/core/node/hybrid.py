"""Which of the agreed proposals this node's charon can do, and where SAs are left that none of them allows.

charon would discard a connection with a proposal that it does not know.
"""

from __future__ import annotations

from dataclasses import replace

from isthmus.core.federation.agreement import Agreement
from isthmus.model.actions import Problem
from isthmus.model.node.ipsec import IkeConnection, IkeView
from isthmus.model.proposals import Protocol, additional_key_exchange, is_hybrid
from isthmus.model.reasons import Reason

_WHAT_CAN = "strongSwan 6.0.2 or later, with plugin ml or with openssl on OpenSSL 3.5"


def loadable(agreement: Agreement, known: frozenset[str] | None) -> Agreement | Problem:
    """The agreement without hybrid proposals that charon cannot do; a problem if no proposal is left.

    `known` are the key exchanges that it can do; None if it has never answered.
    """
    if known is None:
        return agreement
    ike, esp = _can(agreement.ike_proposals, known), _can(agreement.esp_proposals, known)
    if not ike or not esp:
        return _impossible("ESP" if ike else "IKE", agreement.esp_proposals if ike else agreement.ike_proposals)
    if (ike, esp) == (agreement.ike_proposals, agreement.esp_proposals):
        return agreement
    return replace(agreement, ike_proposals=ike, esp_proposals=esp)


def lacks(connection: IkeConnection, ike: IkeView) -> bool:
    """Whether a connection without a fallback has an IKE SA by one, which was established before."""
    state = ike.states.get(connection.name)
    found = state.key_exchange if state is not None else ""
    return bool(found) and not is_hybrid(found) and all(map(is_hybrid, connection.ike_proposals))


def _can(proposals: tuple[str, ...], known: frozenset[str]) -> tuple[str, ...]:
    return tuple(p for p in proposals if (word := additional_key_exchange(p)) is None or word in known)


def _impossible(protocol: Protocol, proposals: tuple[str, ...]) -> Problem:
    text = (
        f"only hybrid key exchange is agreed on ({protocol} {', '.join(proposals)}), and this node's charon cannot do "
        f"it: install {_WHAT_CAN}, or let both IPsecPolicies have a proposal without it"
    )
    return Problem(Reason.HYBRID_NOT_SUPPORTED, text[:1024])
