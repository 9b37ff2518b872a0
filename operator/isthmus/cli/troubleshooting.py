"""docs/troubleshooting.md, written from the codes of `kubectl isthmus diagnose`.

Run as `python -m isthmus.cli.troubleshooting FILE`; a test fails when the file differs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from isthmus.model.markdown import item, page, paragraphs, wrapped
from isthmus.model.reasons import Reason
from isthmus.plugin.core.diagnosis.catalogue import ROWS, Row
from isthmus.plugin.core.diagnosis.layers import Layer

from .symptoms import SYMPTOMS

_REASONS = frozenset(map(str, Reason))

_INTRODUCTION = """\
# Troubleshooting

<!-- Generated from isthmus.plugin.core.diagnosis; do not edit. `make generate` writes it. -->

`kubectl isthmus diagnose` reads the objects of one cloud and names the first layer that fails on the path to each peer,
whose it is, the evidence, and what to do. It changes nothing, and needs nothing of the peer but what this cloud reads
anyway. What needs a layer that fails is "not looked at", so that a consequence is not mistaken for a second fault; two
faults that do not depend on each other are both named.

    kubectl isthmus diagnose              every peer
    kubectl isthmus diagnose cloud-b      one peer, with every layer
    kubectl isthmus diagnose shop/web     one network, towards each of its peers

One side alone cannot always tell the peer from the underlay between: if a packet does not arrive, either it was not
sent or it was lost. `(the peer, or the underlay between)` then says so, and the same command in the peer's cloud
decides. [Faults and what each side says](faults.md) lists what both say of each fault that the tests inject.

Exit codes: 0 all is well, 1 something is wrong or not decided yet, 2 there is no such peer or network, 3 something
could not be read. "No right to list" a resource is a gap and no fault: what depends on it is not looked at.

## Layers"""


def render() -> str:
    """The whole page."""
    return page(_lines())


def _lines() -> Iterator[str]:
    yield from paragraphs(_INTRODUCTION)
    for layer in Layer:
        yield item(f"**{layer}**: {layer.meaning}.")
    yield "\n## By symptom\n"
    for symptom, codes in SYMPTOMS:
        links = ", ".join(f"[{ROWS[code].code}](#{code.lower()})" for code in codes)
        yield item(f"{symptom} {links}")
    yield "\n## By layer\n"
    for layer in Layer:
        yield f"### At {layer}\n"
        for row in (row for row in ROWS.values() if row.layer is layer):
            yield item(f"{row.symptom} [{row.code}](#{row.code.lower()})")
        yield ""
    yield "## By code\n"
    for code in sorted(ROWS):
        yield from _row_lines(ROWS[code])


def _row_lines(row: Row) -> Iterator[str]:
    yield f"### {row.code}\n"
    yield wrapped(f"At `{row.layer}`; whose: {row.whose}.") + "\n"
    yield wrapped(row.symptom) + "\n"
    yield wrapped(f"**What to do:** {row.remedy}") + "\n"
    if row.code in _REASONS:
        yield f"See also [{row.code}](conditions.md#{row.code.lower()}) as a reason of conditions.\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
