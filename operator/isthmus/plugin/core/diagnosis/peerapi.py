"""Layers reach, credential and agreement: what the controller reports of the peer's API, and of both PeerLinks."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.model.reasons import Reason

from ..reported import explanation
from ..resources import Peer, StatusCondition
from .catalogue import ROWS, Code
from .installation import has_controller
from .layers import Layer
from .networks import of_networks
from .subject import Subject
from .verdicts import Blocked, Fault, Fine, Undecided, Unread, Verdict

_UNTRUSTED = ("certificate verify failed", "CERTIFICATE_VERIFY_FAILED")
_NONE = StatusCondition("", "Unknown", "", "")


def reach(subject: Subject) -> Iterator[Verdict]:
    """Whether the peer's API server answers."""
    yield from _unknown(subject, Layer.REACH) or _reach(subject, Layer.REACH)


def credential(subject: Subject) -> Iterator[Verdict]:
    """Whether it accepts our credential, and whether the peer has got one."""
    if unknown := _unknown(subject, Layer.CREDENTIAL):
        yield from unknown
        return
    peer = _peer(subject)
    if _condition(peer, "Reachable").status == "True":
        yield Fine("reads PeerLinks and ExpansionLinks")
    else:
        yield from _reach(subject, Layer.CREDENTIAL)
    expiring, handed_over = _condition(peer, "CredentialExpiring"), _condition(peer, "CredentialsHandedOver")
    if expiring.status == "True":
        yield _fault(expiring, Layer.CREDENTIAL)
    if handed_over.status == "False":
        yield _fault(handed_over, Layer.CREDENTIAL)


def agreement(subject: Subject) -> Iterator[Verdict]:
    """Whether both clouds have agreed, and the peer accepts what we offer. What was agreed last stays in force."""
    if unknown := _unknown(subject, Layer.AGREEMENT):
        yield from unknown
        return
    peer = _peer(subject)
    agreed, reachable = _condition(peer, "Agreed"), _condition(peer, "Reachable")
    if peer.is_terminating or (_is_of_agreement(peer.ready) and peer.ready.reason != agreed.reason):
        yield _of_whole(peer)
    elif agreed.status == "True":
        yield Fine("the last PeerLinks that were read agree" if reachable.status != "True" else "both PeerLinks agree")
    elif reachable.status != "True":
        yield Blocked(Layer.REACH)
    else:
        yield _fault(agreed, Layer.AGREEMENT)
    if _condition(peer, "Understood").status == "False":
        yield _fault(_condition(peer, "Understood"), Layer.AGREEMENT)
    yield from of_networks(subject, Layer.AGREEMENT)


def is_in_force(subject: Subject) -> bool:
    """Whether an agreement is in force by which gateways connect, as far as that is known."""
    peer = subject.peer
    return peer is None or (_condition(peer, "Agreed").status == "True" and not peer.is_terminating)


def not_ready(subject: Subject) -> Iterator[str]:
    """What is known of a CloudPeer that is not ready."""
    if subject.peer is not None and not subject.peer.is_ready:
        yield f"CloudPeer {subject.peer.name} is not ready: {subject.peer.ready.reason}: {subject.peer.ready.message}"


def _unknown(subject: Subject, layer: Layer) -> list[Verdict]:
    """Why nothing can be said; empty if something can."""
    if (cause := subject.readings.unread.get("cloudpeers")) is not None:
        return [Unread(cause)]
    if subject.peer is None:
        missing = Fault(Reason.PEER_NOT_FOUND, Layer.AGREEMENT, f"there is no CloudPeer {subject.peer_name}")
        return [missing if layer is Layer.AGREEMENT else Blocked(Layer.AGREEMENT)]
    if not has_controller(subject.readings):
        return [Blocked(Layer.INSTALLATION)]
    if subject.peer.ready.reason and subject.peer.condition("Reachable") is None:
        return [_of_whole(subject.peer) if layer is Layer.AGREEMENT else Blocked(Layer.AGREEMENT)]
    return []


def _of_whole(peer: Peer) -> Verdict:
    """The verdict on a CloudPeer of which nothing else needs to be judged: it is invalid, invited or being deleted."""
    if _is_of_agreement(peer.ready):
        return _fault(peer.ready, Layer.AGREEMENT)
    return Undecided(peer.ready.message or _meaning(peer.ready.reason))


def _is_of_agreement(ready: StatusCondition) -> bool:
    row = ROWS.get(ready.reason)
    return ready.status != "True" and row is not None and row.layer is Layer.AGREEMENT


def _reach(subject: Subject, layer: Layer) -> Iterator[Verdict]:
    """The verdict on condition Reachable, if its reason belongs to this layer."""
    found = _condition(_peer(subject), "Reachable")
    if found.status == "True":
        yield Fine("the peer's API server answers")
    elif found.reason in ("", Reason.NOT_READ_YET):
        yield Undecided("the controller has not read the peer's API since it started")
    else:
        fault = _fault(found, Layer.REACH)
        if fault.row.layer is layer:
            yield fault
        elif layer is Layer.REACH:
            has_asked = found.reason == Reason.PEER_FORBIDDEN
            yield Fine("the peer's API server answers") if has_asked else Blocked(Layer.CREDENTIAL)
        else:
            yield Blocked(Layer.REACH)


def _fault(condition: StatusCondition, layer: Layer) -> Fault:
    untrusted = condition.reason == Reason.PEER_UNREACHABLE and any(w in condition.message for w in _UNTRUSTED)
    code = Code.PEER_CERTIFICATE_NOT_TRUSTED if untrusted else condition.reason
    return Fault(code, layer, condition.message or _meaning(condition.reason))


def _meaning(reason: str) -> str:
    found = explanation(reason)
    return found.meaning if found else "nothing was reported"


def _peer(subject: Subject) -> Peer:
    assert subject.peer is not None, "only called if it was read"
    return subject.peer


def _condition(peer: Peer, type_: str) -> StatusCondition:
    return peer.condition(type_) or _NONE
