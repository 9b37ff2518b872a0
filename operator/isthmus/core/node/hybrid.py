"""Which of the agreed proposals this node's charon can do, and where SAs are left that none of them allows.

charon would discard a connection with an additional key exchange that it does not know, and one with a group that it
cannot do would not come up.
"""

from __future__ import annotations

from dataclasses import replace

from isthmus.core.federation.agreement import Agreement
from isthmus.model.actions import Problem
from isthmus.model.node.ipsec import IkeConnection, IkeView
from isthmus.model.proposals import GROUPS, Protocol, additional_key_exchange, group, is_hybrid
from isthmus.model.reasons import Reason

_WHAT_CAN = "strongSwan 6.0.2 or later, with plugin ml or with openssl on OpenSSL 3.5"


def loadable(agreement: Agreement, known: frozenset[str] | None) -> Agreement | Problem:
    """The agreement without proposals that charon cannot do; a problem if none is left.

    `known` are the key exchanges that it can do; None if it has never answered.
    """
    if known is None:
        return agreement
    if known.isdisjoint(GROUPS):
        known |= {*GROUPS}  # it has not said which
    ike, esp = _can(agreement.ike_proposals, known), _can(agreement.esp_proposals, known)
    if not ike or not esp:
        return _impossible("ESP" if ike else "IKE", agreement.esp_proposals if ike else agreement.ike_proposals, known)
    if (ike, esp) == (agreement.ike_proposals, agreement.esp_proposals):
        return agreement
    return replace(agreement, ike_proposals=ike, esp_proposals=esp)


def lacks(connection: IkeConnection, ike: IkeView) -> bool:
    """Whether a connection without a fallback has an IKE SA by one, which was established before."""
    state = ike.states.get(connection.name)
    found = state.key_exchange if state is not None else ""
    return bool(found) and not is_hybrid(found) and all(map(is_hybrid, connection.ike_proposals))


def _can(proposals: tuple[str, ...], known: frozenset[str]) -> tuple[str, ...]:
    return tuple(p for p in proposals if {group(p), additional_key_exchange(p) or group(p)} <= known)


def _impossible(protocol: Protocol, proposals: tuple[str, ...], known: frozenset[str]) -> Problem:
    listed = f"{protocol} {', '.join(proposals)}"
    if known.isdisjoint(map(additional_key_exchange, proposals)) and all(map(is_hybrid, proposals)):
        text = (
            f"only hybrid key exchange is agreed on ({listed}), and this node's charon cannot do it: install "
            f"{_WHAT_CAN}, or let both IPsecPolicies have a proposal without it"
        )
        return Problem(Reason.HYBRID_NOT_SUPPORTED, text[:1024])
    lacking = sorted({*map(group, proposals)} - known)
    text = (
        f"of all that is agreed on ({listed}), this node's charon can do nothing: install its plugins for "
        f"{', '.join(lacking)}, or let both IPsecPolicies have a proposal with another group"
    )
    return Problem(Reason.NO_COMMON_PROPOSAL, text[:1024])
