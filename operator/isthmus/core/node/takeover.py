"""How gateways replace the SAs of a charon that was killed, without losing a packet.

The SAs of a killed charon keep carrying traffic in both kernels. Its successor negotiates new ones beside them. Whoever
answers a negotiation sends by the new SA a moment before the initiator has it, so each gateway initiates what it sends
itself: the successor at once, in a new IKE SA; the other gateway in response, in the same one, so that traffic in
either direction shows that the peer is alive. Only then are the old SAs ended.
"""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.model.node.ipsec import IkeAssociation, IkeConnection, IkeState


def sent_children(connection: IkeConnection) -> frozenset[str]:
    """Names of the children for tunnels that begin here; all, if there is none for these alone."""
    every = frozenset(child.name for child in connection.children)
    return every & {"out"} or every


def steps(connection: IkeConnection) -> list[frozenset[str]]:
    """What the agent of a new charon asks for: first what this node sends, then what the peer has not initiated."""
    return [sent_children(connection), frozenset(child.name for child in connection.children)]


def awaits_counterpart(connection: IkeConnection, state: IkeState) -> bool:
    """Whether the peer's charon has succeeded another one, and has negotiated only what the peer sends.

    Its IKE SA is the newest, and older ones have everything.
    """
    *older, newest = state.associations or (None,)
    if newest is None or newest.initiated or newest.busy:
        return False
    children = frozenset(child.name for child in connection.children)
    missing = children - newest.children
    return bool(newest.children) and missing == sent_children(connection) and _children(older) >= children


def newest(state: IkeState) -> int | None:
    """Number of the newest established IKE SA."""
    return state.associations[-1].number if state.associations else None


def redundant(connection: IkeConnection, state: IkeState) -> frozenset[int]:
    """Numbers of the IKE SAs of which newer ones have all children.

    If both gateways initiate at the same time they may not agree on which is newer: only one of them may end any then.
    """
    holders = {child.name: _holder(state.associations[::-1], child.name) for child in connection.children}
    keepers = {child: holder for child, holder in holders.items() if holder is not None}
    if len(keepers) < len(holders):
        return frozenset()
    return frozenset(
        association.number
        for association in state.associations
        if association.children and association not in keepers.values()
    )


def duplicates(connection: IkeConnection, state: IkeState) -> frozenset[int]:
    """Numbers of children that are in an IKE SA twice, since both gateways have initiated them: one ends the older.

    That is the connection's initiator, whose charon would negotiate again what the other ends.
    """
    found = frozenset(number for association in state.associations for number in association.duplicates)
    return found if connection.initiator else frozenset()


def _holder(associations: Iterable[IkeAssociation], child: str) -> IkeAssociation | None:
    return next((association for association in associations if child in association.children), None)


def _children(associations: Iterable[IkeAssociation | None]) -> frozenset[str]:
    return frozenset(child for a in associations if a is not None for child in a.children)
