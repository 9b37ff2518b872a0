"""The search for secrets finds each form of each, wherever it is, and names what it could not read."""

from __future__ import annotations

import base64
import subprocess
import sys
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.pods import search
from tests.pods.places import gathered, here
from tests.pods.planted import forms, found_in
from tests.testbed.host.process import wait_until

SECRET = "s3cret/with+signs-0123456789"
LOOKED_FOR = forms({"key": SECRET, "other": "another-secret-of-16"})


@pytest.mark.parametrize(
    "written",
    [
        f"psk={SECRET}".encode(),
        *(base64.b64encode(b"x" * before + SECRET.encode() + b"\n" * after) for before in range(4) for after in (0, 1)),
        SECRET.encode().hex().encode(),
        b"token=s3cret%2Fwith%2Bsigns-0123456789",
    ],
)
def test_every_form_is_found(written: bytes) -> None:
    assert found_in([("place", b"before " + written + b" after")], LOOKED_FOR) == {("place", "key")}


def test_part_of_a_secret_is_none() -> None:
    assert found_in([("place", SECRET[:-1].encode() + b" another-secret-of")], LOOKED_FOR) == set()


def test_files_are_found_with_all_that_is_below(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "log").write_text(f"x {SECRET}")
    (tmp_path / "clean").write_text("x")
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("deep/er/log")
    done = here(LOOKED_FOR, [str(tmp_path)])
    assert done.found == {(f"host: {tmp_path}/deep/er/log", "key")}
    assert (done.files, done.unread) == (2, [])
    assert done.processes > 0


def test_secret_across_two_chunks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CHUNK_BYTES", 100)
    for before in range(70, 101):
        (tmp_path / "log").write_bytes(b"x" * before + SECRET.encode() + b"x" * 100)
        assert search.names_in_file(str(tmp_path / "log"), {"key": [SECRET.encode()]}) == {"key"}


def test_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_text("x")

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(search, "names_in_file", fail)
    assert search.search({}, [str(tmp_path)])["unread"] == [f"{tmp_path}/log: Permission denied"]


@pytest.mark.parametrize(
    ("how", "place"),
    [
        (lambda: {"args": ["bash", "-c", f"exec -a {SECRET} sleep 60"]}, "command line of sleep"),
        (lambda: {"args": ["sleep", "60"], "env": {"X": SECRET, "PATH": "/usr/bin:/bin"}}, "environment of sleep"),
    ],
)
def test_processes_are_searched(how: Callable[[], dict[str, Any]], place: str) -> None:
    process = subprocess.Popen(**how())
    try:
        wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n", 10, "the program")
        assert (f"host: {place}", "key") in here(LOOKED_FOR, []).found
    finally:
        process.kill()
        process.wait()


def test_archives_are_searched(tmp_path: Path) -> None:
    def gather(*_: str, directory: str) -> str:
        with tarfile.open(f"{directory}/cloud-a.tar.gz", "w:gz") as archive:
            for name, content in (("cloud-a/log", f"a\n{SECRET}\n"), ("cloud-a/contents.txt", "log")):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, BytesIO(content.encode()))
        return "written"

    side: Any = SimpleNamespace(cloud=SimpleNamespace(cloud_id="cloud-a"), isthmus=gather)
    found = list(gathered(side, tmp_path))
    assert [place for place, _ in found] == [f"cloud-a: gather: {name}" for name in ("output", "log", "contents.txt")]
    assert found_in(found, LOOKED_FOR) == {("cloud-a: gather: log", "key")}


def test_program_needs_nothing_but_the_standard_library() -> None:
    program = str(Path(search.__file__))
    done = subprocess.run(
        [sys.executable, "-IS", program],
        input='{"secrets": {"x": ["00ff00ff"]}, "roots": []}',
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"files": 0' in done.stdout
