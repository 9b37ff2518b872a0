"""One of four states for whatever is drawn, with the reason and message that the object reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..reported import is_progress
from ..resources import Link, Member, Resource


class State(StrEnum):
    """State of a gateway node, a peer, a tunnel or a network."""

    UP = "up"
    DOWN = "down"
    WAITING = "waiting"
    """Somebody is at work: a controller, Neutron, or the other cloud."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Health:
    """A state, and why it is so."""

    state: State
    reason: str = ""
    message: str = ""


NOT_REPORTED = Health(State.UNKNOWN, "", "nothing has been reported of it")


def of_resource(resource: Resource) -> Health:
    """By condition Ready."""
    ready = resource.ready
    if ready.status == "Unknown":
        return Health(State.UNKNOWN, ready.reason, ready.message) if ready.reason else NOT_REPORTED
    return of_report(resource.is_ready, ready.reason, ready.message)


def of_link(link: Link | None) -> Health:
    """By the agent's dataplane probes alone."""
    if link is None or link.is_up is None:
        return NOT_REPORTED
    return of_report(link.is_up, link.reason, link.message)


def of_member(member: Member) -> Health:
    """Likewise; the message may say why it is not reached directly."""
    if member.is_up:
        return Health(State.UP, "", member.message)
    return NOT_REPORTED if member.is_up is None else of_report(False, member.reason, member.message)


def of_report(is_up: bool, reason: str, message: str) -> Health:
    """As somebody has reported it."""
    if is_up:
        return Health(State.UP)
    if not reason:
        return NOT_REPORTED
    return Health(State.WAITING if is_progress(reason) else State.DOWN, reason, message)
