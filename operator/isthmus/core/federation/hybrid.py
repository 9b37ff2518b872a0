"""Hybrid key exchange with a peer: what is offered, and whether it is in force, or why not.

`HybridKeyExchange` informs: where a policy demands a hybrid key exchange, there is no tunnel without one.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.core.placement.gateways import gateways
from isthmus.core.snapshot.conditions import false, true, unknown
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection, GatewayNode
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.peerlink import PeerLinkSpec
from isthmus.model.proposals import HYBRIDS, ProposalLists, additional_key_exchange, is_hybrid, without_hybrids
from isthmus.model.reasons import ConditionType, Reason
from isthmus.model.text import listed

_CONDITION = ConditionType.HYBRID_KEY_EXCHANGE


def offered_proposals(snapshot: Snapshot, policy: IPsecPolicy) -> ProposalLists:
    """What a policy stands for; hybrid proposals that nobody has asked for only if a gateway node can do them.

    Other clouds then see whether they are worth anything, and an agent of an earlier release is not given what it
    would hand to a charon that cannot do it.
    """
    found = policy.spec.offered
    can = {word for node in _nodes(snapshot) for word in node.status.key_exchanges}
    wanted = {word for proposal in found.ike if (word := additional_key_exchange(proposal))}
    if policy.spec.prefers_hybrid and not wanted & can:
        return ProposalLists(without_hybrids(found.ike), found.esp)
    return found


def hybrid_key_exchange(
    snapshot: Snapshot,
    policy: IPsecPolicy | None,
    ours: PeerLinkSpec,
    theirs: PeerLinkSpec,
    connections: Sequence[tuple[str, GatewayConnection]],
) -> Condition:
    """The condition, from both PeerLinks and the connections that gateway nodes (by name) report for the peer."""
    established = [(node, c) for node, c in connections if c.key_exchange and c.ike == "Established"]
    classical = [(node, c) for node, c in established if not is_hybrid(c.key_exchange or "")]
    if established and not classical:
        found = sorted({c.key_exchange or "" for _, c in established})
        return true(_CONDITION, Reason.HYBRID_IN_FORCE, ", ".join(found))
    cause = _not_agreed(policy, ours, theirs) or _not_possible(snapshot, classical or connections)
    if not classical:
        text = "no gateway node reports an IKE SA with the peer"
        return false(_CONDITION, cause.reason, cause.message) if cause else unknown(_CONDITION, Reason.NO_TUNNEL, text)
    node, connection = classical[0]
    where = f"gateway {node} and {connection.gateway} use {connection.key_exchange} alone"
    if cause is None:
        text = "although both clouds offer hybrid proposals: the peer's gateway cannot do them, or has not loaded them"
        cause = Problem(Reason.HYBRID_NOT_TAKEN, text)
    return false(_CONDITION, cause.reason, f"{where}: {cause.message}")


def _not_agreed(policy: IPsecPolicy | None, ours: PeerLinkSpec, theirs: PeerLinkSpec) -> Problem | None:
    """Why the agreement has no hybrid proposal."""
    own, peers = ({*spec.ipsec.hybrid_proposals} for spec in (ours, theirs))
    if own & peers:
        return None
    if not own and policy is not None and any(map(is_hybrid, policy.spec.offered.ike)):
        return Problem(Reason.HYBRID_NOT_SUPPORTED, "no gateway node's charon can do it, so that it is not offered")
    if not own:
        name = policy.metadata.name if policy is not None else "in use"
        return Problem(Reason.HYBRID_NOT_OFFERED, f"IPsecPolicy {name} has no hybrid proposal")
    if not peers:
        return Problem(Reason.HYBRID_NOT_OFFERED_BY_PEER, "the peer offers no hybrid proposal")
    text = f"this cloud offers {', '.join(sorted(own))}; the peer offers {', '.join(sorted(peers))}"
    return Problem(Reason.HYBRID_NOT_OFFERED_BY_PEER, f"no hybrid proposal in common: {text}")


def _not_possible(snapshot: Snapshot, connections: Sequence[tuple[str, GatewayConnection]]) -> Problem | None:
    """Which of the nodes that have these connections cannot do what is agreed on."""
    known = {node.metadata.name: node.status.key_exchanges for node in snapshot.all(GatewayNode)}
    cannot = sorted({name for name, _ in connections if known[name] and not {*HYBRIDS} & {*known[name]}})
    if not cannot:
        return None
    return Problem(Reason.HYBRID_NOT_SUPPORTED, f"charon on gateway node {listed(cannot, at_most=5)} cannot do it")


def _nodes(snapshot: Snapshot) -> list[GatewayNode]:
    """Those that this cloud publishes."""
    names = {gateway.name for gateway in gateways(snapshot)}
    return [node for node in snapshot.all(GatewayNode) if node.metadata.name in names]
