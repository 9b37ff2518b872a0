"""`kubectl isthmus diagnose`: the first line of each peer names the faults, the table under it has the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..answer import Answer, ExitCode, Unread, gap_lines, worst
from ..tables import Style
from ..width import padded, wrapped
from .chain import results
from .layers import Layer
from .subject import Readings, Subject
from .targets import subjects
from .verdicts import Fault, Result, State

_STATES: Final = max(len(state) for state in State)
_LAYERS: Final = max(len(layer) for layer in Layer)
_INDENT: Final = 2 + _STATES + 2 + _LAYERS + 2


@dataclass(frozen=True)
class Diagnosis:
    """All layers of one subject."""

    subject: Subject
    layers: tuple[Result, ...]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """One for each layer that fails, or more if it fails in several ways."""
        found: dict[str, Fault] = {}
        for fault in (fault for layer in self.layers for fault in layer.faults):
            found.setdefault(fault.code, fault)
        return tuple(found.values())

    @property
    def code(self) -> ExitCode:
        """What the exit code would be for this one alone."""
        if self.faults or any(layer.state is State.UNDECIDED for layer in self.layers):
            return ExitCode.WRONG
        return ExitCode.NOT_READ if any(layer.is_unread for layer in self.layers) else ExitCode.FINE

    @property
    def first_line(self) -> str:
        """What is wrong, and whose it is."""
        if self.faults:
            named = (f"{fault.code} at {fault.row.layer} ({fault.row.whose})" for fault in self.faults)
            return f"{self.subject.label}: " + "; ".join(named)
        waiting = next((layer for layer in self.layers if layer.state is State.UNDECIDED), None)
        if waiting:
            return f"{self.subject.label}: not decided yet at {waiting.layer}: {waiting.text}"
        if self.code is ExitCode.NOT_READ:
            return f"{self.subject.label}: nothing is wrong with what could be read"
        return f"{self.subject.label}: all is well"

    @property
    def next_steps(self) -> list[str]:
        """What to do where there is no peer, so that nothing between two clouds can be diagnosed."""
        is_known = "cloudpeers" not in self.subject.readings.unread
        if self.subject.peer_name or self.code is not ExitCode.FINE or not is_known:
            return []
        return [
            "There is no peer, and so no path to one to diagnose. To agree with another cloud:",
            "kubectl isthmus invite CLOUD --server URL, or join FILE with its invitation.",
        ]


def diagnose(readings: Readings, name: str | None, unread: Sequence[Unread]) -> Answer:
    """Every peer, the peer of that name, or the peers of a network. Raises UnknownTarget."""
    found = [Diagnosis(subject, tuple(results(subject))) for subject in subjects(readings, name)]
    found.sort(key=lambda diagnosis: diagnosis.code is ExitCode.FINE)
    found = found or [_of_this_cloud(readings)]
    code = worst({diagnosis.code for diagnosis in found})
    document = {
        "subjects": [_document(diagnosis) for diagnosis in found],
        "unread": [gap.to_document() for gap in unread],
    }

    def text(style: Style) -> list[str]:
        return [*_text(found, style, in_full=name is not None), *gap_lines(unread)]

    return Answer("diagnose", code, document, text)


def _of_this_cloud(readings: Readings) -> Diagnosis:
    """Without a peer only the installation can be diagnosed."""
    label = "the installation" + (f" of {readings.cloud.cloud_id}" if readings.cloud.cloud_id else "")
    subject = Subject(label, "", None, "", readings, (), ())
    return Diagnosis(subject, tuple(r for r in results(subject) if r.layer is Layer.INSTALLATION))


def _text(found: Sequence[Diagnosis], style: Style, *, in_full: bool) -> list[str]:
    """A fault of the installation that several peers suffer from is explained once."""
    lines: list[str] = []
    explained: set[tuple[str, ...]] = set()
    for diagnosis in found:
        line, fine = diagnosis.first_line, diagnosis.code is ExitCode.FINE
        lines.append(line if fine else style.wrong(line))
        own = tuple(fault.evidence for fault in diagnosis.faults)
        is_known = own in explained and all(fault.layer is Layer.INSTALLATION for fault in diagnosis.faults)
        if in_full or not (fine or is_known):
            lines += [each for layer in diagnosis.layers for each in _layer_lines(layer, style)]
        explained.add(own)
        lines += diagnosis.next_steps
    return lines


def _layer_lines(layer: Result, style: Style) -> list[str]:
    indent = " " * _INDENT
    texts = wrapped(layer.text, max(style.width, 2 * _INDENT), indent) or [indent]
    state = padded(layer.state, _STATES)
    shown = style.wrong(state) if layer.state is State.FAULT else state
    lines = [f"  {shown}  {padded(layer.layer, _LAYERS)}  {texts[0][_INDENT:]}".rstrip(), *texts[1:]]
    for fault in {fault.code: fault for fault in reversed(layer.faults)}.values():
        row = fault.row
        lines += wrapped(f"{row.code} ({row.whose}): {row.symptom}", style.width, indent)
        lines += wrapped(f"What to do: {row.remedy}", style.width, indent)
        lines.append(f"{indent}{row.anchor}")
    return lines


def _document(diagnosis: Diagnosis) -> dict[str, Any]:
    subject = diagnosis.subject
    return {
        "name": subject.label,
        "peer": subject.peer_name,
        "cloudID": subject.cloud_id,
        "firstLine": diagnosis.first_line,
        "exitCode": int(diagnosis.code),
        "faults": [_fault_document(fault) for fault in diagnosis.faults],
        "layers": [{"layer": r.layer, "state": _WORDS[r.state], "text": r.text} for r in diagnosis.layers],
    }


_WORDS: Final = {
    State.FINE: "fine",
    State.FAULT: "fault",
    State.UNDECIDED: "undecided",
    State.NOT_LOOKED_AT: "notLookedAt",
    State.NOTHING: "nothing",
}


def _fault_document(fault: Fault) -> dict[str, Any]:
    row = fault.row
    return {
        "code": fault.code,
        "layer": row.layer,
        "whose": row.whose,
        "evidence": fault.evidence,
        "symptom": row.symptom,
        "remedy": row.remedy,
        "anchor": row.anchor,
    }
