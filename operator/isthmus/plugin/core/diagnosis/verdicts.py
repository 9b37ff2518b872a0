"""What a check says of one thing at one layer, and of all things at that layer together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from isthmus.model.text import listed

from .catalogue import Row, row_of
from .layers import Layer

T = TypeVar("T")


@dataclass(frozen=True)
class Fine:
    """All is well; with the evidence."""

    text: str


@dataclass(frozen=True)
class Fault:
    """It fails."""

    code: str
    layer: Layer
    evidence: str

    @property
    def row(self) -> Row:
        """What there is to say about the code."""
        return row_of(self.code, self.layer)


@dataclass(frozen=True)
class Undecided:
    """It cannot be decided yet, or somebody is at work: nobody is blamed."""

    text: str


@dataclass(frozen=True)
class Unread:
    """It could not be read."""

    text: str


@dataclass(frozen=True)
class Blocked:
    """It needs a layer that fails."""

    by: Layer


Verdict = Fine | Fault | Undecided | Unread | Blocked


class State(StrEnum):
    """State of a layer."""

    FINE = "ok"
    FAULT = "FAIL"
    UNDECIDED = "wait"
    NOT_LOOKED_AT = "-"
    NOTHING = "none"


@dataclass(frozen=True)
class Result:
    """One layer."""

    layer: Layer
    state: State
    text: str
    faults: tuple[Fault, ...] = ()
    is_unread: bool = False
    blocked_by: Layer | None = None

    @property
    def is_fine(self) -> bool:
        """Whether what needs this layer can be judged."""
        return self.state in (State.FINE, State.NOTHING)


def result(layer: Layer, verdicts: Iterable[Verdict], nothing: str = "") -> Result:
    """The verdicts together: the worst of those that say something. `nothing` says why there may be none."""
    found = tuple(verdicts)
    if faults := _of(found, Fault):
        return Result(layer, State.FAULT, _listed([f.evidence for f in faults]), tuple(faults))
    if waiting := _of(found, Undecided):
        return Result(layer, State.UNDECIDED, _listed([each.text for each in waiting]))
    if unread := _of(found, Unread):
        return Result(layer, State.NOT_LOOKED_AT, f"not looked at: {unread[0].text}", is_unread=True)
    if fine := _of(found, Fine):
        return Result(layer, State.FINE, _listed([each.text for each in fine]))
    if blocked := _of(found, Blocked):
        return blocked_result(layer, blocked[0].by)
    return Result(layer, State.NOTHING, nothing)


def blocked_result(layer: Layer, by: Layer) -> Result:
    """The layer needs another one."""
    return Result(layer, State.NOT_LOOKED_AT, f"not looked at: it needs {by}", blocked_by=by)


def _of(verdicts: Sequence[Verdict], kind: type[T]) -> list[T]:
    return [verdict for verdict in verdicts if isinstance(verdict, kind)]


def _listed(texts: Sequence[str]) -> str:
    different = list(dict.fromkeys(text for text in texts if text))
    return listed(different, "; ", at_most=2, more="; and {} more")
