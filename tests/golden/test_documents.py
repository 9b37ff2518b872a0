"""Documents are readable in a terminal, and their links lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.names import peer_namespace

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/lab/*/README.md")])
MAX_CHARACTERS = 100
PUBLISHED = ("peerlinks", "expansionlinks", "portslices", "memberlinks")


def _links(text: str) -> Iterator[str]:
    """Relative targets of Markdown links, without anchors; code is no link."""
    text = re.sub(r"```.*?```|`[^`\n]*`(?!\])", "", text, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path = target.partition("#")[0]
        if path and "://" not in path:
            yield path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_have_at_most_100_characters(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert [f"line {n}: {len(line)}" for n, line in enumerate(lines, 1) if len(line) > MAX_CHARACTERS] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(path: Path) -> None:
    assert [link for link in _links(path.read_text()) if not (path.parent / link).exists()] == []


def test_gate_names_what_its_configuration_admits() -> None:
    """docs/gate.md lists the paths for any peer, the example for one."""
    admitted = re.findall(r"acl to-cloud-b path (\S+)$", (ROOT / "docs/examples/gate/haproxy.cfg").read_text(), re.M)
    listed = re.findall(r"^GET (\S+)$", (ROOT / "docs/gate.md").read_text(), re.MULTILINE)
    assert [path.replace("<peer>", "cloud-b") for path in listed] == admitted
    served = [f"isthmus.cloud/v1alpha1/namespaces/{peer_namespace('cloud-b')}/{plural}" for plural in PUBLISHED]
    assert admitted == [f"/isthmus/apis/{path}" for path in served]
