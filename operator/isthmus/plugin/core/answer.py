"""What a verb answers: as JSON, as text, and as an exit code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from .findings import Finding
from .tables import Style
from .width import wrapped


class ExitCode(IntEnum):
    """Exit codes of every verb."""

    FINE = 0
    WRONG = 1
    USAGE = 2
    NOT_READ = 3


def worst(codes: Collection[ExitCode]) -> ExitCode:
    """Of several things together: what is wrong counts more than what could not be read."""
    return next((code for code in (ExitCode.WRONG, ExitCode.NOT_READ) if code in codes), ExitCode.FINE)


@dataclass(frozen=True)
class Unread:
    """Something that could not be read, while other things could."""

    resource: str
    """`cloudpeers`, for instance."""
    cause: str

    def __str__(self) -> str:
        return f"{self.resource}: {self.cause}"

    def to_document(self) -> dict[str, str]:
        """The gap in JSON."""
        return {"resource": self.resource, "cause": self.cause}


@dataclass(frozen=True)
class Answer:
    """The result of a verb. `text` renders it for a terminal."""

    verb: str
    code: ExitCode
    document: dict[str, Any]
    text: Callable[[Style], list[str]]

    def to_document(self) -> dict[str, Any]:
        """The JSON of `-o json`."""
        return {"schema": f"isthmus.cloud/{self.verb}/v1", **self.document}


def with_findings(answer: Answer, findings: Sequence[Finding], unread: Sequence[Unread]) -> Answer:
    """The answer with its exit code, and with problems and gaps in its JSON; the text has them already."""
    code = ExitCode.WRONG if findings else ExitCode.NOT_READ if unread else ExitCode.FINE
    document = answer.document | {
        "problems": [finding.to_document() for finding in findings],
        "unread": [gap.to_document() for gap in unread],
    }
    return replace(answer, code=code, document=document)


def problem_lines(findings: Sequence[Finding], style: Style, limit: int | None = None) -> list[str]:
    """A paragraph for each kind of problem: what, why, whose, and the next command."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        key = (finding.kind, finding.condition, finding.reason or finding.message)
        groups.setdefault(key, []).append(finding)
    shown = list(groups.values())[:limit]
    lines = [line for group in shown for line in _group_lines(group, style)]
    if hidden := sum(map(len, groups.values())) - sum(map(len, shown)):
        lines.append(f"and {hidden} more: kubectl isthmus peers, kubectl isthmus networks")
    return lines


def gap_lines(unread: Sequence[Unread]) -> list[str]:
    """A line for each thing that could not be read."""
    return [f"not read: {gap}" for gap in unread]


def _group_lines(group: Sequence[Finding], style: Style) -> list[str]:
    first, others = group[0], len(group) - 1
    name = f"{first.kind} {first.label}" + (f" and {others} more" if others else "")
    reason = f": {style.wrong(first.reason)}" if first.reason else ""
    whose = f" ({_lowered(first.category)})" if first.category else ""
    return [
        f"{name}{reason}{whose}",
        *wrapped(first.message, style.width, "  "),
        f"  {first.next_command}",
    ]


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
