"""`topology -o dot` is read by Graphviz, and its labels are the names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from isthmus.model.text import printable
from tests.fakes.kubectl import FakeKubectl
from tests.fakes.topologies import HOSTILE_NAMES, leases, many, with_names, with_tunnels_down

SVG = "{http://www.w3.org/2000/svg}"


def test_graphviz_draws_the_names_as_they_are(plugin: Path, tmp_path: Path) -> None:
    kubectl = FakeKubectl(tmp_path)
    kubectl.objects(with_names(with_tunnels_down(many(8, 2), "peer-01"), HOSTILE_NAMES))
    kubectl.leases(leases())
    command = [sys.executable, "-I", "-S", str(plugin), "topology", "-o", "dot"]
    done = subprocess.run(command, env={"PATH": f"{kubectl.path}:/usr/bin:/bin"}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    drawn = subprocess.run(["dot", "-Tsvg"], input=done.stdout, capture_output=True, check=True)
    assert drawn.stderr == b""
    tree = ElementTree.fromstring(drawn.stdout)
    texts = [_words(text.text or "") for text in tree.iter(f"{SVG}text")]
    for name in HOSTILE_NAMES:
        assert any(text.startswith(_words(f"gw-cloud-a to {printable(name)[:20]}")) for text in texts), name
    assert "down BFDDown" in texts
    groups = [group.get("class") for group in tree.iter(f"{SVG}g")]
    assert (groups.count("node"), groups.count("edge")) == (9, 8 * 3)


def _words(text: str) -> str:
    """With single spaces: Graphviz writes non-breaking ones."""
    return " ".join(text.split())
