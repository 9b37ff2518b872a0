"""docs/faults.md, written from the faults that tests/lab/diagnose injects.

Run as `python -m tests.lab.diagnose.document FILE`; a test fails when the file differs.

A lab test injects each of them and requires these very first lines (`make test-long`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from isthmus.model.markdown import item, page, paragraphs

from .faults import FAULTS, first_line

_INTRODUCTION = """\
# Faults, and what diagnose says of them

<!-- Generated from tests/lab/diagnose/faults.py; do not edit. `make generate` writes it. -->

`tests/lab/diagnose` injects each of these faults into two real clouds with a stretched network, and requires that the
first line of `kubectl isthmus diagnose` in each cloud becomes exactly this one, with no other fault in it, and that
both say "all is well" once it is healed. [Troubleshooting](troubleshooting.md) has the remedy for each code.
"""


def render() -> str:
    """The whole page."""
    return page(_lines())


def _lines() -> Iterator[str]:
    yield from paragraphs(_INTRODUCTION)
    for fault in FAULTS:
        yield f"**{fault.name[0].upper()}{fault.name[1:]}**\n"
        for peer, codes in (("cloud-b", fault.at_a), ("cloud-a", fault.at_b)):
            yield item(f"`{first_line(peer, codes)}`")
        yield ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
