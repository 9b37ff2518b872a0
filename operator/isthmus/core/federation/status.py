"""Statuses of a peer: its CloudPeer, for administrators, and our PeerLink, which the peer reads."""

from __future__ import annotations

from isthmus.core.snapshot.conditions import (
    false,
    readiness,
    true,
    true_unless,
    unknown,
    with_progress,
    with_transition_times,
)
from isthmus.core.snapshot.index import Snapshot
from isthmus.core.snapshot.summary import addresses, ratio
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition, condition_of
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer, CloudPeerStatus
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection, GatewayNode
from isthmus.model.api.v1alpha1.peerlink import PeerLink, PeerLinkStatus
from isthmus.model.reasons import ConditionType, Reason
from isthmus.model.text import listed

from .agreement import Disagreement
from .awaiting import awaiting
from .credentials import Account, credential_expiring, credentials_handed_over, recorded_account_uid
from .drain import drained
from .hybrid import hybrid_key_exchange
from .orphans import orphans
from .peer import (
    UNREAD,
    agreement_with,
    identity_problem,
    is_invited,
    policy_of,
    remote_peer_link,
    remote_peer_link_problem,
    view_of,
)
from .plan import namespace_problem, removal_problem
from .policy import policy_problem


def peerlink_status(snapshot: Snapshot, peer: CloudPeer, link: PeerLink) -> PeerLink:
    """Our PeerLink with the status that it should have."""
    agreed = _agreed(snapshot, peer)
    if agreed.reason == Reason.GATEWAY_REFUSED:  # whose address it is must not be disclosed to the peer
        agreed = agreed.model_copy(update={"message": "a gateway's name or address was not agreed"})
    generation = link.metadata.generation
    conditions = with_transition_times(link.status.conditions, with_progress(agreed), generation, snapshot.now)
    remote = remote_peer_link(snapshot, peer)
    status = PeerLinkStatus(
        observed_generation=generation,
        peer=remote,
        gateways=addresses(link.spec.gateways),
        peer_gateways=addresses(remote.spec.gateways) if remote else None,
        conditions=conditions,
    )
    return link.model_copy(update={"status": status})


def peer_status(
    snapshot: Snapshot, peer: CloudPeer, failure: Problem | None, account: Account | None = None
) -> CloudPeer:
    """A CloudPeer with the status that it should have; `account` is None if it was not read."""
    is_valid = identity_problem(snapshot, peer) is None
    remote = remote_peer_link(snapshot, peer) if is_valid else None
    has_parts = is_valid and not is_invited(peer)
    parts = [_reachable(snapshot, peer), _agreed(snapshot, peer), _tunnel_up(snapshot, peer)] if has_parts else []
    openstack = true_unless(ConditionType.OPENSTACK_AVAILABLE, snapshot.openstack_problem, Reason.AVAILABLE)
    others = _others(snapshot, peer, account) if is_valid else ()
    conditions = (*readiness(failure or _problem(snapshot, peer, parts)), *parts, *others, openstack)
    generation = peer.metadata.generation
    cloud_id = peer.spec.cloud_id
    status = CloudPeerStatus(
        observed_generation=generation,
        conditions=with_transition_times(peer.status.conditions, conditions, generation, snapshot.now),
        namespace=names.peer_namespace(cloud_id) if is_valid else None,
        account_uid=recorded_account_uid(peer, account) if is_valid else None,
        gateways=remote.spec.gateways if remote else (),
        tunnels_up=ratio(connection.up for _, connection in _connections(snapshot, peer)) if is_valid else None,
        networks_out=snapshot.offers_to(cloud_id) if is_valid else 0,
        networks_in=snapshot.accepted_from(cloud_id) if is_valid else 0,
        networks_awaiting=len(snapshot.awaiting_from(cloud_id)) if is_valid else 0,
        awaiting=awaiting(snapshot, cloud_id) if is_valid else (),
        orphans=orphans(snapshot, peer) if is_valid else peer.status.orphans,
    )
    return peer.model_copy(update={"status": status})


def _problem(snapshot: Snapshot, peer: CloudPeer, parts: list[Condition]) -> Problem | None:
    """The first blocking problem, in the order in which an administrator would fix them."""
    if peer.metadata.deletion_timestamp:
        return removal_problem(snapshot, peer) or Problem(Reason.WITHDRAWING, "withdrawing the agreement")
    problem = identity_problem(snapshot, peer) or namespace_problem(snapshot, peer)
    if problem is not None:
        return problem
    if is_invited(peer):
        return Problem(Reason.INVITED, "the peer's answer has not been accepted: run `kubectl isthmus accept` with it")
    policy = policy_of(snapshot, peer)
    if policy is None:
        return Problem(Reason.POLICY_NOT_FOUND, f"IPsecPolicy {peer.spec.ipsec.policy_ref.name} does not exist")
    refused = policy_problem(policy)
    if refused is not None:
        return refused
    broken = next((part for part in parts if part.status != "True"), None)
    if broken is not None:
        return Problem(Reason.parse(broken.reason, Reason.NOT_READ_YET), broken.message)
    return _kept(snapshot, peer)


def _kept(snapshot: Snapshot, peer: CloudPeer) -> Problem | None:
    """Why a connection that is up is only kept: it could not be established again."""
    for node, connection in _connections(snapshot, peer):
        if connection.up and connection.reason != Reason.UP:
            reason = Reason.parse(connection.reason, Reason.NOT_UNDERSTOOD)
            return Problem(reason, f"gateway {node} to {connection.gateway}: {connection.message}")
    return None


def _reachable(snapshot: Snapshot, peer: CloudPeer) -> Condition:
    cloud_id = peer.spec.cloud_id
    if cloud_id not in snapshot.credentials:
        secret = f"{names.SYSTEM_NAMESPACE}/{peer.spec.api.kubeconfig_secret_ref.name}"
        return false(
            ConditionType.REACHABLE,
            Reason.KUBECONFIG_NOT_FOUND,
            f"Secret {secret} with key {names.KUBECONFIG_KEY} does not exist yet",
        )
    view = view_of(snapshot, cloud_id)
    if view.reason == UNREAD.reason:
        previous = condition_of(peer.status.conditions, ConditionType.REACHABLE)
        was_read = previous is not None and previous.reason != Reason.KUBECONFIG_NOT_FOUND
        return (
            previous
            if previous is not None and was_read
            else unknown(ConditionType.REACHABLE, view.reason, view.message)
        )
    problem = None if view.reachable else Problem(view.reason, view.message)
    return true_unless(ConditionType.REACHABLE, problem, Reason.REACHABLE)


def _agreed(snapshot: Snapshot, peer: CloudPeer) -> Condition:
    problem = remote_peer_link_problem(snapshot, peer)
    agreement = agreement_with(snapshot, peer)
    if problem is None and agreement is None:
        return unknown(ConditionType.AGREED, Reason.WAITING_FOR_PEER, "the peer's PeerLink has not been read yet")
    if problem is None and isinstance(agreement, Disagreement):
        problem = Problem(agreement.reason, agreement.message)
    return true_unless(ConditionType.AGREED, problem, Reason.AGREED)


def _others(snapshot: Snapshot, peer: CloudPeer, account: Account | None) -> tuple[Condition, ...]:
    """What does not keep the peer from being ready."""
    cloud_id = peer.spec.cloud_id
    expiring = (credential_expiring(snapshot, cloud_id),) if cloud_id in snapshot.credentials else ()
    handed_over = credentials_handed_over(snapshot, peer, account)
    hybrid = _hybrid_key_exchange(snapshot, peer)
    return (_understood(snapshot, peer), *expiring, handed_over, *hybrid, *drained(snapshot, peer))


def _hybrid_key_exchange(snapshot: Snapshot, peer: CloudPeer) -> tuple[Condition, ...]:
    """As soon as both PeerLinks are known."""
    link, remote = snapshot.peerlink(peer.spec.cloud_id), remote_peer_link(snapshot, peer)
    if link is None or remote is None:
        return ()
    policy, found = policy_of(snapshot, peer), _connections(snapshot, peer)
    return (hybrid_key_exchange(snapshot, policy, link.spec, remote.spec, found),)


def _understood(snapshot: Snapshot, peer: CloudPeer) -> Condition:
    """Whether everything that the peer publishes is understood; as last reported until the peer has been read."""
    view = view_of(snapshot, peer.spec.cloud_id)
    if view.peer_link is None and not view.complete:
        previous = condition_of(peer.status.conditions, ConditionType.UNDERSTOOD)
        return previous or unknown(ConditionType.UNDERSTOOD, Reason.NOT_READ_YET)
    found = view.not_understood
    if not found:
        return true(ConditionType.UNDERSTOOD, Reason.ALL_UNDERSTOOD)
    texts = [f"{name}: {found[name]}" for name in sorted(found)]
    text = listed(texts, "; ", at_most=5, more="; and {} more")
    return false(ConditionType.UNDERSTOOD, Reason.PARTLY_UNDERSTOOD, f"left out: {text}")


def _connections(snapshot: Snapshot, peer: CloudPeer) -> list[tuple[str, GatewayConnection]]:
    """The connections to the peer, each with the name of the gateway node that reports it."""
    return [
        (node.metadata.name, connection)
        for node in snapshot.all(GatewayNode)
        for connection in node.status.connections
        if connection.cloud_id == peer.spec.cloud_id
    ]


def _tunnel_up(snapshot: Snapshot, peer: CloudPeer) -> Condition:
    """True if every connection that a gateway node reports for the peer is up."""
    connections = _connections(snapshot, peer)
    if not connections:
        return unknown(ConditionType.TUNNEL_UP, Reason.NO_TUNNEL, "no gateway node has a connection to the peer yet")
    down = next(((node, c) for node, c in connections if not c.up), None)
    if down is None:
        return true_unless(ConditionType.TUNNEL_UP, None, Reason.UP)
    node, connection = down
    reason = Reason.parse(connection.reason, Reason.TUNNEL_DOWN)
    return false(ConditionType.TUNNEL_UP, reason, f"gateway {node} to {connection.gateway}: {connection.message}")
