"""What is in the images, and what is not: everything is read from the archives that `make images` builds."""

from __future__ import annotations

import json
import re
import tomllib
from email.parser import Parser
from pathlib import PurePosixPath
from typing import Any

import pytest

from images.inputs import REPOSITORY, Target, epoch
from tests.images.archive import MAXIMUM_BYTES, Archive

PROCESSES = ("controller", "agent")
SHELLS_AND_PACKAGE_MANAGERS = re.compile(
    r"^(a|ba|da|z|k|mk|c|tc|fi|r|rba)?sh$|^busybox|^toybox|^(apt|dpkg|pip|rpm|perl)[-.0-9a-z]*$|^(env|xargs|[gm]?awk|ssh)$"
)
ENTRY_POINTS = {
    "controller": ["/usr/bin/python3", "-P", "-m", "isthmus.cli.main"],
    "agent": ["/usr/bin/python3", "-P", "-m", "isthmus.cli.main"],
    "charon": ["/usr/lib/ipsec/charon"],
}
USERS = {"controller": "65532:65532", "agent": "0:0", "charon": "0:0"}
PROGRAMS = {
    "controller": {"usr/bin/python3"},
    "agent": {"usr/bin/python3", "usr/bin/ovs-ofctl", "usr/sbin/nft"},
    "charon": {"usr/lib/ipsec/charon", "usr/sbin/swanctl"},
}


def test_there_is_no_shell_and_no_package_manager(archive: Archive) -> None:
    found = [
        path
        for path, entry in archive.entries.items()
        if not entry.info.isdir() and SHELLS_AND_PACKAGE_MANAGERS.match(PurePosixPath(path).name)
        if PurePosixPath(path).parent.name in {"bin", "sbin"}
    ]
    assert found == []


def test_nothing_is_setuid_or_writable_by_everybody(archive: Archive) -> None:
    # Some tools write the type of the file into the mode, too.
    modes = {path: e.info.mode & 0o7777 for path, e in archive.entries.items() if not e.info.issym()}
    assert [path for path, mode in modes.items() if mode & 0o6000] == []
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o002} == {"tmp": "0o1777"}


def test_everything_belongs_to_root(archive: Archive) -> None:
    assert [path for path, e in archive.entries.items() if (e.info.uid, e.info.gid) != (0, 0)] == []


def test_no_file_is_newer_than_the_sources(archive: Archive) -> None:
    assert [path for path, e in archive.entries.items() if e.info.mtime > int(epoch())] == []


def test_it_starts_what_it_is_for(target: Target, archive: Archive) -> None:
    assert archive.config["Entrypoint"] == ENTRY_POINTS[target]
    assert archive.config["User"] == USERS[target]
    assert archive.config.get("Cmd", []) == ([target] if target in PROCESSES else [])
    for program in PROGRAMS[target]:
        assert archive.entries[program].info.mode & 0o111 or archive.entries[program].info.issym(), program


def test_only_charon_is_stopped_without_notice(target: Target, archive: Archive) -> None:
    assert archive.config.get("StopSignal") == ("SIGKILL" if target == "charon" else None)


def test_labels_name_version_revision_and_licence(target: Target, archive: Archive) -> None:
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in archive.config["Labels"].items()}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert labels["title"] == f"isthmus-{target}"
    assert labels["version"] == project["version"]
    assert re.fullmatch(r"[0-9a-f]{40}(-modified)?", labels["revision"])
    assert labels["licenses"] == ("GPL-2.0-or-later" if target == "charon" else project["license"])


def test_it_is_small(target: Target, archive: Archive) -> None:
    assert archive.compressed_bytes <= MAXIMUM_BYTES[target]


def _sbom(target: Target, archive: Archive) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(archive.content(f"usr/share/sbom/isthmus-{target}.cdx.json"))
    return document


def _listed(document: dict[str, Any], kind: str) -> dict[str, str]:
    found = [c for c in document["components"] if c["purl"].startswith(f"pkg:{kind}/")]
    return {component["name"]: component["version"] for component in found}


def test_bill_of_materials_lists_every_package(target: Target, archive: Archive) -> None:
    paragraphs = filter(str.strip, archive.content("var/lib/dpkg/status").decode().split("\n\n"))
    fields = [Parser().parsestr(paragraph.strip() + "\n") for paragraph in paragraphs]
    there = {str(field["Package"]): str(field["Version"]) for field in fields}
    assert ("strongswan" if target == "charon" else "python3-minimal") in there
    document = _sbom(target, archive)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert _listed(document, "deb") == there


def test_licence_of_every_package_is_there(target: Target, archive: Archive) -> None:
    packages = _listed(_sbom(target, archive), "deb")
    assert packages
    assert [name for name in packages if not _has_licence(archive, name)] == []


def _has_licence(archive: Archive, package: str) -> bool:
    """Some packages have a link to the documentation of another one."""
    entry = archive.entries.get(f"usr/share/doc/{package}")
    directory = entry.info.linkname if entry and entry.info.issym() else package
    return f"usr/share/doc/{directory}/copyright" in archive.entries


def test_bill_of_materials_lists_every_wheel(target: Target, archive: Archive) -> None:
    files = [path for path in archive.entries if re.fullmatch(r"opt/isthmus/[^/]+\.dist-info/METADATA", path)]
    metadata = [Parser().parsestr(archive.content(path).decode(), headersonly=True) for path in files]
    there = {str(each["Name"]): str(each["Version"]) for each in metadata}
    assert _listed(_sbom(target, archive), "pypi") == there
    assert ("isthmus" in there) == (target in PROCESSES)


@pytest.mark.parametrize("target", PROCESSES, indirect=True)
def test_wheels_are_those_of_the_lock_file(target: Target, archive: Archive) -> None:
    lines = (REPOSITORY / "requirements" / f"{target}.txt").read_text().splitlines()
    locked = {_normalised(name): version for name, _, version in (line.partition("==") for line in lines)}
    listed = {_normalised(name): version for name, version in _listed(_sbom(target, archive), "pypi").items()}
    # pbr declares setuptools, which only builds need.
    del locked["setuptools"]
    assert {name: version for name, version in listed.items() if name != "isthmus"} == locked


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("target", PROCESSES, indirect=True)
def test_compiled_modules_do_not_depend_on_times(archive: Archive) -> None:
    """PEP 552: flags 1 are a hash that is not checked. Every module of ours and of the standard library has one."""
    compiled = {path: entry.content for path, entry in archive.entries.items() if path.endswith(".pyc")}
    assert [path for path, content in compiled.items() if content[4:8] != b"\1\0\0\0"] == []
    names = {re.sub(r"__pycache__/(.*)\.cpython-\d+\.pyc$", r"\1.py", path) for path in compiled}
    assert [p for p in archive.entries if re.match(r"opt/isthmus/isthmus/.*\.py$", p) and p not in names] == []


@pytest.mark.parametrize("target", ["charon"], indirect=True)
def test_charon_has_the_plugins_of_its_settings_and_no_others(archive: Archive) -> None:
    settings = archive.content("etc/strongswan.conf").decode()
    (load,) = re.findall(r"^ *load = (.*)$", settings, re.MULTILINE)
    plugins = {match[1] for path in archive.entries if (match := re.search(r"libstrongswan-(.*)\.so$", path))}
    assert plugins == set(load.split())
    assert "socket = unix:///run/isthmus/charon.vici" in settings
    assert "etc/protocols" in archive.entries
