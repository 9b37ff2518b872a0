"""The controller's conditions on Attachments, and our links' statuses: per network, in both roles."""

from __future__ import annotations

from datetime import datetime

from isthmus.model.actions import Problem
from isthmus.model.attachment import Attachment
from isthmus.model.expansionlink import ExpansionLink
from isthmus.model.objects import Condition

from .attachments import published_ports
from .conditions import carried_over, false, judged, true
from .conflicts import conflicts
from .linkstatus import link_status, origin_progress, receiver_progress
from .origin import Origin
from .receiver import Receiver
from .receiverplan import copy_in_use, project_left

COPY_IN_USE = "CopyInUse"
ADDRESS_CONFLICT = "AddressConflict"
_NEUTRAL = "the cloud that publishes this cannot go on for a reason of its own"


def origin_links(origin: Origin, failure: Problem | None) -> tuple[ExpansionLink, ...]:
    """Our halves of one network of ours with the status that they should have."""
    return tuple(_origin_link(origin, cloud_id, failure) for cloud_id in sorted(origin.links))


def receiver_links(receiver: Receiver, failure: Problem | None) -> tuple[ExpansionLink, ...]:
    """Our half of one network of a peer's with the status that it should have."""
    if receiver.link is None:
        return ()
    progress = _unless_failing(receiver_progress(receiver), failure)
    mtu = receiver.agreed_mtu if receiver.intent == "Join" else None
    status = link_status(receiver.snapshot, receiver.link, receiver.standing, mtu, progress)
    return (receiver.link.model_copy(update={"status": status}),)


def origin_attachment(origin: Origin, failure: Problem | None) -> Attachment | None:
    """The Attachment of a network of ours with its conditions."""
    progress = [p for cloud_id in sorted(origin.active) if (p := origin_progress(origin, cloud_id)) is not None]
    problem = next(iter(progress), None) if origin.active else Problem("NotJoined", "no peer is joined")
    problem = failure if problem and failure else problem
    conflict = address_conflict(origin_conflicts(origin))
    return _with_conditions(origin.attachment, (judged("Ready", problem), conflict), origin.snapshot.now)


def receiver_attachment(receiver: Receiver, failure: Problem | None) -> Attachment | None:
    """The Attachment of a network of a peer's with its conditions."""
    progress, in_use = receiver_progress(receiver), _in_use(receiver)
    if in_use.status == "True":
        progress = Problem(COPY_IN_USE, in_use.message)
    conditions = (
        judged("Ready", failure if progress and failure else progress),
        in_use,
        address_conflict(_receiver_conflicts(receiver)),
    )
    return _with_conditions(receiver.attachment, conditions, receiver.snapshot.now)


def origin_conflicts(origin: Origin) -> tuple[str, ...]:
    """Addresses in use on the wrong side, all peers together."""
    told: list[str] = []
    for cloud_id, link in sorted(origin.active.items()):
        if origin.facts is None or link.spec.offer is None:
            continue
        theirs = origin.accepted(cloud_id)
        ports = theirs.ports if theirs else ()
        told += conflicts(link.spec.offer, published_ports(origin.facts), ports, cloud_id, at_origin=True)
    return tuple(told)


def address_conflict(told: tuple[str, ...]) -> Condition:
    """True where an address is used by whom it does not belong to."""
    return true(ADDRESS_CONFLICT, "AddressOutsideSlice", "; ".join(told)) if told else false(ADDRESS_CONFLICT, "None")


def _receiver_conflicts(receiver: Receiver) -> tuple[str, ...]:
    if receiver.facts is None or receiver.offer is None or receiver.half is None or receiver.intent != "Join":
        return ()
    ours, theirs = published_ports(receiver.facts), receiver.half.spec.ports
    return conflicts(receiver.offer, ours, theirs, receiver.cloud_id, at_origin=False)


def _in_use(receiver: Receiver) -> Condition:
    if receiver.intent not in {"Leave", "Refuse"}:
        return false(COPY_IN_USE, "NotWithdrawn")
    if ports := copy_in_use(receiver):
        return true(COPY_IN_USE, "PortsLeft", f"the copy stays until these ports are gone: {', '.join(ports)}")
    if project_id := project_left(receiver):
        return true(
            COPY_IN_USE, "ProjectNotEmpty", f"project {project_id} stays until nothing is left in it in Neutron"
        )
    return false(COPY_IN_USE, "NothingLeft")


def _origin_link(origin: Origin, cloud_id: str, failure: Problem | None) -> ExpansionLink:
    link, theirs = origin.links[cloud_id], origin.accepted(cloud_id)
    progress = _unless_failing(origin_progress(origin, cloud_id), failure)
    mtu = min(link.spec.mtu, theirs.mtu) if theirs else None
    status = link_status(origin.snapshot, link, origin.standing(cloud_id), mtu, progress)
    return link.model_copy(update={"status": status})


def _unless_failing(progress: Problem | None, failure: Problem | None) -> Problem | None:
    """What failed here is told to our people, not to the peer's."""
    return Problem(failure.reason, _NEUTRAL) if progress is not None and failure is not None else progress


def _with_conditions(
    attachment: Attachment | None, conditions: tuple[Condition, ...], now: datetime
) -> Attachment | None:
    if attachment is None:
        return None
    old, generation = attachment.status.conditions, attachment.metadata.generation
    status = attachment.status.model_copy(update={"conditions": carried_over(old, conditions, generation, now)})
    return attachment.model_copy(update={"status": status})
