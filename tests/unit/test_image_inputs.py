"""What determines an image, and its bill of materials."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

from images.inputs import CONTAINERFILE, REPOSITORY, TARGETS, Target, contents, epoch, revision
from images.sbom import bill, packages, wheels

STATUS = """Package: libssl3t64
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.5.1-1+deb13u2
Description: Secure Sockets Layer toolkit
 It has a second line.

Package: tzdata
Status: install ok installed
Architecture: all
Version: 2026a-0+deb13u1

"""


@pytest.mark.parametrize("target", TARGETS)
def test_every_file_that_an_image_copies_determines_it(target: Target) -> None:
    """`COPY` of the stages that lead to the target, by their names in the Containerfile."""
    named = {content.decode() for content in list(contents(target))[::2]}
    stages = re.split(r"^FROM ", CONTAINERFILE.read_text(), flags=re.MULTILINE)[1:]
    wanted = [s for s in stages if re.match(rf"\S+ AS (tools$|{target}\b)", s.splitlines()[0])]
    assert len(wanted) >= 3
    sources = {
        source
        for stage in wanted
        for line in re.findall(r"^COPY (?!--from)(.*)$", stage, re.MULTILINE)
        for source in line.split()[:-1]
    }
    if target == "charon":
        sources -= {"images/root.sh", "images/wheels.sh"}  # of the first stage, which it does not use
    missing = {s for s in sources if s not in named and not any(n.startswith(f"{s}/") for n in named)}
    assert missing == set()
    assert all((REPOSITORY / source).exists() for source in sources)


def test_files_that_are_copied_are_in_the_context() -> None:
    shown = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", CONTAINERFILE.read_text(), re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert [s for s in sources if s not in shown and s.partition("/")[0] not in shown] == []


def test_revision_and_time_are_those_of_the_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = revision("charon")
    assert re.fullmatch(r"[0-9a-f]{40}(-modified)?", found.commit)
    assert found.version == importlib.metadata.version("isthmus")
    assert int(epoch()) > 1_700_000_000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1234567890")
    assert epoch() == "1234567890"


def test_packages_of_debian_are_listed() -> None:
    found = list(packages(STATUS))
    assert [(c["name"], c["version"]) for c in found] == [
        ("libssl3t64", "3.5.1-1+deb13u2"),
        ("tzdata", "2026a-0+deb13u1"),
    ]
    assert found[0]["purl"] == "pkg:deb/debian/libssl3t64@3.5.1-1%2Bdeb13u2?arch=amd64"


def test_wheels_are_listed_with_their_licence(tmp_path: Path) -> None:
    metadata = tmp_path / "Some_Thing-1.0.dist-info"
    metadata.mkdir()
    text = "Metadata-Version: 2.4\nName: Some_Thing\nVersion: 1.0\nLicense-Expression: MIT\n"
    (metadata / "METADATA").write_text(text)
    assert list(wheels(str(tmp_path))) == [
        {
            "type": "library",
            "bom-ref": "pkg:pypi/some-thing@1.0",
            "name": "Some_Thing",
            "version": "1.0",
            "purl": "pkg:pypi/some-thing@1.0",
            "licenses": [{"expression": "MIT"}],
        }
    ]


def test_same_content_is_the_same_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first, second = (bill("isthmus-agent", list(packages(STATUS))) for _ in range(2))
    assert first == second
    assert first["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    assert bill("isthmus-agent", [])["serialNumber"] != first["serialNumber"]
