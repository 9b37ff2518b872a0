"""docs/conditions.md, written from the typed list.

Run as `python -m isthmus.model.reasons.document FILE`; a test fails when the file differs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from isthmus.model.markdown import item, page, paragraphs, wrapped

from .catalogue import EXPLANATIONS
from .condition_types import MEANINGS, PROGRESS, Meaning
from .explanation import Category, Explanation, Place
from .reason import Reason

_WRITER = {"GatewayNode": "the agent of that node"}

_INTRODUCTION = """\
# Conditions and reasons

<!-- Generated from isthmus.model.reasons; do not edit. `make generate` writes it. -->

Every object of Isthmus reports its state as conditions. The reason is one of the list below, which machines can rely
on; the message names the values at hand and says what to do.

## How to wait

    kubectl wait networkexpansion/NAME --for=condition=Ready --timeout=5m
    kubectl wait networkexpansion/NAME --for=condition=Progressing=False --timeout=5m

The first command waits for success. The second one returns as soon as there is nothing left to wait for: the object is
`Ready`, or somebody has to act.

`Progressing` is for users and `kubectl wait`. Tools that use kstatus (kpt, Flux, cli-utils) do not read it: they read
`metadata.deletionTimestamp`, `status.observedGeneration` and the conditions `Reconciling`, `Stalled` and `Ready`.
With `Ready` alone they would wait for ever, so `Stalled` is published while somebody has to act, and they report the
object as Failed. `Reconciling` would add nothing: without it kstatus takes an object that is not `Ready` for one in
progress.

What decides between `Progressing` and `Stalled` is the category of the reason:
"""

_CATEGORIES = {
    Category.SETTLED: "Nothing is wrong, or the condition does not stand for trouble.",
    Category.PROGRESSING: "Isthmus or the peer is at work. Wait.",
    Category.TRANSIENT: "Something outside failed, and Isthmus tries again by itself. Look into it if it lasts.",
    Category.ADMINISTRATOR: "An administrator of one of the clouds has to act.",
    Category.TENANT: "Someone in the project has to act.",
    Category.TERMINAL: "Trying again does not help until something is changed.",
}
_PROGRESS = {
    Category.SETTLED: "`Progressing` is False.",
    Category.PROGRESSING: "`Progressing` is True.",
    Category.TRANSIENT: "`Progressing` is True.",
}
_STALLED = "`Progressing` is False, `Stalled` is True."


def render() -> str:
    """The whole page."""
    return page(_lines())


def _lines() -> Iterator[str]:
    yield from paragraphs(_INTRODUCTION)
    for category, text in _CATEGORIES.items():
        yield item(f"**{category}.** {text} {_PROGRESS.get(category, _STALLED)}")
    yield "\n## Conditions\n"
    yield from _condition_lines()
    yield "## Reasons\n"
    for reason in sorted(Reason):
        yield from _reason_lines(reason, EXPLANATIONS[reason])


def _condition_lines() -> Iterator[str]:
    yield "### All kinds but IPsecPolicy\n"
    yield wrapped("Beside `Ready` (of a PeerLink: `Agreed`), with the same reason and message.") + "\n"
    for type_, meaning in PROGRESS.items():
        yield from _meaning_lines(type_, meaning)
    for kind, meanings in MEANINGS.items():
        yield f"### {kind}\n"
        yield f"Written by {_WRITER.get(kind, 'the controller')}.\n"
        for type_, meaning in meanings.items():
            yield from _meaning_lines(type_, meaning)


def _meaning_lines(type_: str, meaning: Meaning) -> Iterator[str]:
    yield f"`{type_}`\n"
    for status, text in (("True", meaning.true), ("False", meaning.false), ("Unknown", meaning.unknown)):
        if text:
            yield item(f"{status}: {text}")
    yield ""


def _reason_lines(reason: Reason, explanation: Explanation) -> Iterator[str]:
    yield f"### {reason}\n"
    places = ", ".join(_code(place) for place in Place if place in explanation.places)
    yield wrapped(f"{explanation.category}. In {places}.") + "\n"
    yield wrapped(explanation.meaning) + "\n"
    if explanation.remedy:
        yield wrapped(f"**What to do:** {explanation.remedy}") + "\n"


def _code(place: Place) -> str:
    """The name of the condition type or field as code, the rest as prose."""
    name, *kind = place.split(" ", 1)
    return " ".join([f"`{name}`", *kind])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
