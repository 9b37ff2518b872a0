"""No word of the project's former private vocabulary: whoever knows kopf, Neutron and Open vSwitch reads any file once.

docs/glossary.md has the terms to use. Phrases are found without regard to case, and where a line is wrapped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUFFIXES = {".conf", ".md", ".py", ".sh", ".toml", ".tpl", ".txt", ".yaml", ".yml"}

# Regular expressions, and what to write instead.
INSTEAD_OF = {
    r"half(?! an?\b| of (it|them)\b)|halves": "published spec, local or remote spec; PeerLink, ExpansionLink, link",
    r"wish|wishes|wished|wishes_of": "request, PeerRequest",
    r"holders? of|senior|seniority": "owner, claim precedence",
    r"tombstones?|bury|buried": "withdrawn link, deleted",
    r"let go|lets go|letting go|let_go": "release",
    r"cop(y|ies) of (a|an|the|its|our|one) ([\w']+ )?(network|project|subnet)s?": "replica",
    r"copied (network|project|subnet)s?": "replica",
    r"copy_mark|make_copy|CopyInUse|CopyFailed|furnish|furnishes|furnished": "replica, ReplicaInUse; ensure",
    r"standing": "RemoteLinkState, state",
    r"excuses?": "failure answer",
    r"(bring|brings|bringing|brought) about|bring_about": "reconcile",
    r"(is|are|was|were|be|been) looked at|(look|looks) (again|anew)": "observe, read, refresh, check",
    r"news": "events",
    r"(is|are|was|were|be|been) told|told (about|of|by|to)|tells? (of|people)": "reported, recorded as an Event",
    r"people": "administrators, tenants, users",
    r"worlds?|OutsideError": "external systems, Backends, ExternalError",
    r"way_to|ways_to": "path_to",
    r"is_going": "is_terminating",
    r"echo (frames?|comes|came|goes)|link's echo|turned (round|around)": "dataplane probe, reflected",
    r"anew": "again, recreated",
    r"(take|takes|taken|taking|took) back": "withdraw, restore, remove",
    r"(stand|stands|stood) in the way|what stands|who stands": "blocks, prevents; existing",
    r"desk": "tester",
    r"patience": "interval, timeout",
    r"twins?": "collision, duplicate",
    r"clumsy|greedy": "misuse, exceeding limits",
    r"who dies|who died|who is woken|by whom": "a crash, the callback",
    r"traps met": "known pitfalls",
}  # fmt: skip
PATTERNS = {
    re.compile(rf"(?i)(?<![\w]){'(?:' + words + ')'}(?![\w])".replace(" ", r"[\s#*>|\"]+")): instead
    for words, instead in INSTEAD_OF.items()
}

CLEAN = (
    "CONTRIBUTING.md",
    "Makefile",
    "README.md",
    "charts",
    "crds",
    "demo",
    "deploy",
    "docs",
    "images",
    "operator",
    "pyproject.toml",
    "tests/bench",
    "tests/chart",
    "tests/cluster",
    "tests/contract",
    "tests/fakes",
    "tests/golden",
    "tests/images",
    "tests/kernel",
    "tests/lab",
    "tests/monitoring",
    "tests/property",
    "tests/testbed",
    "tests/unit",
)


def found(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, phrase, and what to write instead."""
    for pattern, instead in PATTERNS.items():
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, match[0], instead


def files(directory: str) -> list[Path]:
    path = ROOT / directory
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p != Path(__file__))


@pytest.mark.parametrize("directory", CLEAN)
def test_every_file_uses_the_terms_of_the_glossary(directory: str) -> None:
    scanned = files(directory)
    assert scanned, f"nothing to check in {directory}"
    problems = [
        f"{path.relative_to(ROOT)}:{line}: {phrase!r}: write {instead}"
        for path in scanned
        for line, phrase, instead in found(path.read_text())
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    "text",
    ["our half", "The Tombstone stays", "# it lets\n# go", "made anew.", "a copy of the peer's network", "copy_mark()"],
)
def test_a_phrase_is_found(text: str) -> None:
    assert list(found(text))


@pytest.mark.parametrize("text", ["behalf", "copy of the file", "an understanding", "newsletter", "outstanding"])
def test_part_of_another_word_is_none(text: str) -> None:
    assert not list(found(text))
