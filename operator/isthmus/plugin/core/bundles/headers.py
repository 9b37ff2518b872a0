"""Whether a file that was received is the right one, by its header alone: what fails here would fail anyway."""

from __future__ import annotations

from datetime import datetime

from .bundle import BadBundle, Header, Type


def check_invitation(header: Header, own: str, now: datetime) -> None:
    """Raise BadBundle unless it is an invitation to this cloud that has not expired."""
    if header.type == Type.ANSWER:
        raise BadBundle("the file is an answer and no invitation: kubectl isthmus accept takes it")
    _check(header, "invitation", own, now)


def check_answer(header: Header, own: str, now: datetime) -> None:
    """Raise BadBundle unless it is an answer to this cloud that has not expired."""
    if header.type == Type.INVITATION and header.sender == own:
        raise BadBundle(f"the file is your own invitation: accept takes the answer of {header.receiver} to it")
    if header.type == Type.INVITATION:
        raise BadBundle("the file is an invitation and no answer: kubectl isthmus join takes it")
    _check(header, "answer", own, now)


def _check(header: Header, what: str, own: str, now: datetime) -> None:
    if header.sender == own:
        raise BadBundle(f"the {what} is your own: it is for the administrator of {header.receiver}")
    if header.receiver != own:
        raise BadBundle(f"the {what} is for {header.receiver}, and this is {own}")
    if now >= header.expires:
        raise BadBundle(f"the {what} expired at {header.expires:%Y-%m-%d %H:%M} UTC: ask {header.sender} for a new one")
