"""Draining: an agreement ends at a deadline that both clouds' tenants see, and begins again if that is undone."""

from __future__ import annotations

from datetime import datetime, timedelta

from isthmus.core.snapshot.conditions import false, timestamp, true
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.peerlink import Drain
from isthmus.model.reasons import ConditionType, Reason
from isthmus.model.text import listed

from .peer import remote_peer_link


def drain_of(snapshot: Snapshot, peer: CloudPeer) -> Drain | None:
    """What our PeerLink says about draining: since when is recorded there, so that no restart moves the deadline."""
    if peer.spec.agreement.state != "Drained":
        return None
    link = snapshot.peerlink(peer.spec.cloud_id)
    recorded = link.spec.drain if link is not None else None
    since = datetime.fromisoformat(recorded.since) if recorded is not None else snapshot.now
    grace = timedelta(seconds=peer.spec.agreement.drain.grace_seconds)
    return Drain(since=timestamp(since), deadline=timestamp(since + grace))


def seconds_to_deadline(snapshot: Snapshot, cloud_id: str) -> float | None:
    """Seconds until our agreement with the peer ends, negative after that; None if it is not drained.

    By what is published: the peer's tenants know the deadline before anything happens.
    """
    peer, link = snapshot.peer_of(cloud_id), snapshot.peerlink(cloud_id)
    if peer is None or link is None or link.spec.drain is None or peer.spec.agreement.state != "Drained":
        return None
    return (datetime.fromisoformat(link.spec.drain.deadline) - snapshot.now).total_seconds()


def is_past_deadline(snapshot: Snapshot, cloud_id: str) -> bool:
    """Whether networks are withdrawn from the peer, and its own are disconnected."""
    left = seconds_to_deadline(snapshot, cloud_id)
    return left is not None and left <= 0


def changes_in_seconds(snapshot: Snapshot, cloud_id: str) -> float | None:
    """Seconds until the deadline; None if it is past, or there is none."""
    left = seconds_to_deadline(snapshot, cloud_id)
    return left if left is not None and left > 0 else None


def refusal_after_deadline(snapshot: Snapshot, cloud_id: str) -> Problem | None:
    """Why a network of the peer is refused although it was accepted; the peer reads it."""
    if not is_past_deadline(snapshot, cloud_id):
        return None
    return Problem(Reason.DRAINED, "the receiving cloud has drained the agreement: the network is disconnected")


def draining(snapshot: Snapshot, cloud_id: str, name: str) -> tuple[Condition, ...]:
    """Condition `PeerDraining` of a network's object: True as long as one of the two clouds drains the agreement,
    else none.

    `name` is what the reader knows the peer by.
    """
    peer, link = snapshot.peer_of(cloud_id), snapshot.peerlink(cloud_id)
    if peer is None:
        return ()
    if peer.spec.agreement.state == "Drained" and link is not None and link.spec.drain is not None:
        return _draining(Reason.DRAINING, f"this cloud ends its agreement with {name}", link.spec.drain)
    return drained_by_peer(snapshot, peer, name)


def drained_by_peer(snapshot: Snapshot, peer: CloudPeer, name: str) -> tuple[Condition, ...]:
    """Condition `PeerDraining` if the peer drains the agreement, as far as its last accepted PeerLink says."""
    remote = remote_peer_link(snapshot, peer)
    if remote is None or remote.spec.drain is None:
        return ()
    return _draining(Reason.PEER_DRAINS, f"{name} ends its agreement with this cloud", remote.spec.drain)


def drained(snapshot: Snapshot, peer: CloudPeer) -> tuple[Condition, ...]:
    """Condition `Drained` of a CloudPeer: True when nothing is left; `PeerDraining` if it is the peer that drains."""
    if peer.spec.agreement.state != "Drained":
        return drained_by_peer(snapshot, peer, peer.metadata.name)
    problem = _what_is_left(snapshot, peer)
    if problem is None:
        return (true(ConditionType.DRAINED, Reason.NOTHING_LEFT),)
    return (false(ConditionType.DRAINED, problem.reason, problem.message),)


def _draining(reason: Reason, who: str, drain: Drain) -> tuple[Condition, ...]:
    return (true(ConditionType.PEER_DRAINING, reason, f"{who}: networks are disconnected at {drain.deadline}"),)


def _what_is_left(snapshot: Snapshot, peer: CloudPeer) -> Problem | None:
    cloud_id, link = peer.spec.cloud_id, snapshot.peerlink(peer.spec.cloud_id)
    connected = snapshot.attachments_with(cloud_id)
    unreleased = tuple(each.metadata.name for each in snapshot.links_to(cloud_id) if each.spec.offer is not None)
    received = snapshot.received_from(cloud_id)
    if not connected and not unreleased and not received:
        return None
    if not is_past_deadline(snapshot, cloud_id):
        drain = link.spec.drain if link is not None else None
        until = f"until {drain.deadline}" if drain is not None else "until the deadline, which is not published yet"
        return Problem(Reason.WAITING_FOR_DEADLINE, f"networks stay connected {until}{_listed(connected)}")
    if connected:
        return Problem(Reason.WITHDRAWING, f"networks still connected to the peer{_listed(connected)}")
    if unreleased:
        text = f"withdrawn networks wait to be released by the peer{_listed(unreleased)}"
        return Problem(Reason.WAITING_FOR_RELEASE, text)
    return Problem(
        Reason.REPLICA_IN_USE,
        f"{received} replicas of the peer's networks are still in use: see condition ReplicaInUse of the Attachments",
    )


def _listed(link_names: tuple[str, ...]) -> str:
    return f": {listed(link_names, at_most=5)}" if link_names else ""
